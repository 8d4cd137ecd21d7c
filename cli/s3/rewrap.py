"""``strongroom s3 rewrap``: after a rotation of the KEK, wrap the bucket keys anew; objects stay as they are."""

import argparse
import sys

from cli.s3.config import read_settings, with_backing
from cli.s3.progress import Progress
from s3proxy.backing import Backing
from s3proxy.keys.rewrap import Rewrapper, RewrapReport


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and write nothing")


async def run(options: argparse.Namespace) -> int:
    """Rewrap the keyring; 1 if a record could not be.

    Raises:
        StrongroomError: it could not be carried through.
    """

    async def work(backing: Backing) -> RewrapReport:
        with Progress("records") as progress:

            def show(report: RewrapReport) -> None:
                progress.show(report.current.total() + report.rewrapped.total() + len(report.failed))

            keks = backing.keks.of(backing.policies)
            return await Rewrapper(backing.keyring, keks, dry_run=options.dry_run, progress=show).run()

    report = await with_backing(read_settings(options.config), work)
    sys.stdout.write(describe(report, dry_run=options.dry_run))
    for name, reason in sorted(report.failed.items()):
        sys.stderr.write(f"strongroom: error: {name}: {reason}\n")
    return 1 if report.failed else 0


def describe(report: RewrapReport, *, dry_run: bool) -> str:
    """Return the report, one line for each policy."""
    verb = "would be rewrapped" if dry_run else "rewrapped"
    lines = []
    for policy, (form, version) in sorted(report.newest.items()):
        done, current = report.rewrapped[policy], report.current[policy]
        lines.append(f"{policy}: {done} {verb}, {current} already under {form} version {version}\n")
    if report.failed:
        lines.append(f"{len(report.failed)} records failed\n")
    return "".join(lines)
