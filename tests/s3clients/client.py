"""What the cells of the matrix ask of every S3 client."""

import enum
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Protocol

from tests.s3clients.endpoint import Endpoint

RUN_TIMEOUT_S = 200.0
LARGE_BYTES = 35 * 1024 * 1024 + 1  # three parts or more of the clients' own sizes, 16 MiB at most


class Column(enum.StrEnum):
    """What is tried with each client; the columns of the page."""

    PUT = "put"
    GET = "get"
    RANGE = "range"
    MULTIPART = "multipart"
    LIST = "list sizes"
    LISTED = "read listed"
    SYNC = "sync"
    COPY = "copy"
    PRESIGN = "presign"
    DELETE = "delete"


class ClientError(Exception):
    """The client did not do what it was asked for; the text is what it said."""


class Client(Protocol):
    """One S3 client at one endpoint and bucket; keys are those in the bucket.

    Attributes:
        name: the row of the page.
        lacks: columns that this client has nothing for, with the reason.
        remarks: columns in which the client does it in a way of its own, with a word about it.
        presigns: methods that it makes presigned URLs for.
        large_bytes: of a file that it takes apart.
    """

    name: ClassVar[str]
    lacks: ClassVar[Mapping[Column, str]]
    remarks: ClassVar[Mapping[Column, str]]
    presigns: ClassVar[frozenset[str]]
    large_bytes: ClassVar[int]

    def __init__(self, endpoint: Endpoint, home: Path) -> None:
        """Get ready; what it keeps is in ``home``."""

    def version(self) -> str:
        """Return what the client calls its version."""

    def put(self, key: str, file: Path) -> None:
        """Upload a small file."""

    def put_large(self, key: str, file: Path) -> None:
        """Upload a large file the way that makes a multipart upload of it."""

    def get(self, key: str, file: Path) -> None:
        """Download into a file that is not there."""

    def read_range(self, key: str, first: int, last: int, file: Path) -> None:
        """Read bytes ``first`` to ``last`` into a file."""

    def sizes(self, prefix: str) -> dict[str, int]:
        """List what is below a prefix."""

    def read_listed(self, prefix: str) -> dict[str, int]:
        """List what is below a prefix and read each object, which must be the one that was listed.

        Returns how many bytes came of each.
        """

    def sync_up(self, directory: Path, prefix: str) -> int:
        """Bring what is below a prefix in line with a directory; return how many files were transferred."""

    def sync_down(self, prefix: str, directory: Path) -> int:
        """Bring a directory in line with what is below a prefix; return how many files were transferred."""

    def copy(self, source: str, target: str) -> None:
        """Copy within the bucket, at the server."""

    def presign(self, key: str, method: str) -> str:
        """Make a URL with which anybody can use ``method`` on the object."""

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects."""

    def close(self) -> None:
        """End what the client runs."""


def run(command: Sequence[str | Path], environ: Mapping[str, str], *, stdin: Path | None = None) -> tuple[str, str]:
    """Run a command-line client to its end and return what it wrote to stdout and stderr.

    Raises:
        ClientError: it failed.
    """
    with (stdin or Path("/dev/null")).open("rb") as source:
        done = subprocess.run(
            command, env=environ, stdin=source, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False
        )
    if done.returncode != 0:
        words = " ".join(str(word) for word in command)
        raise ClientError(f"{words}: status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout, done.stderr
