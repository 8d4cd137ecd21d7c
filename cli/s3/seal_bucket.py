"""``strongroom s3 seal-bucket``: seal what is in a bucket as plaintext, while it is in use."""

import argparse
import sys

from cli.s3.config import read_settings, with_storage
from cli.s3.progress import Progress
from s3proxy.storage import Storage
from s3proxy.store.listing import list_objects
from s3proxy.tools.migration import Migration, MigrationReport


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("bucket", metavar="BUCKET")
    parser.add_argument("--prefix", default="", help="only keys that begin so")
    parser.add_argument("--dry-run", action="store_true", help="say what is left to be sealed, and write nothing")


async def run(options: argparse.Namespace) -> int:
    """Seal a bucket; 1 if something is left.

    Raises:
        StrongroomError: it could not be carried through.
    """
    settings = read_settings(options)

    async def work(storage: Storage) -> MigrationReport:
        total = 0
        if sys.stderr.isatty():  # a bar needs to know the end
            async for _ in list_objects(storage.store, options.bucket, prefix=options.prefix):
                total += 1
        with Progress("objects", total) as progress:
            migration = Migration(
                storage,
                options.bucket,
                buffered_bytes=settings.buffered_body_bytes,
                dry_run=options.dry_run,
                progress=lambda report: progress.show(report.seen),
            )
            return await migration.run(prefix=options.prefix)

    report = await with_storage(settings, work)
    for key, reason in sorted(report.left.items()):
        sys.stdout.write(f"{options.bucket}/{key}: left: {reason}\n")
    verb = "would be sealed" if options.dry_run else "sealed now"
    sys.stdout.write(f"{report.done} {verb}, {report.sealed} sealed before, {len(report.left)} left\n")
    return 1 if report.left else 0
