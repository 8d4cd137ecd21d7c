"""The verbs of ``strongroom s3`` that go through a whole bucket or keyring: seal-bucket, reseal, verify, rewrap."""

import argparse
import sys
from collections.abc import Container

from cli.s3.config import read_settings, with_storage
from cli.s3.status import Progress, Status, tell_hints
from s3proxy.keys.kek import KeyNotAvailableError
from s3proxy.keys.rewrap import Rewrapper, RewrapReport
from s3proxy.storage import Storage
from s3proxy.store.listing import list_objects
from s3proxy.tools.migration import Migration, MigrationReport
from s3proxy.tools.reseal import Resealing
from s3proxy.tools.survey import State, Survey, Surveyor
from strongroom.terminal import say


def configure_bucket(parser: argparse.ArgumentParser, dry_run: str = "") -> None:
    """Add the arguments of a verb that works on a bucket; ``dry_run`` is what that option of it does."""
    parser.add_argument("bucket", metavar="BUCKET")
    parser.add_argument("--prefix", default="", help="only keys that begin so")
    if dry_run:
        parser.add_argument("--dry-run", action="store_true", help=dry_run)


def configure_seal_bucket(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    configure_bucket(parser, "say what is left to be sealed, and write nothing")


def configure_reseal(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    configure_bucket(parser, "say what would be sealed anew, and write nothing")
    parser.add_argument(
        "--all", action="store_true", help="also what is under its policy already: where a keyring was lost"
    )


def configure_rewrap(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and write nothing")


async def seal_bucket(options: argparse.Namespace) -> int:
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
    _tell_left(options.bucket, report)
    verb = "would be sealed" if options.dry_run else "sealed now"
    sys.stdout.write(f"{report.done} {verb}, {report.sealed} sealed before, {len(report.left)} left\n")
    return Status.LEFT if report.left else Status.DONE


async def reseal(options: argparse.Namespace) -> int:
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
    _tell_left(options.bucket, report)
    tell_hints(resealing.keyless)
    verb = "would be sealed anew" if options.dry_run else "sealed anew"
    sys.stdout.write(f"{report.done} {verb}, {report.sealed} under their policy already, {len(report.left)} left\n")
    if not report.left:
        return Status.DONE
    return Status.NO_KEY if len(resealing.keyless) == len(report.left) else Status.LEFT


def _tell_left(bucket: str, report: MigrationReport) -> None:
    for key, reason in sorted(report.left.items()):
        sys.stdout.write(f"{bucket}/{key}: left: {reason}\n")


async def verify(options: argparse.Namespace) -> int:
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


async def rewrap(options: argparse.Namespace) -> int:
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
