"""``strongroom s3 verify``: read every object of a bucket to its end, and report what is damaged."""

import argparse
import sys

from cli.s3.config import read_settings, with_storage
from cli.s3.progress import Progress
from cli.s3.status import Status, tell_hints
from s3proxy.storage import Storage
from s3proxy.tools.survey import State, Survey, Surveyor


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("bucket", metavar="BUCKET")
    parser.add_argument("--prefix", default="", help="only keys that begin so")


async def run(options: argparse.Namespace) -> int:
    """Verify a bucket.

    Raises:
        StrongroomError: it could not be carried through.
    """

    async def work(storage: Storage) -> Survey:
        with Progress("objects") as progress:
            surveyor = Surveyor(storage, options.bucket, progress=lambda survey: progress.show(survey.done))
            return await surveyor.run(prefix=options.prefix)

    survey = await with_storage(read_settings(options), work)
    for key, complaint in sorted(survey.complaints.items()):
        sys.stdout.write(f"{options.bucket}/{key}: {complaint}\n")
    for state in State:
        if survey.counts[state]:
            sys.stdout.write(f"{survey.counts[state]} {state.value}\n")
    sys.stdout.write(f"{survey.done} objects, {survey.plaintext_bytes} bytes of plaintext read\n")
    tell_hints(survey.keyless)
    if survey.counts[State.DAMAGED] or survey.counts[State.UNREADABLE]:
        return Status.LEFT
    return Status.NO_KEY if survey.keyless else Status.DONE
