"""Numbers in answers of the store: of a length that no store needs more of, and that costs nothing to read. Pure."""

import re
from typing import Final

_NUMBER: Final = re.compile(r"[0-9]{1,19}")


def number_in(text: str) -> int | None:
    """Return the number that a text is, None if it is none or longer than any size or count."""
    return int(text) if _NUMBER.fullmatch(text) else None
