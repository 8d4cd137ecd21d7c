"""``strongroom s3 rewrap``: after a rotation of the KEK, wrap the bucket keys anew; objects stay as they are."""

import argparse
import sys
from collections.abc import Container

from cli.s3.config import read_settings, with_storage
from cli.s3.progress import Progress
from cli.s3.status import Status, tell_hints
from s3proxy.keys.kek import KeyNotAvailableError
from s3proxy.keys.rewrap import Rewrapper, RewrapReport
from s3proxy.storage import Storage
from strongroom.terminal import say


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and write nothing")


async def run(options: argparse.Namespace) -> int:
    """Rewrap the keyring.

    Raises:
        StrongroomError: it could not be carried through.
    """
    formers: set[str] = set()

    async def work(storage: Storage) -> RewrapReport:
        formers.update(name for policy in storage.policies for name in policy.formerly)
        with Progress("records") as progress:

            def show(report: RewrapReport) -> None:
                progress.show(report.current.total() + report.rewrapped.total() + len(report.failed))

            keks = storage.keks.of(storage.policies)
            rewrapper = Rewrapper(storage.keyring, keks, guard=storage.guard, dry_run=options.dry_run, progress=show)
            return await rewrapper.run()

    report = await with_storage(read_settings(options), work)
    sys.stdout.write(describe(report, dry_run=options.dry_run, formers=formers))
    for name, error in sorted(report.failed.items()):
        say(f"error: {name}: {error.message}")
    for _, error in sorted(report.lost.items()):
        say(f"error: {error.message}")
    wrong = [*report.failed.values(), *report.lost.values()]
    tell_hints(wrong)
    if not wrong:
        return Status.DONE
    return Status.NO_KEY if all(isinstance(error, KeyNotAvailableError) for error in wrong) else Status.LEFT


def describe(report: RewrapReport, *, dry_run: bool, formers: Container[str] = ()) -> str:
    """Return the report, one line for each policy, and for each of its former names that has records."""
    verb = "would be rewrapped" if dry_run else "rewrapped"
    lines = []
    for policy, (form, version) in sorted(report.newest.items()):
        done, current = report.rewrapped[policy], report.current[policy]
        if policy in formers and not done + current:
            continue
        lines.append(f"{policy}: {done} {verb}, {current} already under {form} version {version}\n")
    if report.failed:
        lines.append(f"{len(report.failed)} records failed\n")
    return "".join(lines)
