"""The drift gate: whether the claims of a new run are worse than those of a baseline by more than their noise. Pure.

Only ratios within one run and counts are gated, never times of one machine against times of another. A claim has
regressed when it is worse by more than the noise stated with it *and* by more than its intervals allow for: the first
keeps harmless drift out, the second an unlucky draw. Ratios of fewer than MIN_ROUNDS rounds are not judged. A gated
claim that a new run was asked for and lacks has regressed, too, unless the run says that it left a contender out. A
waiver names one claim, a reason and a last day; after that day it counts for nothing.
"""

import datetime as dt
import enum
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from bench.result import Claim, Result
from bench.samples import Estimate
from strongroom.errors import ConfigError
from strongroom.service.members import parse_toml

MIN_ROUNDS: Final = 10
_APART: Final = 2.5  # times a 95 % interval: a hundred claims are compared at once, and ten rounds tell its ends badly
_MEMBERS: Final = {"claim", "reason", "until"}


class Verdict(enum.Enum):
    """What became of a claim."""

    REGRESSED = "regressed"
    MISSING = "missing"
    WAIVED = "waived"
    LEFT_OUT = "left out"
    TOO_FEW = "too few rounds"
    STEADY = "steady"
    BETTER = "better"


@dataclass(frozen=True)
class Change:
    """One gated claim of the baseline beside the same of the new run."""

    verdict: Verdict
    before: Claim
    after: Claim | None
    reason: str = ""

    @property
    def fails(self) -> bool:
        """Whether the gate stays shut."""
        return self.verdict in {Verdict.REGRESSED, Verdict.MISSING}


@dataclass(frozen=True, kw_only=True)
class Waiver:
    """Leave to regress.

    Attributes:
        claim: its name.
        reason: why that is right.
        until: the last day.
    """

    claim: str
    reason: str
    until: dt.date


def compare(
    baseline: Result,
    new: Result,
    *,
    waivers: Iterable[Waiver] = (),
    today: dt.date,
    units: frozenset[str] = frozenset(),
) -> list[Change]:
    """Return what became of each claim of the baseline that states a noise.

    Args:
        baseline: to be kept up with.
        new: the run to be judged; claims of suites that it was not asked for are passed over.
        waivers: granted.
        today: for their last days.
        units: the units to look at; all when empty.
    """
    found = {claim.name: claim for claim in new.claims}
    granted = {waiver.claim: waiver.reason for waiver in waivers if waiver.until >= today}
    asked = {*new.asked, *new.suites}
    changes = []
    for before in baseline.claims:
        if before.noise is None or before.name.partition("/")[0] not in asked or (units and before.unit not in units):
            continue
        after = found.get(before.name)
        if after is None:
            verdict = Verdict.LEFT_OUT if _is_left_out(before.name, new.left_out) else Verdict.MISSING
        else:
            verdict = _judge(before, after)
        reason = granted.get(before.name, "")
        if reason and verdict in {Verdict.REGRESSED, Verdict.MISSING}:
            verdict = Verdict.WAIVED
        changes.append(Change(verdict, before, after, reason))
    return changes


def _is_left_out(claim: str, contenders: Iterable[str]) -> bool:
    """Return whether the name of a claim has one of the contenders in it, as whole words."""
    return any(re.search(rf"(?<![\w-]){re.escape(one)}(?![\w-])", claim) for one in contenders)


def _judge(before: Claim, after: Claim) -> Verdict:
    if not (_can_be_judged(before.value) and _can_be_judged(after.value)):
        return Verdict.TOO_FEW
    noise = before.noise or 0.0
    if _is_above(after.value, before.value, noise):
        return Verdict.REGRESSED if before.better == "lower" else Verdict.BETTER
    if _is_above(before.value, after.value, noise):
        return Verdict.BETTER if before.better == "lower" else Verdict.REGRESSED
    return Verdict.STEADY


def _can_be_judged(value: Estimate) -> bool:
    return value.is_exact or (value.interval is not None and (value.rounds or 0) >= MIN_ROUNDS)


def _is_above(one: Estimate, other: Estimate, noise: float) -> bool:
    """Return whether one lies above the other by more than the noise and than the halves of their intervals between."""
    between = math.hypot(one.value - (one.low or 0.0), (other.high or 0.0) - other.value)
    return one.value > other.value * (1 + noise) and one.value - other.value > _APART * between


def parse_waivers(text: str, source: str, claims: Mapping[str, object] | None = None) -> list[Waiver]:
    """Read a file of waivers.

    Args:
        text: TOML.
        source: its name, for errors.
        claims: names that there are; others are refused when given.

    Raises:
        ConfigError: it is not understood; a waiver with a slip would otherwise waive nothing, or too much.
    """
    document = parse_toml(text, source)
    waivers = []
    entries = document.pop("waiver", [])
    for one in entries if isinstance(entries, list) else [entries]:
        if not _is_waiver(one):
            msg = f"{source}: a waiver has a claim, a reason and until, a date"
            raise ConfigError(msg, hint='until = 2026-12-31, without quotes; reason = "..." in words')
        if claims is not None and one["claim"] not in claims:
            msg = f"{source}: {one['claim']}: the baseline has no such claim"
            raise ConfigError(msg, hint="copy the name from the output of strongroom bench compare")
        waivers.append(Waiver(claim=one["claim"], reason=one["reason"], until=one["until"]))
    if document:
        msg = f"{source}: {next(iter(document))}: only waivers may stand here"
        raise ConfigError(msg, hint="write [[waiver]], and nothing else")
    return waivers


def _is_waiver(one: object) -> bool:
    return (
        isinstance(one, dict)
        and set(one) == _MEMBERS
        and isinstance(one["claim"], str)
        and isinstance(one["reason"], str)
        and bool(one["reason"].strip())
        and type(one["until"]) is dt.date  # a datetime is one, too, and cannot be compared with a day
    )
