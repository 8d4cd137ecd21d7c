"""``strongroom completion``: what shells offer behind a Tab, found in the verbs and their parsers themselves."""
