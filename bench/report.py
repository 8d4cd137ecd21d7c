"""The report: one static page without scripts and without anything from elsewhere; raw data lies beside it."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Final

from bench.chart import spark
from bench.plots import Plot, plots
from bench.result import Claim, Result, history_line
from bench.suite import ROOT
from bench.units import show

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
    ("per-object/GET/1 MiB/throughput/strongroom:haproxy", "of a plain hop's throughput, GET 1 MiB"),
)
_HISTORY_POINTS: Final = 60


def write_report(result: Result, directory: Path, history: str) -> Path:
    """Write ``report.html`` and return its path.

    Args:
        result: to be shown; its ``result.json`` and ``figures.csv`` stand beside the report.
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
    sections = "".join(_section(suite, [plot for plot in drawn if plot.suite == suite]) for suite in suites)
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


def _aims(result: Result, earlier: Sequence[dict[str, float]]) -> str:
    aims = sorted((claim for claim in result.claims if claim.is_met is not None), key=lambda claim: bool(claim.is_met))
    rows = "".join(_aim(claim, earlier) for claim in aims)
    return f"""<h2 id="aims">Aims, as ratios and counts within this run</h2>
<p class="faint">The interval holds 95 % of 400 draws of whole rounds. Missed ones stand first.
Earlier runs: oldest first.</p>
<div class="scroll"><table>
<thead><tr><th>Claim</th><th></th><th>Measured</th><th>Aim</th><th>Interval</th><th>Runs</th></tr></thead>
<tbody>{rows}</tbody></table></div>"""


def _aim(claim: Claim, earlier: Sequence[dict[str, float]]) -> str:
    values = [past[claim.name] for past in earlier if claim.name in past]
    word = "met" if claim.is_met else "missed"
    sign = "≤" if claim.better == "lower" else "≥"
    is_exact = claim.value.low == claim.value.high
    interval = "" if is_exact else f"{show(claim.value.low, claim.unit)} … {show(claim.value.high, claim.unit)}"
    return (
        f"<tr><td>{escape(claim.name.replace('/', ' / '))}</td>"
        f'<td class="{word}">{word}</td>'
        f'<td class="number">{escape(show(claim.value.value, claim.unit))}</td>'
        f'<td class="number">{sign} {escape(show(claim.aim or 0, claim.unit))}</td>'
        f'<td class="number">{escape(interval)}</td><td>{_trend(values)}</td></tr>'
    )


def _trend(values: Sequence[float]) -> str:
    return spark(values) if len(values) > 1 else ""


def _section(suite: str, drawn: Iterable[Plot]) -> str:
    title, words = _TITLES[suite]
    figures = "".join(
        f'<figure id="{plot.key}"><h3>{escape(plot.title)}</h3>{plot.svg}'
        f'<figcaption>Medians; lines over bars span the 95 % interval. <a href="figures.csv">Raw data</a>. '
        f"Reproduce: <code>strongroom bench run {suite}</code></figcaption></figure>"
        for plot in drawn
    )
    head = f'<h2>{title}</h2><p class="faint">{words}</p>'
    return f'<section id="{suite}">{head}<div class="charts">{figures}</div></section>'


def _past(result: Result, history: str) -> list[dict[str, float]]:
    """Return the claims of earlier runs and of this one."""
    texts = [*history.splitlines(), history_line(result)]
    return [json.loads(text)["claims"] for text in texts[-_HISTORY_POINTS:] if text.strip()]


def _history(result: Result, earlier: Sequence[dict[str, float]]) -> str:
    rows = []
    for claim in result.claims:
        values = [past[claim.name] for past in earlier if claim.name in past]
        if claim.noise is not None:
            first, last = show(values[0], claim.unit), show(values[-1], claim.unit)
            name = escape(claim.name.replace("/", " / "))
            rows.append(
                f'<tr><td>{name}</td><td class="number">{first}</td><td>{_trend(values)}</td>'
                f'<td class="number">{last}</td></tr>'
            )
    return f"""<section id="history"><h2>History over {len(earlier)} runs</h2>
<p class="faint">Every claim that the drift gate looks at. <a href="history.jsonl">Raw data</a>. Reproduce:
<code>strongroom bench run --record</code> on each commit.</p>
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
        numbers = "".join(
            f'<td class="number">{escape(show(it.value, figure.unit))}</td>' for it in figure.percentiles.values()
        )
        rows.append(
            f"<tr><td>{figure.suite}</td><td>{escape(figure.metric.replace('_', ' '))}</td><td>{escape(labels)}</td>"
            f'{numbers}<td class="number">{figure.samples}</td></tr>'
        )
    return f"""<section id="figures"><h2>All figures</h2>
<p><a href="result.json">result.json</a>, <a href="figures.csv">figures.csv</a>,
<a href="metrics.prom">metrics.prom</a></p>
<details><summary>{len(rows)} figures</summary><div class="scroll"><table>
<thead><tr><th>Suite</th><th>What</th><th>Of</th><th>p50</th><th>p90</th><th>p99</th><th>Samples</th></tr></thead>
<tbody>{"".join(rows)}</tbody></table></div></details></section>"""
