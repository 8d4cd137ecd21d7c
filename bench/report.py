"""The report: one static page without scripts and without anything from elsewhere; raw data lies beside it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from bench.chart import show, spark
from bench.plots import Plot, plots
from bench.result import Claim, Figure, Result, history_line
from bench.samples import CONFIDENCE, DRAWS, INTERVAL_ROUNDS
from bench.suite import ROOT

_TITLES: Final = {
    "pod-start": ("Start of a program", "From exec of the wrapper to the first instruction of <code>main</code>."),
    "getenv": ("Reading a secret", "Calls of <code>getenv()</code> inside of a program, in time and instructions."),
    "per-object": ("An object on its way", "The same requests to the bare store, through a plain hop, and sealed."),
    "bridge": (
        "What the bridge carries",
        "Bundles of 10 secrets from a real OpenBao, each secret with an audit record.",
    ),
    "scale": ("How costs grow", "One exponent for each: cost = a · size<sup>k</sup>. Fixed costs make it smaller."),
}
_HEADLINES: Final = (
    ("pod-start/10 secrets/0 ms/bao agent:strongroom", "quicker start than bao agent"),
    ("pod-start/10 secrets/0 ms/strongroom above naked", "above a naked exec"),
    ("getenv/hit/40 variables/strongroom:glibc", "time of getenv(), to glibc's own"),
    ("per-object/boto3 GET/1 MiB/throughput/strongroom:haproxy", "of a plain hop's throughput, GET 1 MiB"),
)
_HISTORY_POINTS: Final = 60
_STATISTICS: Final = ("p50", "p90", "p99", "mean", "peak", "single")


@dataclass(frozen=True)
class _Past:
    """An earlier run, or this one: what the history keeps of it."""

    name: str
    claims: Mapping[str, float]


def write_report(result: Result, directory: Path, history: str) -> Path:
    """Write ``report.html`` and return its path.

    Args:
        result: to be shown; its ``result.json`` and tables stand beside the report.
        directory: of the run.
        history: JSON lines of earlier runs, oldest first.
    """
    path = directory / "report.html"
    path.write_text(page(result, history), encoding="utf-8")
    return path


def page(result: Result, history: str) -> str:
    """Return the page."""
    earlier = _past(result, history)
    drawn = plots(result)
    suites = [suite for suite in _TITLES if any(plot.suite == suite for plot in drawn)]
    links = "".join(f'<a href="#{suite}">{_TITLES[suite][0]}</a>' for suite in suites)
    sections = "".join(
        _section(suite, [plot for plot in drawn if plot.suite == suite], quick=result.quick) for suite in suites
    )
    style = (ROOT / "bench" / "report.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>What Strongroom costs</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>What Strongroom costs</h1>
<p class="faint">Commit {escape(result.commit[:12])}{" with changes" if "+" in result.commit else ""},
{escape(result.started[:16].replace("T", " "))} UTC, {"quick" if result.quick else "full"} run of {result.seconds:.0f} s
on {escape(result.machine.get("processor", "an unknown processor"))},
{escape(result.machine.get("cores", "?"))} cores.</p>
{_quick_warning(result)}
<nav><a href="#aims">Aims</a>{links}<a href="#history">History</a><a href="#machine">Machine</a>
<a href="#figures">All figures</a></nav>
</header>
<main>
{_headlines(result)}
{_aims(result, earlier)}
{sections}
{_history(result, earlier)}
{_machine(result)}
{_figures(result)}
</main>
</body>
</html>
"""


def _quick_warning(result: Result) -> str:
    if not result.quick:
        return ""
    return (
        "<p>Few samples were taken: read the intervals, and run without <code>--quick</code> before you quote it.</p>"
    )


def _headlines(result: Result) -> str:
    claims = {claim.name: claim for claim in result.claims}
    aims = [claim for claim in result.claims if claim.is_met is not None]
    cells = [
        f'<div class="stat"><b>{sum(bool(one.is_met) for one in aims)} of {len(aims)}</b><span>aims met</span></div>'
    ]
    for name, words in _HEADLINES:
        if name in claims:
            value = show(claims[name].value.value, claims[name].unit).replace(" x", "\u00d7")
            cells.append(f'<div class="stat"><b>{escape(value)}</b><span>{escape(words)}</span></div>')
    return f'<div class="stats">{"".join(cells)}</div>'


def _aims(result: Result, earlier: Sequence[_Past]) -> str:
    aims = sorted((claim for claim in result.claims if claim.is_met is not None), key=lambda claim: bool(claim.is_met))
    rows = "".join(_aim(claim, earlier) for claim in aims)
    return f"""<h2 id="aims">Aims, as ratios and counts within this run</h2>
<p class="faint">An aim is met or missed by its value; it is undecided beside that when the interval reaches across.
The interval holds {CONFIDENCE:.0%} of {DRAWS} draws of whole rounds, and there is none below {INTERVAL_ROUNDS} rounds.
The margin is a share of the aim. Missed ones stand first. Earlier runs: oldest first.
<a href="claims.csv">Raw data</a>.</p>
<div class="scroll"><table>
<thead><tr><th>Claim</th><th></th><th>Measured</th><th>Aim</th><th>Margin</th><th>Interval</th><th>Runs</th></tr></thead>
<tbody>{rows}</tbody></table></div>"""


