"""SDKs: each is driven through a small program, written the way its users write them, that reads lines on stdin."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tests.s3clients.client import LARGE_BYTES, ClientError, Column
from tests.s3clients.endpoint import Endpoint
from tests.s3clients.place import NODE, NODE_PACKAGES, OWN_PYTHON, PYTHON
from tests.support.tree import ROOT

_PROGRAMS = "tests.s3clients.programs"


class Sdk:
    """One SDK; its program runs until ``close``."""

    name: ClassVar[str]
    command: ClassVar[Sequence[str | Path]]
    lacks: ClassVar[Mapping[Column, str]] = {Column.SYNC: "an SDK has no sync"}
    remarks: ClassVar[Mapping[Column, str]] = {}
    presigns: ClassVar[frozenset[str]] = frozenset({"GET", "PUT"})
    large_bytes: ClassVar[int] = LARGE_BYTES

    def __init__(self, endpoint: Endpoint, home: Path) -> None:
        environ = endpoint.environ(home) | {"BUCKET": endpoint.bucket, "NODE_PACKAGES": f"{NODE_PACKAGES}/"}
        self._log = home / "stderr"
        with self._log.open("w") as stderr:
            self._process = subprocess.Popen(
                self.command,
                env=environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                cwd=ROOT,
            )

    def version(self) -> str:
        return str(self._ask("version"))

    def put(self, key: str, file: Path) -> None:
        self._ask("put", key=key, file=str(file))

    def put_large(self, key: str, file: Path) -> None:
        self._ask("put_large", key=key, file=str(file))

    def get(self, key: str, file: Path) -> None:
        self._ask("get", key=key, file=str(file))

    def read_range(self, key: str, first: int, last: int, file: Path) -> None:
        self._ask("read_range", key=key, first=first, last=last, file=str(file))

    def sizes(self, prefix: str) -> dict[str, int]:
        found: dict[str, int] = self._ask("sizes", prefix=prefix)
        return found

    def read_listed(self, prefix: str) -> dict[str, int]:
        found: dict[str, int] = self._ask("read_listed", prefix=prefix)
        return found

    def sync_up(self, directory: Path, prefix: str) -> int:
        raise NotImplementedError(self.lacks[Column.SYNC])

    def sync_down(self, prefix: str, directory: Path) -> int:
        raise NotImplementedError(self.lacks[Column.SYNC])

    def copy(self, source: str, target: str) -> None:
        self._ask("copy", source=source, target=target)

    def presign(self, key: str, method: str) -> str:
        return str(self._ask("presign", key=key, method=method))

    def delete(self, keys: Sequence[str]) -> None:
        self._ask("delete", keys=list(keys))

    def close(self) -> None:
        self._process.communicate()

    def _ask(self, operation: str, **arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": operation} | arguments) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise ClientError(self._log.read_text()[-4000:] or "the program ended")
        answer = json.loads(line)
        if "error" in answer:
            raise ClientError(f"{operation}: {answer['error']}")
        return answer["answer"]


class Boto3(Sdk):
    name = "boto3"
    command = (OWN_PYTHON, "-m", f"{_PROGRAMS}.boto3_program")


class Aiobotocore(Sdk):
    name = "aiobotocore"
    command = (PYTHON, "-m", f"{_PROGRAMS}.aiobotocore_program")


class S3fs(Sdk):
    name = "s3fs"
    command = (PYTHON, "-m", f"{_PROGRAMS}.s3fs_program")
    lacks: ClassVar[Mapping[Column, str]] = {Column.SYNC: "it has no sync"}
    large_bytes: ClassVar[int] = 105 * 1024 * 1024 + 1  # up to 100 MiB it sends one PUT


class JavaScript(Sdk):
    name = "JavaScript SDK"
    command = (NODE, ROOT / "tests/s3clients/programs/javascript_program.mjs")
    remarks: ClassVar[Mapping[Column, str]] = {
        Column.PRESIGN: 'for PUT by a client with `requestChecksumCalculation: "WHEN_REQUIRED"`; by others the URL '
        "carries the checksum of an empty body, and the real one is refused, by SeaweedFS itself as well"
    }


class Obstore(Sdk):
    name = "obstore"
    command = (PYTHON, "-m", f"{_PROGRAMS}.obstore_program")


class DuckDb(Sdk):
    name = "DuckDB"
    command = (PYTHON, "-m", f"{_PROGRAMS}.duckdb_program")
    lacks: ClassVar[Mapping[Column, str]] = dict.fromkeys(
        (Column.PUT, Column.RANGE, Column.MULTIPART, Column.SYNC, Column.COPY, Column.PRESIGN, Column.DELETE),
        "it has tables, not files",
    )
    remarks: ClassVar[Mapping[Column, str]] = {
        Column.LISTED: "with tables of its own that it writes and reads by a glob; httpfs comes from PyPI"
    }


class S3aRules(Sdk):
    name = "Hadoop S3A"
    command = (OWN_PYTHON, "-m", f"{_PROGRAMS}.s3a_rules_program")
    lacks: ClassVar[Mapping[Column, str]] = dict.fromkeys(
        set(Column) - {Column.LISTED, Column.COPY}, "not Hadoop itself, but the rules by which it tracks changes"
    )
