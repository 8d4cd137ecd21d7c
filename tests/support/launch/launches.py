"""The wrapper in a process of its own, against a fake bridge."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.tls.certificates import Certificates
from tests.support.tree import ROOT

SANDBOX = Path(__file__).with_name("sandbox.py")
TIMEOUT_S = 60.0
_WAITS = b"strongroom: waiting for the bridge at "

# With each but the last two, CPython sets LC_CTYPE for itself and its children (PEP 538).
LOCALES: list[dict[str, str]] = [
    {},
    {"LANG": "C"},
    {"LC_CTYPE": ""},
    {"LC_CTYPE": "C"},
    {"LC_CTYPE": "POSIX", "MY_LC_CTYPE": "x"},
    {"LC_CTYPE": "C.UTF-8"},
    {"LC_CTYPE": "C", "LC_ALL": "C"},
]


class Launches:
    """Starts commands through ``python -m wrapper`` in an environment of its own."""

    def __init__(self, certificates: Certificates) -> None:
        self._base = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "STRONGROOM_CA": certificates.ca,
            "STRONGROOM_CERT": certificates.cert,
            "STRONGROOM_KEY": certificates.key,
            "STRONGROOM_WAIT": "0",
            "STRONGROOM_RETRIES": "0",
        }

    def environ(self, bridge: str, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a launch; ``bridge`` may be empty."""
        return self._base | ({"STRONGROOM_BRIDGE": bridge} if bridge else {}) | dict(variables)

    @staticmethod
    def command(command: Sequence[str], *, options: Sequence[str] = (), sandbox: Sequence[str] = ()) -> list[str]:
        """Return the words that launch ``command``, on a poorer machine if the sandbox says so."""
        prefix = [sys.executable, str(SANDBOX), *sandbox, "--"] if sandbox else []
        return [*prefix, sys.executable, "-m", "wrapper", *options, "--", *command]

    def run(  # noqa: PLR0913 - each is one property of a launch
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        *,
        bridge: str = "",
        options: Sequence[str] = (),
        sandbox: Sequence[str] = (),
        cwd: Path = ROOT,
        stdin: bytes = b"",
        with_waits: bool = False,
    ) -> subprocess.CompletedProcess[bytes]:
        """Launch and wait for the end.

        A launch that has waited for a second says so, which on a busy machine any may: without ``with_waits`` that is
        left out of what it said.
        """
        done = subprocess.run(
            self.command(command, options=options, sandbox=sandbox),
            env=self.environ(bridge, variables),
            cwd=cwd,
            input=stdin,
            capture_output=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        if not with_waits and done.stderr.startswith(_WAITS):
            done.stderr = done.stderr.partition(b"\n")[2]
        return done

    @contextlib.contextmanager
    def started(
        self, command: Sequence[str], variables: Mapping[str, str], *, bridge: str, prefix: Sequence[str] = ()
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Launch and go on; what still runs at the end is killed. ``prefix`` is a program that starts the wrapper."""
        with subprocess.Popen(
            [*prefix, *self.command(command)],
            env=self.environ(bridge, variables),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                yield process
            finally:
                process.kill()
