"""What an attack is, and what may come of it. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from doctor.attack.needles import Needles
from doctor.attack.target import Target


class Result(Enum):
    """What came of an attack."""

    STOPPED = "stopped"
    NOT_STOPPED = "not-stopped"
    NOT_APPLICABLE = "not-applicable"


@dataclass(frozen=True)
class Outcome:
    """What came of one attack by one attacker.

    Attributes:
        result: the verdict.
        meaning: one line about it, without any value.
        is_known: it was not stopped, and the threat model says that it will not be.
    """

    result: Result
    meaning: str
    is_known: bool = False


def stopped(meaning: str) -> Outcome:
    """Return that an attack failed."""
    return Outcome(Result.STOPPED, meaning)


def not_stopped(meaning: str, *, is_known: bool = False) -> Outcome:
    """Return that an attack succeeded."""
    return Outcome(Result.NOT_STOPPED, meaning, is_known)


def not_applicable(meaning: str) -> Outcome:
    """Return that an attack could not be tried, or says nothing."""
    return Outcome(Result.NOT_APPLICABLE, meaning)


class NotTriedError(Exception):
    """An attack could not be carried out for a reason that is not a defence; the text says which."""


@dataclass(frozen=True)
class Situation:
    """What an attack works with.

    Attributes:
        target: the program.
        needles: the values to look for, as far as they are known.
        is_root: whether the attacker is root with its capabilities.
    """

    target: Target
    needles: Needles
    is_root: bool


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        name: stable, for programs.
        title: for people.
        run: carries it out. PermissionError from it means that the kernel refused, which is a defence.
        is_about_machine: it does not depend on who attacks, so it is tried once.
    """

    name: str
    title: str
    run: Callable[[Situation], Outcome]
    is_about_machine: bool = False
