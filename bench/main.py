"""``strongroom bench``: run suites, compare runs, write reports."""

import argparse
import datetime as dt
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Final, cast

from bench.gate import Change, compare, parse_waivers
from bench.pictures import write_pictures
from bench.plots import plots
from bench.progress import Progress
from bench.report import write_report
from bench.result import Result, history_line, parse_result
from bench.suite import ROOT, Run, Suite
from strongroom.errors import ConfigError, StrongroomError
from wrapper.main import report as report_error

SUITES: Final = ("per_object", "pod_start", "getenv", "bridge", "scale")
RESULTS: Final = ROOT / "bench" / "results" / "local"
HISTORY: Final = ROOT / "bench" / "history.jsonl"
WAIVERS: Final = ROOT / "bench" / "baselines" / "waivers.toml"
PICTURES: Final = ROOT / "docs" / "images"
CACHE: Final = Path.home() / ".cache" / "strongroom-bench"


def main(arguments: list[str]) -> int:
    """Run the verb and return its exit status: 1 when a suite failed or a gate is shut, 2 when a word is wrong.

    Args:
        arguments: what follows ``strongroom bench``.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.do(options))
    except StrongroomError as error:
        return report_error(error)
    except KeyboardInterrupt:
        sys.stderr.write("\nstrongroom: stopped; nothing was written\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="strongroom bench", description="Measure what Strongroom costs on this machine."
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    listing = verbs.add_parser("list", help="name the suites")
    listing.set_defaults(do=_list)
    running = verbs.add_parser("run", help="measure, and end with the path of the report")
    running.add_argument("suite", nargs="*", help="suites to run; all by default")
    running.add_argument("--quick", action="store_true", help="take less than three minutes, with wide intervals")
    running.add_argument(
        "--output", type=Path, metavar="DIR", help="where to write; bench/results/local/TIME by default"
    )
    running.add_argument("--record", action="store_true", help=f"append to {HISTORY.relative_to(ROOT)}")
    running.set_defaults(do=_run)
    comparing = verbs.add_parser("compare", help="say whether a run is worse than a baseline beyond noise")
    comparing.add_argument("baseline", type=Path)
    comparing.add_argument("new", type=Path)
    comparing.add_argument("--unit", action="append", default=[], help="only claims of this unit; may be repeated")
    comparing.add_argument("--waivers", type=Path, default=WAIVERS, metavar="FILE")
    comparing.set_defaults(do=_compare)
    reporting = verbs.add_parser("report", help="write the report of a run again")
    reporting.add_argument("result", type=Path, help="result.json of a run")
    reporting.add_argument(
        "--png", nargs="+", default=[], metavar="CHART", help="draw these charts as docs/images/*.png"
    )
    reporting.set_defaults(do=_report)
    return parser


def _load(name: str) -> Suite:
    return cast("Suite", import_module(f"bench.{name}"))


def _list(_: argparse.Namespace) -> int:
    suites = [_load(name) for name in SUITES]
    width = max(len(suite.NAME) for suite in suites)
    sys.stdout.write("".join(f"{suite.NAME.ljust(width)}  {suite.SUMMARY}\n" for suite in suites))
    return 0


def _run(options: argparse.Namespace) -> int:
    # Imported here: only a run needs to know the machine.
    from bench import machine  # noqa: PLC0415

    known = {suite.NAME: suite for suite in map(_load, SUITES)}
    unknown = sorted(set(options.suite) - set(known))
    if unknown:
        msg = f"{unknown[0]}: no such suite"
        raise ConfigError(msg, hint="strongroom bench list names them")
    chosen = [known[name] for name in known if not options.suite or name in options.suite]
    started = dt.datetime.now(dt.UTC)
    result = Result(
        machine=machine.profile(),
        commit=machine.commit(),
        started=started.isoformat(timespec="seconds"),
        quick=options.quick,
    )
    begin = time.monotonic()
    failed = _measure(chosen, result, quick=options.quick)
    result.seconds = round(time.monotonic() - begin, 1)
    directory = options.output or RESULTS / started.strftime("%Y%m%dT%H%M%SZ")
    path = write_run(result, directory, HISTORY.read_text() if HISTORY.exists() else "")
    if options.record:
        with HISTORY.open("a") as history:
            history.write(history_line(result))
    _say_aims(result)
    sys.stdout.write(f"{path}\n")
    return 1 if failed else 0


def _measure(suites: list[Suite], result: Result, *, quick: bool) -> bool:
    """Run suites; one that fails is told and noted, and the others go on. Returns whether one failed."""
    progress, failed = Progress(sys.stderr, len(suites)), False
    for suite in suites:
        progress.suite(suite.NAME)
        with tempfile.TemporaryDirectory(prefix="strongroom-bench-") as directory:
            run = Run(directory=Path(directory), cache=CACHE, quick=quick, result=result, tell=progress.tell)
            try:
                suite.measure(run)
            except StrongroomError as error:
                failed = True
                progress.end()
                report_error(error)
                result.notes.append(f"{suite.NAME}: broke off: {error.message}")
            else:
                result.suites.append(suite.NAME)
    progress.end()
    return failed


def write_run(result: Result, directory: Path, history: str) -> Path:
    """Write a run in all its forms and return the path of the report."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "result.json").write_text(result.to_json())
    (directory / "figures.csv").write_text(result.to_csv())
    (directory / "metrics.prom").write_text(result.to_prometheus())
    (directory / "history.jsonl").write_text(history)
    return write_report(result, directory, history)


