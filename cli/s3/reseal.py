"""``strongroom s3 reseal``: seal anew what is sealed under another policy than its name has now."""

import argparse
import sys

from cli.s3.config import read_settings, with_storage
from cli.s3.progress import Progress
from cli.s3.status import Status, tell_hints
from s3proxy.storage import Storage
from s3proxy.tools.reseal import Resealing


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("bucket", metavar="BUCKET")
    parser.add_argument("--prefix", default="", help="only keys that begin so")
    parser.add_argument("--dry-run", action="store_true", help="say what would be sealed anew, and write nothing")
    parser.add_argument(
        "--all", action="store_true", help="also what is under its policy already: where a keyring was lost"
    )


async def run(options: argparse.Namespace) -> int:
    """Seal a bucket anew.

    Raises:
        StrongroomError: it could not be carried through.
    """
    settings = read_settings(options)

    async def work(storage: Storage) -> Resealing:
        with Progress("objects") as progress:
            resealing = Resealing(
                storage,
                options.bucket,
                buffered_bytes=settings.buffered_body_bytes,
                dry_run=options.dry_run,
                everything=options.all,
                progress=lambda report: progress.show(report.seen),
            )
            await resealing.run(prefix=options.prefix)
            return resealing

    resealing = await with_storage(settings, work)
    report = resealing.report
    for key, reason in sorted(report.left.items()):
        sys.stdout.write(f"{options.bucket}/{key}: left: {reason}\n")
    tell_hints(resealing.keyless)
    verb = "would be sealed anew" if options.dry_run else "sealed anew"
    sys.stdout.write(f"{report.done} {verb}, {report.sealed} under their policy already, {len(report.left)} left\n")
    if not report.left:
        return Status.DONE
    return Status.NO_KEY if len(resealing.keyless) == len(report.left) else Status.LEFT
