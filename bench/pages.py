"""What README.md and docs/benchmarks.md say of a full run: tables made from its result, between two marks. Pure."""

from collections.abc import Iterable
from typing import Final

from bench.chart import show
from bench.result import Claim, Result
from strongroom.errors import ConfigError

_BEGIN: Final = "<!-- {}: begin -->\n"
_END: Final = "<!-- {}: end -->\n"
_LARGE: Final = ("1 MiB", "16 MiB", "128 MiB")
_SMALL: Final = ("1 KiB", "64 KiB")
_PEERS: Final = {"bao agent": "`bao agent`", "sops": "`sops exec-env`", "dotenvx": "`dotenvx run`"}


def replaced(text: str, name: str, content: str, source: str) -> str:
    """Return a page with what stands between two marks replaced.

    Args:
        text: the page.
        name: of the marks.
        content: lines.
        source: name of the page, for errors.

    Raises:
        ConfigError: the page does not have both marks.
    """
    before, begin, rest = text.partition(_BEGIN.format(name))
    _, end, after = rest.partition(_END.format(name))
    if not (begin and end):
        msg = f"{source}: has no place for {name}"
        raise ConfigError(
            msg, hint=f"put {_BEGIN.format(name).strip()} and {_END.format(name).strip()} where it is to be"
        )
    return f"{before}{begin}{content}{end}{after}"


def costs(result: Result) -> str:
    """Return the table of README.md.

    Raises:
        ConfigError: the run has not measured all of it.
    """
    run = _Run(result)
    try:
        rows = [_start(run), _getenv(run), _large(run), _small(run), _memory(run)]
    except (KeyError, IndexError, ValueError) as error:
        msg = f"this run lacks what the table shows ({error})"
        raise ConfigError(msg, hint="take a full run of all suites: strongroom bench run") from None
    lines = ["| | Strongroom | beside |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "".join(f"{line}\n" for line in lines)


def aims(result: Result) -> str:
    """Return the table of docs/benchmarks.md: how many aims were met, and by how much the others were missed."""
    promised = [claim for claim in result.claims if claim.is_met is not None]
    missed = [claim for claim in promised if not claim.is_met]
    head = f"Commit {result.commit[:7]}: {len(promised) - len(missed)} of {len(promised)} aims met."
    if not missed:
        return f"{head}\n"
    lines = [head, "", "| missed | measured | aim | by |", "|---|---|---|---|", *map(_missed, missed)]
    return "".join(f"{line}\n" for line in lines)


def _missed(claim: Claim) -> str:
    aim, value = claim.aim or 0.0, claim.value.value
    sign = "≤" if claim.better == "lower" else "≥"
    share = f"{abs(value - aim) / aim:.0%}" if aim else ""
    doubt = "" if claim.is_decided or claim.value.interval is None else ", undecided"
    return f"| {claim.name} | {show(value, claim.unit)} | {sign} {show(aim, claim.unit)} | {share}{doubt} |"


class _Run:
    """Claims and figures of a run by what they are called."""

    def __init__(self, result: Result) -> None:
        self.result = result
        self._claims = {claim.name: claim.value.value for claim in result.claims}

    def claim(self, name: str) -> float:
        return self._claims[name]

    def median(self, suite: str, metric: str, **labels: str) -> float:
        return self.result.find(suite, metric, **labels)[0].median.value

    def cells(self, ways: Iterable[str], sizes: Iterable[str], what: str) -> list[float]:
        """Return a claim about boto3's requests in some cells, those that the run has measured."""
        names = [f"per-object/boto3 {way}/{size}/{what}" for way in ways for size in sizes]
        if not set(names) & set(self._claims):  # a run before there were any
            names = [name.replace("boto3 ", "") for name in names]
        return [self._claims[name] for name in names if name in self._claims]


def _start(run: _Run) -> list[str]:
    times = {
        figure.labels["target"]: show(figure.median.value, "s", 2)
        for figure in run.result.find("pod-start", "latency", secrets="10", network="0 ms")
    }
    beside = ", ".join(f"{words} {times[name]}" for name, words in _PEERS.items() if name in times)
    return ["start, 10 secrets", f"{times['strongroom']}, bundle {times['strongroom bundle']}", beside]


def _getenv(run: _Run) -> list[str]:
    growth = [
        run.median("getenv", "latency", target="glibc", operation="hit", threads="1", variables=count)
        for count in ("10", "10000")
    ]
    ours = run.claim("getenv/hit/growth of time from 10 to 10,000 variables/glibc")
    return [
        "`getenv()`, 40 variables",
        f"{run.claim('getenv/hit/40 variables/strongroom:glibc'):.2f} of glibc's time",
        f"with 10,000 variables {ours:.2f} of what 10 cost; glibc's grows {growth[1] / growth[0]:.0f}-fold",
    ]


def _large(run: _Run) -> list[str]:
    hop = [f"{way} {_span(run.cells([way], _LARGE, 'throughput/strongroom:haproxy'))}" for way in ("GET", "PUT")]
    rclone = _span(run.cells(("GET", "PUT"), _LARGE, "throughput/strongroom:rclone"), 1)
    return [
        "objects of 1 MiB and more, 16 streams",
        f"{', '.join(hop)} of a plain haproxy hop's throughput",
        f"{rclone} times `rclone crypt`'s",
    ]


def _small(run: _Run) -> list[str]:
    added = _span([1e3 * value for value in run.cells(("GET", "PUT"), _SMALL, "added latency/strongroom")], 1)
    longer = [
        f"{way} {_span([1 / value for value in run.cells([way], _SMALL, 'latency/strongroom:rclone')], 1)}"
        for way in ("GET", "PUT")
    ]
    return [
        "objects of 64 KiB and less",
        f"{added} ms more than the bare store",
        f"`rclone crypt`'s time is {', '.join(longer)} of ours",
    ]


def _memory(run: _Run) -> list[str]:
    large, many = (
        max(claim.value.value for claim in run.result.claims if claim.name.startswith(f"per-object/memory/{what}"))
        for what in ("one object", "64 streams")
    )
    return [
        "memory of the proxy",
        f"{large / (1 << 20):.0f} MiB with an object of 5 GiB, {many / (1 << 20):.0f} MiB with 64 streams",
        "",
    ]


def _span(values: list[float], digits: int = 2) -> str:
    least, most = (f"{value:.{digits}f}" for value in (min(values), max(values)))
    return least if least == most else f"{least} to {most}"
