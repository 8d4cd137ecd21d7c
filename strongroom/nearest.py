"""What somebody may have meant who wrote a name that is not known."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that resembles one most, or ""."""
    return next(iter(get_close_matches(name, list(known), n=1)), "")
