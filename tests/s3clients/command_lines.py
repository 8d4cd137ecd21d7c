"""Command-line clients: a process for each operation, with no flag but what names the endpoint and the credentials."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from devstack.authority import write_private
from tests.s3clients.client import LARGE_BYTES, ClientError, Column, run
from tests.s3clients.endpoint import Endpoint
from tests.s3clients.place import AWS, RCLONE, S3CMD


class AwsCli:
    """The AWS CLI, version 2."""

    name: ClassVar[str] = "AWS CLI"
    lacks: ClassVar[Mapping[Column, str]] = {Column.LISTED: "it reads by name"}
    remarks: ClassVar[Mapping[Column, str]] = {}
    presigns: ClassVar[frozenset[str]] = frozenset({"GET"})
    large_bytes: ClassVar[int] = LARGE_BYTES

    def __init__(self, endpoint: Endpoint, home: Path) -> None:
        self._endpoint = endpoint
        self._environ = endpoint.environ(home)

    def version(self) -> str:
        return self._run("--version").split()[0].partition("/")[2]

    def put(self, key: str, file: Path) -> None:
        self._run("s3", "cp", str(file), self._url(key))

    put_large = put

    def get(self, key: str, file: Path) -> None:
        self._run("s3", "cp", self._url(key), str(file))

    def read_range(self, key: str, first: int, last: int, file: Path) -> None:
        name = ("--bucket", self._endpoint.bucket, "--key", key)
        self._run("s3api", "get-object", *name, "--range", f"bytes={first}-{last}", str(file))

    def sizes(self, prefix: str) -> dict[str, int]:
        lines = self._run("s3", "ls", "--recursive", self._url(prefix)).splitlines()
        rows = [line.split(maxsplit=3) for line in lines]
        return {key: int(size) for _, _, size, key in rows}

    def sync_up(self, directory: Path, prefix: str) -> int:
        return self._run("s3", "sync", str(directory), self._url(prefix)).count("upload: ")

    def sync_down(self, prefix: str, directory: Path) -> int:
        return self._run("s3", "sync", self._url(prefix), str(directory)).count("download: ")

    def copy(self, source: str, target: str) -> None:
        self._run("s3", "cp", self._url(source), self._url(target))

    def presign(self, key: str, method: str) -> str:
        assert method in self.presigns
        return self._run("s3", "presign", self._url(key)).strip()

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._run("s3", "rm", self._url(key))

    def close(self) -> None:
        """Nothing runs between operations."""

    def _url(self, key: str) -> str:
        return f"s3://{self._endpoint.bucket}/{key}"

    def _run(self, *words: str) -> str:
        return run([AWS, "--endpoint-url", self._endpoint.url, *words], self._environ)[0]


class Rclone:
    """rclone; ``provider = Other`` is its word for a store that is none of those it knows."""

    name: ClassVar[str] = "rclone"
    lacks: ClassVar[Mapping[Column, str]] = {Column.LISTED: "it reads by name"}
    remarks: ClassVar[Mapping[Column, str]] = {
        Column.MULTIPART: "`rclone rcat`; for files rclone begins with multipart uploads at 200 MiB"
    }
    presigns: ClassVar[frozenset[str]] = frozenset({"GET"})
    large_bytes: ClassVar[int] = LARGE_BYTES

    def __init__(self, endpoint: Endpoint, home: Path) -> None:
        self._bucket = endpoint.bucket
        remote = {
            "TYPE": "s3",
            "PROVIDER": "Other",
            "ENDPOINT": endpoint.url,
            "ACCESS_KEY_ID": endpoint.access_key,
            "SECRET_ACCESS_KEY": endpoint.secret_key,
        }
        self._environ = endpoint.environ(home) | {f"RCLONE_CONFIG_S3_{name}": value for name, value in remote.items()}

    def version(self) -> str:
        return self._run("version").split()[1].removeprefix("v")

    def put(self, key: str, file: Path) -> None:
        self._run("copyto", str(file), self._url(key))

    def put_large(self, key: str, file: Path) -> None:
        self._run("rcat", self._url(key), stdin=file)

    def get(self, key: str, file: Path) -> None:
        self._run("copyto", self._url(key), str(file))

    def read_range(self, key: str, first: int, last: int, file: Path) -> None:
        # Written to a file by a shell, as people do it: the bytes are no text.
        words = ("cat", "--offset", str(first), "--count", str(last - first + 1), self._url(key))
        run(["sh", "-c", 'out=$1; shift; exec "$@" >"$out"', "sh", file, RCLONE, *words], self._environ)

    def sizes(self, prefix: str) -> dict[str, int]:
        entries = json.loads(self._run("lsjson", "--recursive", "--files-only", self._url(prefix)))
        return {prefix + entry["Path"]: entry["Size"] for entry in entries}

    def sync_up(self, directory: Path, prefix: str) -> int:
        return self._sync(str(directory), self._url(prefix))

    def sync_down(self, prefix: str, directory: Path) -> int:
        return self._sync(self._url(prefix), str(directory))

    def _sync(self, source: str, target: str) -> int:
        _, log = run([RCLONE, "sync", "--verbose", source, target], self._environ)
        return len(re.findall(r": Copied \(", log))

    def copy(self, source: str, target: str) -> None:
        self._run("copyto", self._url(source), self._url(target))

    def presign(self, key: str, method: str) -> str:
        assert method in self.presigns
        return self._run("link", self._url(key)).strip()

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self._run("deletefile", self._url(key))

    def close(self) -> None:
        """Nothing runs between operations."""

    def _url(self, key: str) -> str:
        return f"s3:{self._bucket}/{key}"

    def _run(self, *words: str, stdin: Path | None = None) -> str:
        return run([RCLONE, *words], self._environ, stdin=stdin)[0]


class S3cmd:
    """s3cmd, with endpoint and credentials in a configuration file."""

    name: ClassVar[str] = "s3cmd"
    lacks: ClassVar[Mapping[Column, str]] = {Column.LISTED: "it reads by name"}
    remarks: ClassVar[Mapping[Column, str]] = {
        Column.RANGE: "`s3cmd get --continue`, which asks for the rest of an object"
    }
    presigns: ClassVar[frozenset[str]] = frozenset({"GET"})
    large_bytes: ClassVar[int] = LARGE_BYTES

    def __init__(self, endpoint: Endpoint, home: Path) -> None:
        self._bucket = endpoint.bucket
        self._environ = endpoint.environ(home)
        self._config = home / "s3cfg"
        settings = {
            "access_key": endpoint.access_key,
            "secret_key": endpoint.secret_key,
            "host_base": endpoint.host,
            "host_bucket": endpoint.host,
            "use_https": endpoint.ca_file is not None,
            "signurl_use_https": endpoint.ca_file is not None,
            "ca_certs_file": endpoint.ca_file or "",
        }
        lines = (f"{name} = {value}\n" for name, value in settings.items())
        write_private(self._config, ("[default]\n" + "".join(lines)).encode())

    def version(self) -> str:
        return self._run("--version").split()[-1]

    def put(self, key: str, file: Path) -> None:
        self._run("put", str(file), self._url(key))

    put_large = put

    def get(self, key: str, file: Path) -> None:
        self._run("get", self._url(key), str(file))

    def read_range(self, key: str, first: int, last: int, file: Path) -> None:
        self.get(key, file)
        whole = file.read_bytes()
        file.write_bytes(whole[:first])
        self._run("get", "--continue", self._url(key), str(file))
        if file.read_bytes() != whole:
            raise ClientError("s3cmd get --continue: not the same bytes as without it")
        file.write_bytes(whole[first : last + 1])

    def sizes(self, prefix: str) -> dict[str, int]:
        rows = [line.split(maxsplit=3) for line in self._run("ls", "--recursive", self._url(prefix)).splitlines()]
        return {url.removeprefix(self._url("")): int(size) for _, _, size, url in rows}

    def sync_up(self, directory: Path, prefix: str) -> int:
        return self._run("sync", f"{directory}/", self._url(prefix)).count("upload: ")

    def sync_down(self, prefix: str, directory: Path) -> int:
        return self._run("sync", self._url(prefix), f"{directory}/").count("download: ")

    def copy(self, source: str, target: str) -> None:
        self._run("cp", self._url(source), self._url(target))

    def presign(self, key: str, method: str) -> str:
        assert method in self.presigns
        return self._run("signurl", self._url(key), "+600").strip()

    def delete(self, keys: Sequence[str]) -> None:
        self._run("del", *(self._url(key) for key in keys))

    def close(self) -> None:
        """Nothing runs between operations."""

    def _url(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"

    def _run(self, *words: str) -> str:
        return run([S3CMD, "--config", self._config, *words], self._environ)[0]
