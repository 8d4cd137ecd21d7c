"""How a verb of ``strongroom s3`` ends: the one table from what is wrong to the exit status."""

import enum
from collections.abc import Iterable

from s3proxy.keys.kek import KeyNotAvailableError
from s3proxy.s3api.errors import S3Error
from strongroom.errors import ConfigError, IntegrityError, NotFoundError, PeerError, StrongroomError
from strongroom.terminal import say


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
