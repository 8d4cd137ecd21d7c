"""Start programs the way a launch does: placeholders, a region in a descriptor, the library preloaded."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.preload import secretmem
from tests.support.tree import ROOT
from tests.vectors.region.make import build

NATIVE = ROOT / "tests" / "native"
PASSWORD = b"s3cret"
KEY = b"k-0123456789"
SECRETS: dict[str, bytes] = {
    "DB_PASSWORD": PASSWORD,
    "API_KEY": KEY,
    "EMPTY_SECRET": b"",
    "LONG_SECRET": b"x" * 200_000,  # beyond what execve takes for one variable
}
PLAIN: dict[str, str] = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/", "PLAIN": "plain", "BLANK": ""}

Environment = Sequence[tuple[str, str]]


def image_of(secrets: Mapping[str, bytes]) -> bytes:
    """Return the region image of these secrets."""
    return build(list(secrets.items())).pack()


@dataclass(frozen=True)
class Launcher:
    """Starts programs with the library at this path preloaded."""

    library: str

    def run(  # noqa: PLR0913 - each is one thing about a launch
        self,
        command: Sequence[str | Path],
        *,
        secrets: Mapping[str, bytes] = SECRETS,
        image: bytes | None = None,
        rung: str = "memfd-secret",
        region: str | None = None,
        extra: Mapping[str, str] | None = None,
        preexec: Callable[[], None] | None = None,
        descriptor: int | None = None,
        also: Sequence[int] = (),
        stdin: bytes = b"",
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``command`` to its end.

        ``image`` overrides the region, ``region`` the text of STRONGROOM_REGION (``{fd}`` is the descriptor), and
        ``extra`` adds to or overrides the environment. ``descriptor`` is used, and closed, instead of a new one;
        ``also`` are further descriptors for the program.
        """
        if descriptor is None:
            descriptor = secretmem.region_descriptor(image_of(secrets) if image is None else image, rung)
        environment = {
            **PLAIN,
            **dict.fromkeys(secrets, ""),
            "LD_PRELOAD": self.library,
            "STRONGROOM_REGION": (region or f"{rung}:{{fd}}").format(fd=descriptor),
            **(extra or {}),
        }
        try:
            return subprocess.run(
                [str(part) for part in command],
                env=environment,
                input=stdin,
                capture_output=True,
                pass_fds=(descriptor, *also),
                preexec_fn=preexec,
                timeout=200,
                check=False,
            )
        finally:
            os.close(descriptor)

    def run_exactly(
        self, command: Sequence[str | bytes], environment: Mapping[str, str], secrets: Mapping[str, bytes]
    ) -> subprocess.CompletedProcess[bytes]:
        """Run ``command`` with nothing in its environment but this, the library and the region."""
        descriptor = secretmem.secret_descriptor(image_of(secrets))
        try:
            return subprocess.run(
                command,
                env={**environment, "LD_PRELOAD": self.library, "STRONGROOM_REGION": f"memfd-secret:{descriptor}"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                pass_fds=(descriptor,),
                timeout=200,
                check=False,
            )
        finally:
            os.close(descriptor)


COMPILERS = {"glibc": "gcc", "musl": "musl-gcc"}
FLAGS = ["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-D_GNU_SOURCE", f"-I{NATIVE}"]


@dataclass(frozen=True)
class Programs:
    """Builds the programs of tests/native with the compiler of one libc, each once."""

    libc: str
    folder: Path

    @property
    def libc_path(self) -> str:
        """What dlopen() knows this libc as."""
        return {"glibc": "libc.so.6", "musl": "libc.so"}[self.libc]

    def build(self, name: str, *options: str | Path) -> Path:
        """Return the program ``name``, built from ``name.c``."""
        return self._compile(name, self.folder / name, *options)

    def build_library(self, name: str, *options: str | Path) -> Path:
        """Return the shared object built from ``name.c``."""
        return self._compile(name, self.folder / f"lib{name}.so", "-shared", "-fPIC", *options)

    def _compile(self, name: str, output: Path, *options: str | Path) -> Path:
        if not output.exists():
            command = [COMPILERS[self.libc], *FLAGS, NATIVE / f"{name}.c", "-o", output, *options]
            subprocess.run([str(part) for part in command], check=True)
        return output


NOBODY = 65_534
WITHOUT_PRIVILEGES = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
SH: list[str | Path] = ["sh", "-c", '"$@"; exit $?', "sh"]
EXEC: list[str | Path] = ["sh", "-c", 'exec "$@"', "sh"]

Build = Callable[..., Path]  # of the fixture ``build``


def is_told(result: subprocess.CompletedProcess[bytes], program: object, reason: str) -> None:
    """The program did not start, and one line says which and why."""
    assert (result.returncode, result.stdout) == (120, b""), result
    (line,) = result.stderr.decode().splitlines()
    assert line.startswith(f"strongroom: error: {program}: ")
    assert reason in line