def _say_aims(result: Result) -> None:
    aims = [claim for claim in result.claims if claim.is_met is not None]
    missed = [claim for claim in aims if not claim.is_met]
    sys.stderr.write(f"strongroom: {len(aims) - len(missed)} of {len(aims)} aims met\n")
    for claim in missed:
        sys.stderr.write(f"strongroom: missed: {claim.name}: {claim.value.value:.3g} {claim.unit}, aim {claim.aim:g}\n")


def _compare(options: argparse.Namespace) -> int:
    baseline, new = _read(options.baseline), _read(options.new)
    names = dict.fromkeys(claim.name for claim in baseline.claims)
    waivers = parse_waivers(_text(options.waivers), str(options.waivers), names) if options.waivers.exists() else []
    today = dt.datetime.now(dt.UTC).date()
    changes = compare(baseline, new, waivers=waivers, today=today, units=frozenset(options.unit))
    sys.stdout.write("".join(_line(change) for change in changes))
    failing = [change for change in changes if change.fails]
    if not changes:
        msg = "the two runs have no gated claim in common"
        raise ConfigError(msg, hint="run the suites of the baseline")
    sys.stderr.write(f"strongroom: {len(changes)} claims compared, {len(failing)} regressed\n")
    if failing:
        sys.stderr.write(f"strongroom: hint: mend it, or waive it with a reason in {options.waivers}\n")
    return 1 if failing else 0


def _line(change: Change) -> str:
    before, after = change.before.value.value, change.after
    now = f"{after.value.value:.4g}" if after else "-"
    share = f"{(after.value.value / before - 1):+.1%}" if after and before else ""
    reason = f" ({change.reason})" if change.reason else ""
    return f"{change.verdict.value:9} {before:.4g} -> {now} {share:>7}  {change.before.name}{reason}\n"


def _report(options: argparse.Namespace) -> int:
    result = _read(options.result)
    history = HISTORY.read_text() if HISTORY.exists() else ""
    sys.stdout.write(f"{write_run(result, options.result.parent, history)}\n")
    if options.png:
        drawn = {plot.key: plot for plot in plots(result)}
        unknown = sorted(set(options.png) - set(drawn))
        if unknown:
            msg = f"{unknown[0]}: this run gives no such chart"
            raise ConfigError(msg, hint=f"there are {', '.join(drawn)}")
        for path in write_pictures([drawn[key] for key in options.png], PICTURES):
            sys.stdout.write(f"{path}\n")
    return 0


def _read(path: Path) -> Result:
    return parse_result(_text(path), str(path))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror})"
        raise ConfigError(msg) from None
