"""``strongroom s3 VERB``: work on sealed buckets with the proxy's own settings, and without a running proxy."""

import argparse
import asyncio
from collections.abc import Callable, Coroutine

from cli.s3 import open as opening
from cli.s3 import verbs
from cli.s3.config import take_settings
from cli.s3.status import MEANINGS, status_of
from strongroom.errors import StrongroomError
from strongroom.linux.process import keep_memory_private
from strongroom.terminal import say, tell

_Run = Callable[[argparse.Namespace], Coroutine[None, None, int]]
_Configure = Callable[[argparse.ArgumentParser], None]

_VERBS: dict[str, tuple[_Run, _Configure, str]] = {
    "seal-bucket": (
        verbs.seal_bucket,
        verbs.configure_seal_bucket,
        "seal what is in a bucket as plaintext, while it is in use",
    ),
    "reseal": (
        verbs.reseal,
        verbs.configure_reseal,
        "seal anew what is sealed under another policy than its name has now, while it is in use",
    ),
    "verify": (
        verbs.verify,
        verbs.configure_bucket,
        "read every object of a bucket to its end, and report what is damaged",
    ),
    "open": (opening.run, opening.configure, "decrypt a stored object from its bytes, without its store"),
    "rewrap": (
        verbs.rewrap,
        verbs.configure_rewrap,
        "after a rotation of the KEK, wrap the bucket keys anew; objects stay as they are",
    ),
}

_SETTINGS = "Every setting of the proxy is an option, too: `strongroom s3proxy --help` lists them."


def main(arguments: list[str]) -> int:
    """Run one verb and return its exit status, one of ``cli.s3.status``.

    Args:
        arguments: what follows ``strongroom s3``.
    """
    keep_memory_private()
    try:
        verb = next((word for word in arguments if word in _VERBS), "")
        words, settings = take_settings(arguments, verb)
        options = parser().parse_args(words)
        options.settings = settings
        run, _, _ = _VERBS[options.verb]
        status = asyncio.run(run(options))
    except StrongroomError as error:
        tell(error)
        return status_of(error)
    except KeyboardInterrupt:
        say("stopped; what was done is done, and the same command goes on from there")
        return 130
    return status


def parser() -> argparse.ArgumentParser:
    """Return the parser of the verbs' own options."""
    statuses = "\n".join(f"  {status.value}  {meaning}" for status, meaning in MEANINGS.items())
    made = argparse.ArgumentParser(
        prog="strongroom s3",
        description="Work on sealed buckets, without a proxy.",
        epilog=f"{_SETTINGS}\n\nexit status:\n{statuses}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = made.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, (_, configure, meaning) in _VERBS.items():
        sub = verbs.add_parser(verb, help=meaning, description=f"{meaning[0].upper()}{meaning[1:]}.", epilog=_SETTINGS)
        sub.add_argument(
            "--config", default="", metavar="FILE", help="settings of the proxy; also STRONGROOM_S3PROXY_CONFIG"
        )
        configure(sub)
    return made