def _aim(claim: Claim, earlier: Sequence[_Past]) -> str:
    word = "met" if claim.is_met else "missed"
    sign = "≤" if claim.better == "lower" else "≥"
    doubt = "" if claim.is_decided or claim.value.interval is None else '<br><span class="faint">undecided</span>'
    return (
        f"<tr><td>{escape(claim.name.replace('/', ' / '))}</td>"
        f'<td class="{word}">{word}{doubt}</td>'
        f'<td class="number">{escape(show(claim.value.value, claim.unit))}</td>'
        f'<td class="number">{sign} {escape(show(claim.aim or 0, claim.unit))}</td>'
        f'<td class="number">{_margin(claim)}</td>'
        f'<td class="number">{escape(_interval(claim))}</td><td>{_trend(claim, earlier)}</td></tr>'
    )


def _margin(claim: Claim) -> str:
    """Return by how much an aim is met or missed."""
    if not claim.aim:
        return ""
    share = (claim.value.value - claim.aim) / claim.aim
    return f"{abs(share):.0%} {'below' if share < 0 else 'above'}"


def _interval(claim: Claim) -> str:
    value = claim.value
    if value.is_exact:
        return ""
    if value.interval is None:
        return "too few rounds" if value.rounds else "none"
    return " … ".join(show(end, claim.unit) for end in value.interval)


def _trend(claim: Claim, earlier: Sequence[_Past]) -> str:
    runs = [past for past in earlier if claim.name in past.claims]
    return spark([past.claims[claim.name] for past in runs], [past.name for past in runs]) if len(runs) > 1 else ""


def _section(suite: str, drawn: Iterable[Plot], *, quick: bool) -> str:
    title, words = _TITLES[suite]
    command = f"strongroom bench run {'--quick ' if quick else ''}{suite}"
    figures = "".join(
        f'<figure id="{plot.key}"><h3>{escape(plot.title)}</h3>{plot.svg}'
        f'<figcaption>Lines over bars span the 95 % interval. <a href="{plot.raw}">Raw data</a>. '
        f"Reproduce: <code>{command}</code></figcaption></figure>"
        for plot in drawn
    )
    head = f'<h2>{title}</h2><p class="faint">{words}</p>'
    return f'<section id="{suite}">{head}<div class="charts">{figures}</div></section>'


def _past(result: Result, history: str) -> list[_Past]:
    """Return the earlier runs of the same kind, quick or full, and this one; oldest first, each once."""
    known = [json.loads(text) for text in (*history.splitlines(), history_line(result)) if text.strip()]
    runs = {
        one["started"]: _Past(f"{one['commit'][:7]} of {one['started'][:10]}", one["claims"])
        for one in known
        if one["quick"] == result.quick and one["started"] <= result.started
    }
    return [runs[started] for started in sorted(runs)[-_HISTORY_POINTS:]]


def _history(result: Result, earlier: Sequence[_Past]) -> str:
    rows = []
    for claim in result.claims:
        values = [past.claims[claim.name] for past in earlier if claim.name in past.claims]
        if claim.noise is not None:
            first, last = show(values[0], claim.unit), show(values[-1], claim.unit)
            name = escape(claim.name.replace("/", " / "))
            rows.append(
                f'<tr><td>{name}</td><td class="number">{first}</td><td>{_trend(claim, earlier)}</td>'
                f'<td class="number">{last}</td></tr>'
            )
    kind, option = ("quick", " --quick") if result.quick else ("full", "")
    return f"""<section id="history"><h2>History over {len(earlier)} {kind} runs</h2>
<p class="faint">Every claim that the drift gate looks at, from {escape(earlier[0].name)} to {escape(earlier[-1].name)}.
<a href="history.jsonl">Raw data</a>. Reproduce: <code>strongroom bench run{option} --record</code> on each commit.</p>
<details><summary>{len(rows)} claims</summary><div class="scroll"><table>
<thead><tr><th>Claim</th><th>First</th><th>Runs</th><th>Now</th></tr></thead>
<tbody>{"".join(rows)}</tbody></table></div></details></section>"""


def _machine(result: Result) -> str:
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(fact)}</td></tr>" for name, fact in result.machine.items())
    notes = "".join(f"<li>{escape(note)}</li>" for note in result.notes)
    return f"""<section id="machine"><h2>Machine</h2>
<div class="scroll"><table><tbody>{rows}</tbody></table></div>
<ul class="faint">{notes}</ul></section>"""


def _figures(result: Result) -> str:
    rows = []
    for figure in result.figures:
        labels = ", ".join(f"{name} {value}" for name, value in figure.labels.items())
        numbers = "".join(_statistic(figure, name) for name in _STATISTICS)
        rows.append(
            f"<tr><td>{figure.suite}</td><td>{escape(figure.metric.replace('_', ' '))}</td><td>{escape(labels)}</td>"
            f'{numbers}<td class="number">{figure.samples}</td></tr>'
        )
    heads = "".join(f"<th>{name}</th>" for name in _STATISTICS)
    return f"""<section id="figures"><h2>All figures</h2>
<p class="faint">A percentile needs samples enough to tell it: 10 for the 90th, 100 for the 99th.</p>
<p><a href="result.json">result.json</a>, <a href="figures.csv">figures.csv</a>, <a href="claims.csv">claims.csv</a>,
<a href="samples.csv">samples.csv</a>, <a href="metrics.prom">metrics.prom</a></p>
<details><summary>{len(rows)} figures</summary><div class="scroll"><table>
<thead><tr><th>Suite</th><th>What</th><th>Of</th>{heads}<th>Samples</th></tr></thead>
<tbody>{"".join(rows)}</tbody></table></div></details></section>"""


def _statistic(figure: Figure, name: str) -> str:
    found = figure.statistics.get(name)
    return f'<td class="number">{escape(show(found.value, figure.unit)) if found else ""}</td>'
