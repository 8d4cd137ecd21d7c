"""Lines on stderr, as every verb writes them. On the launch path."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from strongroom.errors import StrongroomError


def tell(error: "StrongroomError") -> None:
    """Write what is wrong and the next step."""
    say(f"error: {error.message}")
    if error.hint:
        say(f"hint: {error.hint}")


def say(text: str) -> None:
    """Write a line to stderr. That nobody reads it, or that it is closed, must not stop a launch or change a status."""
    try:  # contextlib would be one more import
        os.write(2, f"strongroom: {text}\n".encode(errors="backslashreplace"))
    except OSError:
        return
