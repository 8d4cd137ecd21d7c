"""``strongroom bench``: run suites, compare runs, write reports."""

import argparse
import datetime as dt
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Final, cast

from bench.gate import MIN_ROUNDS, Change, Verdict, compare, parse_waivers
from bench.pages import aims, costs, replaced
from bench.pictures import write_pictures
from bench.plots import plots
from bench.result import Result, history_line, parse_result
from bench.running import HISTORY, STOPPED, make_directory, measure, write_run
from bench.suite import ROOT, Suite
from strongroom.errors import ConfigError, StrongroomError
from strongroom.terminal import say
from wrapper.exit_status import report as report_error

SUITES: Final = ("per_object", "pod_start", "getenv", "bridge", "scale")
RESULTS: Final = ROOT / "bench" / "results" / "local"
WAIVERS: Final = ROOT / "bench" / "baselines" / "waivers.toml"
PAGES: Final = {ROOT / "README.md": ("costs", costs), ROOT / "docs" / "benchmarks.md": ("aims", aims)}
PICTURES: Final = ROOT / "docs" / "images"


def main(arguments: list[str]) -> int:
    """Run the verb and return its exit status: 1 when a suite failed or a gate is shut, 2 when a word is wrong.

    Args:
        arguments: what follows ``strongroom bench``.
    """
    options = parser().parse_args(arguments)
    try:
        return int(options.do(options))
    except StrongroomError as error:
        return report_error(error)
    except KeyboardInterrupt:
        sys.stderr.write("\nstrongroom: stopped\n")
        return STOPPED


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verbs."""
    made = argparse.ArgumentParser(
        prog="strongroom bench", description="Measure what Strongroom costs on this machine."
    )
    verbs = made.add_subparsers(required=True, metavar="VERB")
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
    comparing = verbs.add_parser("compare", help="tell whether a run is worse than a baseline beyond noise")
    comparing.add_argument("baseline", type=Path)
    comparing.add_argument("new", type=Path)
    comparing.add_argument("--unit", action="append", default=[], help="only claims of this unit; may be repeated")
    comparing.add_argument("--waivers", type=Path, default=WAIVERS, metavar="FILE")
    comparing.set_defaults(do=_compare)
    reporting = verbs.add_parser("report", help="write the report of a run again")
    reporting.add_argument("result", type=Path, help="result.json of a run")
    reporting.add_argument("--output", type=Path, metavar="DIR", help="where to write; beside a result.json by default")
    reporting.add_argument(
        "--png", nargs="+", default=[], metavar="CHART", help="draw these charts as docs/images/*.png"
    )
    reporting.add_argument("--pages", action="store_true", help="write the tables of README.md and docs/benchmarks.md")
    reporting.set_defaults(do=_report)
    return made


def load(name: str) -> Suite:
    """Import a suite by the name of its module."""
    return cast("Suite", import_module(f"bench.{name}"))


def _list(_: argparse.Namespace) -> int:
    suites = [load(name) for name in SUITES]
    width = max(len(suite.NAME) for suite in suites)
    sys.stdout.write("".join(f"{suite.NAME.ljust(width)}  {suite.SUMMARY}\n" for suite in suites))
    return 0


def _run(options: argparse.Namespace) -> int:
    # Imported here: only a run needs to know the machine.
    from bench import machine  # noqa: PLC0415

    known = {suite.NAME: suite for suite in map(load, SUITES)}
    unknown = sorted(set(options.suite) - set(known))
    if unknown:
        raise ConfigError(f"{unknown[0]}: no such suite", hint="strongroom bench list names them")
    chosen = [known[name] for name in known if not options.suite or name in options.suite]
    started = dt.datetime.now(dt.UTC)
    directory = options.output or RESULTS / started.strftime("%Y%m%dT%H%M%SZ")
    make_directory(directory)
    result = Result(
        machine=machine.profile(directory),
        commit=machine.commit(),
        started=started.isoformat(timespec="seconds"),
        quick=options.quick,
        asked=[suite.NAME for suite in chosen],
    )
    if machine.file_system(Path(tempfile.gettempdir())) == "tmpfs":
        result.notes.append("the servers write to memory (tmpfs): what is durable costs nothing here; set TMPDIR")
    status = measure(chosen, result, directory)
    if options.record and not status:
        with HISTORY.open("a") as history:
            history.write(history_line(result))
    _say_aims(result)
    sys.stdout.write(f"{directory / 'report.html'}\n")
    return status


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
    passed = [change for change in changes if change.verdict in {Verdict.TOO_FEW, Verdict.LEFT_OUT}]
    if len(changes) == len(passed):
        msg = "the two runs have no gated claim in common"
        raise ConfigError(msg, hint=f"run the suites of the baseline; a ratio takes {MIN_ROUNDS} rounds to be compared")
    sys.stderr.write(f"strongroom: {len(changes) - len(passed)} claims compared, {len(failing)} regressed\n")
    if passed:
        words = f"rest on fewer than {MIN_ROUNDS} rounds or on what was left out"
        sys.stderr.write(f"strongroom: {len(passed)} more {words}, and are not compared\n")
    if failing:
        say(f"hint: mend it, or waive it with a reason in {options.waivers}")
    return 1 if failing else 0


def _line(change: Change) -> str:
    before, after = change.before.value.value, change.after
    now = f"{after.value.value:.4g}" if after else "-"
    share = f"{(after.value.value / before - 1):+.1%}" if after and before else ""
    reason = f" ({change.reason})" if change.reason else ""
    return f"{change.verdict.value:14} {before:.4g} -> {now} {share:>7}  {change.before.name}{reason}\n"


def _report(options: argparse.Namespace) -> int:
    result, beside = _read(options.result), options.result.name == "result.json"
    directory = options.output or (options.result.parent if beside else RESULTS / options.result.stem)
    make_directory(directory)
    sys.stdout.write(f"{write_run(result, directory)}\n")
    if options.png:
        drawn = {plot.key: plot for plot in plots(result)}
        unknown = sorted(set(options.png) - set(drawn))
        if unknown:
            raise ConfigError(f"{unknown[0]}: this run gives no such chart", hint=f"there are {', '.join(drawn)}")
        for path in write_pictures([drawn[key] for key in options.png], PICTURES):
            sys.stdout.write(f"{path}\n")
    if options.pages:
        for page, (name, make) in PAGES.items():
            page.write_text(replaced(_text(page), name, make(result), str(page)))
            sys.stdout.write(f"{page}\n")
    return 0


def _read(path: Path) -> Result:
    return parse_result(_text(path), str(path))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror})"
        raise ConfigError(msg, hint="name a result.json that strongroom bench wrote") from None
