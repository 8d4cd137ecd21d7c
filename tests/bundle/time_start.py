"""``python -m tests.bundle.time_start [LAUNCHES]``: how long launches take, from a bundle and installed.

Launches of both kinds take turns, so that what else the machine does weighs on both alike; the ratio of each pair is
what counts. Prints milliseconds (median, 10th and 90th percentile) and the ratio. Not a test: machines differ.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.bundle.conftest import SECRET, make_bundle
from tests.support.bridge.fake import FakeBridge, bundle
from tests.support.tls.certificates import Certificates

_WARM_UP = 5


def pairs_ms(left: Callable[[], None], right: Callable[[], None], launches: int) -> list[tuple[float, float]]:
    """Time both in turns."""
    pairs = []
    for number in range(launches + _WARM_UP):
        pair = []
        for call in (left, right):
            began = time.perf_counter()
            call()
            pair.append((time.perf_counter() - began) * 1000)
        if number >= _WARM_UP:
            pairs.append((pair[0], pair[1]))
    return pairs


def describe(values: list[float]) -> str:
    """Return median and spread."""
    tenths = statistics.quantiles(values, n=10)
    return f"{statistics.median(values):6.1f} ms  ({tenths[0]:.1f} to {tenths[-1]:.1f})"


def compare(installed: str, bundled: str, environ: Mapping[str, str], launches: int) -> None:
    """Time one kind of launch and print the figures."""

    def launch(program: str) -> Callable[[], None]:
        command = [program, "run", "--quiet=1", "--", "/bin/true"]

        def call() -> None:
            subprocess.run(command, env=environ, check=True)

        return call

    pairs = pairs_ms(launch(installed), launch(bundled), launches)
    ratio = statistics.median(right / left for left, right in pairs)
    sys.stdout.write(f"  installed  {describe([left for left, _ in pairs])}\n")
    sys.stdout.write(f"  bundle     {describe([right for _, right in pairs])}\n")
    sys.stdout.write(f"  ratio      {ratio:6.2f}\n")


def main(words: list[str]) -> int:
    """Make a bundle and time it, without and with a secret."""
    launches = int(words[0]) if words else 200
    installed = str(Path(sys.executable).with_name("strongroom"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = make_bundle(folder / "bundle")
        if result.returncode:
            sys.stderr.write(result.stderr)
            return 1
        bundled = str(folder / "bundle/strongroom")
        sys.stdout.write("without a secret\n")
        compare(installed, bundled, {}, launches)
        certificates = Certificates(folder / "tls")
        with FakeBridge(certificates.server(), bundle({"SECRET": SECRET.encode()})) as bridge:
            environ = {
                "SECRET": "bao:kv/shop/db#password",
                "STRONGROOM_BRIDGE": bridge.url,
                "STRONGROOM_CA": certificates.ca,
                "STRONGROOM_CERT": certificates.cert,
                "STRONGROOM_KEY": certificates.key,
            }
            sys.stdout.write("with a secret\n")
            compare(installed, bundled, environ, launches)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
