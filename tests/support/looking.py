"""Looking at files as often as a change needs to be taken up: it must be seen twice, unchanged in between."""

from collections.abc import Callable


def look_twice(look: Callable[[], object]) -> None:
    """See that a file has changed, and that it has come to rest."""
    look()
    look()
