"""How each verb of ``strongroom`` can end; for docs/reference/exit-statuses.md and its test. No verb imports it.

The numbers are those of the modules that end with them, and come from there where they have a table.
"""

from dataclasses import dataclass
from typing import Final

from cli.s3.status import CURES, MEANINGS
from strongroom.service.command import EXIT_CONFIG, EXIT_OK
from wrapper.usage import STATUSES


@dataclass(frozen=True)
class Ending:
    """One exit status.

    Attributes:
        status: the number.
        meaning: what it says.
        cure: what to do.
    """

    status: int
    meaning: str
    cure: str = "nothing"


LAUNCH: Final = tuple(Ending(*row) for row in STATUSES)
"""Statuses of whatever launches a program."""

_OF_ARGPARSE: Final = Ending(2, "the words on the command line are wrong", "see `--help` of the verb")
_OF_SERVER: Final = (
    Ending(EXIT_OK, "SIGTERM or SIGINT asked for the end, and what was in flight is done"),
    Ending(
        EXIT_CONFIG,
        "a setting, or a file that it names, is wrong, or an address is in use",
        "the lines on stderr name it, the rule, and the next step; starting it again unchanged does not help",
    ),
    Ending(1, "a mistake of ours, with a traceback", "please report it"),
)
_OF_OURS: Final = Ending(
    111,
    "the call, or something on this machine, is wrong",
    "the lines on stderr say what; other statuses are those of `run`",
)

ENDINGS: Final[dict[str, tuple[Ending, ...]]] = {
    "run": LAUNCH,
    "exec": LAUNCH,
    "plan": (Ending(0, "the launch could go ahead"), *LAUNCH),
    "bridge": _OF_SERVER,
    "s3proxy": _OF_SERVER,
    "s3": (
        *(Ending(status.value, MEANINGS[status], CURES[status]) for status in MEANINGS),
        Ending(130, "Ctrl-C", "what was done is done, and the same command goes on from there"),
    ),
    "doctor": (
        Ending(0, "everything is there; or every attack was stopped that is claimed to be"),
        Ending(
            1,
            "something is missing, or an attack succeeded that should not",
            "the report says which, and what to change",
        ),
        *LAUNCH,
    ),
    "bundle": (Ending(0, "the bundle is made"), _OF_OURS),
    "dev": (Ending(0, "Ctrl-C; nothing is left behind"), _OF_OURS, _OF_ARGPARSE),
    "demo": (
        Ending(0, "every claim held"),
        Ending(1, "a claim did not hold", "the page says which"),
        _OF_OURS,
        _OF_ARGPARSE,
    ),
    "bench": (
        Ending(0, "measured, or nothing regressed"),
        Ending(1, "a suite failed, or a claim regressed", "the lines on stderr say which"),
        _OF_OURS,
        _OF_ARGPARSE,
    ),
    "completion": (Ending(0, "printed"), Ending(2, "there is no script for that shell", "name bash, zsh or fish")),
    "version": (Ending(0, "printed"),),
}
"""By verb."""

ANY: Final = (
    Ending(1, "a Python package that the verb needs is not installed", "install it as the hint says"),
    Ending(2, "there is no such verb, or it is not part of a bundle", "`strongroom --help` lists the verbs"),
    Ending(141, "who read the output has stopped, as `head` does", "have it read to its end where the status matters"),
)
"""Of any verb."""
