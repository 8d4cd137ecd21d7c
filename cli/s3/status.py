"""What a verb of ``strongroom s3`` shows while it works, and how it ends: one table from errors to exit statuses."""

import enum
import sys
import time
from collections.abc import Iterable
from typing import Self

from s3proxy.keys.kek import KeyNotAvailableError
from s3proxy.s3api.errors import S3Error
from strongroom.errors import ConfigError, IntegrityError, NotFoundError, PeerError, StrongroomError
from strongroom.terminal import say

_EVERY_S = 0.1
_WIDTH = 30


class Status(enum.IntEnum):
    """Exit statuses. What a higher one stands for is not damage, and is mended elsewhere."""

    DONE = 0
    LEFT = 1
    WRONG_CALL = 2
    NO_KEY = 3
    REFUSED = 4
    NOT_THERE = 5


MEANINGS = {
    Status.DONE: "done",
    Status.LEFT: "objects or records are damaged, or were left as they are; each is named",
    Status.WRONG_CALL: "a wrong call or setting",
    Status.NO_KEY: "nothing was found damaged, but keys are not available: the hint says how to bring them back",
    Status.REFUSED: "the store or OpenBao cannot be reached, or refuses",
    Status.NOT_THERE: "the bucket does not exist",
}

CURES = {
    Status.DONE: "nothing",
    Status.LEFT: "look at each object that is named; the same command goes on from there",
    Status.WRONG_CALL: "the lines on stderr name it, the rule, and the next step",
    Status.NO_KEY: "do what the hint says, and nothing else: make no new transit key, delete nothing",
    Status.REFUSED: "bring it back, or give the proxy's credentials the right that the line names; then run it again",
    Status.NOT_THERE: "check its name, and `system_bucket` in the settings",
}
"""What to do; for docs/reference/exit-statuses.md."""


def status_of(error: StrongroomError) -> Status:
    """Return how a verb ends that an error has stopped."""
    if isinstance(error, ConfigError):
        return Status.WRONG_CALL
    if isinstance(error, KeyNotAvailableError):
        return Status.NO_KEY
    if isinstance(error, NotFoundError) or (isinstance(error, S3Error) and error.code == "NoSuchBucket"):
        return Status.NOT_THERE
    if isinstance(error, S3Error | PeerError):
        return Status.REFUSED
    return Status.LEFT if isinstance(error, IntegrityError) else Status.REFUSED


def tell_hints(errors: Iterable[StrongroomError]) -> None:
    """Write the hints of some errors to stderr, each once."""
    for hint in dict.fromkeys(error.hint for error in errors if error.hint):
        say(f"hint: {hint}")


class Progress:
    """One line on stderr: a bar, or a counter where the end is not known; nothing where there is no terminal.

    A context manager: the line is gone when it is left.
    """

    def __init__(self, what: str, total: int = 0) -> None:
        """Take what is counted, and how many there are."""
        self._what = what
        self._total = total
        self._shown = sys.stderr.isatty()
        self._next = 0.0

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()

    def show(self, done: int) -> None:
        """Show how many are done; at most ten times a second."""
        now = time.monotonic()
        if not self._shown or now < self._next:
            return
        self._next = now + _EVERY_S
        text = f"{done} {self._what}"
        if self._total:
            filled = min(done, self._total) * _WIDTH // self._total
            text = f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {done} of {self._total} {self._what}"
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
