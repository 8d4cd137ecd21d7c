"""The drift gate: whether the claims of a new run are worse than those of a baseline by more than their noise. Pure.

Only ratios within one run and counts are gated, never times of one machine against times of another. A claim has
regressed when it is worse by more than the noise stated with it *and* its interval lies apart from the baseline's: the
first keeps harmless drift out, the second an unlucky draw. A gated claim that a new run of its suite lacks has
regressed, too. A waiver names one claim, a reason and a last day; after that day it counts for nothing.
"""

import datetime as dt
import enum
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from bench.result import Claim, Result
from strongroom.errors import ConfigError

_MEMBERS: Final = {"claim", "reason", "until"}


class Verdict(enum.Enum):
    """What became of a claim."""

    REGRESSED = "regressed"
    MISSING = "missing"
    WAIVED = "waived"
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
    """Return what became of each gated claim of the baseline.

    Args:
        baseline: to be kept up with.
        new: the run to be judged; claims of suites that it has not run are passed over.
        waivers: granted.
        today: for their last days.
        units: the units to look at; all when empty.
    """
    found = {claim.name: claim for claim in new.claims}
    granted = {waiver.claim: waiver.reason for waiver in waivers if waiver.until >= today}
    changes = []
    for before in baseline.claims:
        is_asked = not units or before.unit in units
        if before.noise is None or not is_asked or before.name.partition("/")[0] not in new.suites:
            continue
        after = found.get(before.name)
        verdict = _judge(before, after)
        reason = granted.get(before.name, "")
        if reason and verdict in {Verdict.REGRESSED, Verdict.MISSING}:
            verdict = Verdict.WAIVED
        changes.append(Change(verdict, before, after, reason))
    return changes


def _judge(before: Claim, after: Claim | None) -> Verdict:
    if after is None:
        return Verdict.MISSING
    old, now, noise = before.value, after.value, before.noise or 0.0
    if before.better == "lower":
        worse = now.value > old.value * (1 + noise) and now.low > old.high
        better = now.value < old.value / (1 + noise) and now.high < old.low
    else:
        worse = now.value < old.value / (1 + noise) and now.high < old.low
        better = now.value > old.value * (1 + noise) and now.low > old.high
    return Verdict.REGRESSED if worse else Verdict.BETTER if better else Verdict.STEADY


def parse_waivers(text: str, source: str, claims: Mapping[str, object] | None = None) -> list[Waiver]:
    """Read a file of waivers.

    Args:
        text: TOML.
        source: its name, for errors.
        claims: names that there are; others are refused when given.

    Raises:
        ConfigError: it is not understood; a waiver with a slip would otherwise waive nothing, or too much.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"{source}: is not TOML ({error})"
        raise ConfigError(msg) from None
    waivers = []
    for one in document.pop("waiver", []):
        if set(one) != _MEMBERS or not isinstance(one["until"], dt.date) or not str(one["reason"]).strip():
            msg = f"{source}: a waiver has a claim, a reason and until, a date"
            raise ConfigError(msg, hint='until = 2026-12-31, without quotes; reason = "..." in words')
        if claims is not None and one["claim"] not in claims:
            msg = f"{source}: {one['claim']}: the baseline has no such claim"
            raise ConfigError(msg, hint="copy the name from the output of strongroom bench compare")
        waivers.append(Waiver(claim=one["claim"], reason=one["reason"], until=one["until"]))
    if document:
        msg = f"{source}: {next(iter(document))}: only waivers may stand here"
        raise ConfigError(msg)
    return waivers
