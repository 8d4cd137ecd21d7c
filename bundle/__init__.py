"""``strongroom bundle DIR``: the wrapper with an interpreter of its own, for images that have none."""
