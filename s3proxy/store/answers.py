"""What answers of the store are made of, and what is raised when they cannot be used. Pure."""

import re
from typing import Final

from strongroom.errors import PeerError

_NUMBER: Final = re.compile(r"[0-9]{1,19}")  # longer than any size or count


class OddAnswerError(PeerError):
    """The store answers what S3 does not: something is missing, or contradicts what was asked for."""

    usual_hint = (
        "the store, or what is between it and the proxy, speaks S3 otherwise: compare its version, then report it"
    )


def number_in(text: str) -> int | None:
    """Return the number that a text is, None if it is not one. No store needs more digits."""
    return int(text) if _NUMBER.fullmatch(text) else None
