"""``strongroom dev``: everything on this machine, until Ctrl-C; then nothing of it is left."""

import argparse
import os
import shlex
import signal
import sys
import tempfile
from pathlib import Path

from devstack.s3_stack import KEY, S3Stack
from devstack.stack import IDENTITY, DevStack
from strongroom.errors import PeerError, StrongroomError
from strongroom.linux.process import keep_memory_private
from wrapper.exit_status import report


class _StopError(Exception):
    """Somebody asked for the end."""


def main(arguments: list[str]) -> int:
    """Run the verb.

    Args:
        arguments: what follows ``strongroom dev``.
    """
    keep_memory_private()  # it holds OpenBao's root token
    parser = argparse.ArgumentParser(
        prog="strongroom dev",
        description="Start a real OpenBao with a bridge, and a real S3 store with a proxy, until Ctrl-C.",
    )
    parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="strongroom-dev-") as directory,
            DevStack(Path(directory)) as stack,
            S3Stack(Path(directory) / "s3", stack.openbao) as objects,
        ):
            sys.stdout.write(describe(stack, objects))
            sys.stdout.flush()
            _wait(stack, objects)
    except _StopError:
        sys.stderr.write("strongroom: stopped; nothing is left behind\n")
        return 0
    except StrongroomError as error:
        return report(error)
    return 0


def _stop(_number: int, _frame: object) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the clean-up is not to be interrupted by a second Ctrl-C
    raise _StopError


def _wait(stack: DevStack, objects: S3Stack) -> None:
    """Wait for the end of a child; a signal ends the wait with _StopError.

    Raises:
        PeerError: a child has ended.
    """
    children = {
        stack.openbao.pid: "OpenBao",
        stack.bridge.pid: "the bridge",
        objects.store.pid: "SeaweedFS",
        objects.proxy.pid: "the S3 proxy",
    }
    while True:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        name = children.get(ended.si_pid if ended else 0)
        if name:
            msg = f"{name} has ended; everything is stopped"
            raise PeerError(msg, hint="its last lines, above, say why; start strongroom dev again")


def describe(stack: DevStack, objects: S3Stack) -> str:
    """Return what to type to use it, as shell commands that can be pasted or evaluated."""
    token_file = stack.directory / "root-token"
    stack.openbao.write_token_file(token_file)
    variables = stack.exports() | objects.exports()
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    return f"""\
# Strongroom is up, until Ctrl-C. In another shell:

{exports}export BAO_ADDR={stack.openbao.address} BAO_CACERT={shlex.quote(str(stack.openbao.ca_file))}
export BAO_TOKEN="$(cat {shlex.quote(str(token_file))})"

# You are {IDENTITY}
# and may read kv/shop/**; the policy is {stack.policy_file}
# audit records: {stack.audit_file}

# The S3 proxy seals every bucket under the transit key {KEY}; the store behind it is {objects.store.address}
#   aws s3 mb s3://shop && echo hello | aws s3 cp - s3://shop/hello
#   strongroom s3 verify --config {shlex.quote(str(objects.proxy.config_file))} shop

# Try:
#   bao kv put kv/shop/db password=-          (type a secret, then Ctrl-D)
#   export DB_PASSWORD='bao:kv/shop/db#password'
#   strongroom plan -- printenv DB_PASSWORD
#   strongroom run -- printenv DB_PASSWORD
"""
