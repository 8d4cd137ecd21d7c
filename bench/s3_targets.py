"""What is compared per object: the bare store, a hop without crypto, our proxy, and another encrypting proxy.

All stand before one SeaweedFS, on loopback, without TLS. A context manager each; they differ in nothing but what they
do to the bytes.
"""

import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

from bench.payload import Payload
from bench.s3_load import Connection, Endpoint, Request, Requests
from bench.shapes import Client, is_framed
from bench.suite import FailedError
from devstack.authority import write_private
from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from devstack.server import ServerProcess, free_port
from strongroom.errors import ConfigError, StrongroomError

BUCKET: Final = "bench"
Shape = Client | Literal["plain"]
_VOLUME_MB: Final = 1024  # a full run writes some fifty gigabytes
_HAPROXY: Final = """\
global
    nbthread 2
defaults
    mode http
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    http-reuse always
frontend s3
    bind 127.0.0.1:{port}
    default_backend store
backend store
    server store {store}
"""
_RCLONE: Final = """\
[store]
type = s3
provider = SeaweedFS
endpoint = {address}
access_key_id = {access_key}
secret_access_key = {secret_key}
region = us-east-1

[sealed]
type = crypt
remote = store:rclone
password = {password}
password2 = {salt}
filename_encryption = off
directory_name_encryption = false
"""


class Target:
    """One of them, serving."""

    def __init__(
        self, endpoint: Endpoint, pid: int, *, bucket: str = BUCKET, health: str = "", wants_length: bool = False
    ) -> None:
        """Take what it is.

        Args:
            endpoint: where it serves.
            pid: of its first process.
            bucket: that requests go to.
            health: host and port of its metrics, if it has any.
            wants_length: whether it refuses a body whose length its head does not tell; it is sent plain ones instead.
        """
        self._wants_length = wants_length
        self.endpoint = endpoint
        self.pid = pid
        self.health = health
        self.requests = Requests(endpoint, bucket)

    @property
    def url(self) -> str:
        """Where it serves."""
        return self.endpoint.url

    def get(self, shape: Shape, key: str) -> Request:
        """Return a GetObject of a shape."""
        return self.requests.get(key) if shape == "plain" else self.requests.get_by(shape, key)

    def put(self, shape: Shape, key: str, body: Payload) -> Request:
        """Return a PutObject of a shape, or the plain one, which is the least work, where that is refused."""
        if shape == "plain" or (self._wants_length and is_framed(shape, "PUT")):
            return self.requests.put(key, body)
        return self.requests.put_by(shape, key, body)


@contextlib.contextmanager
def targets(
    directory: Path, names: tuple[str, ...], *, leave_out: Callable[[str, str], None] | None = None
) -> Iterator[dict[str, Target]]:
    """Start the store and those of the targets that are named; their bucket exists.

    Args:
        directory: private, for all they write.
        names: some of ``store``, ``haproxy``, ``strongroom``, ``rclone``.
        leave_out: told which of ``haproxy`` and ``rclone`` is missing and why; without it that is an error.

    Raises:
        StrongroomError: one does not start.
    """
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(SeaweedServer(directory / "store", volume_mb=_VOLUME_MB))
        user = store.access_key, store.secret_key
        running: dict[str, Target] = {}
        bare = Target(Endpoint(store.address, *user), store.pid)
        with Connection(store.address) as connection:
            connection.fetch(bare.requests.make_bucket())
        if "store" in names:
            running["store"] = bare
        if "haproxy" in names:
            with _unless_missing("haproxy", leave_out):
                url, pid = stack.enter_context(_haproxy(directory / "haproxy", store))
                running["haproxy"] = Target(Endpoint(url, *user), pid)
        if "strongroom" in names:
            settings = {"processes": len(os.sched_getaffinity(0))}  # haproxy and rclone use all processors, too
            proxy = stack.enter_context(ProxyProcess(directory / "s3proxy", store, settings=settings))
            endpoint = Endpoint(proxy.url, proxy.access_key, proxy.secret_key)
            running["strongroom"] = Target(endpoint, proxy.pid, bucket="sealed", health=proxy.health_address)
            with Connection(proxy.url) as connection:
                connection.fetch(running["strongroom"].requests.make_bucket())
        if "rclone" in names:
            with Connection(store.address) as connection:
                connection.fetch(Requests(bare.endpoint, "rclone").make_bucket())
            with _unless_missing("rclone", leave_out):
                endpoint, pid = stack.enter_context(_rclone(directory / "rclone", store))
                rclone = Target(endpoint, pid, wants_length=True)
                with Connection(endpoint.url) as connection:
                    connection.fetch(rclone.requests.make_bucket())
                running["rclone"] = rclone
        yield {name: running[name] for name in names if name in running}


@contextlib.contextmanager
def _unless_missing(name: str, leave_out: Callable[[str, str], None] | None) -> Iterator[None]:
    """Leave a peer out that is not installed or does not start."""
    try:
        yield
    except (StrongroomError, OSError, subprocess.SubprocessError) as error:
        if leave_out is None:
            raise
        leave_out(name, str(error))


@contextlib.contextmanager
def _haproxy(directory: Path, store: SeaweedServer) -> Iterator[tuple[str, int]]:
    directory.mkdir(mode=0o700, parents=True)
    port = free_port()
    config = directory / "haproxy.cfg"
    config.write_text(_HAPROXY.format(port=port, store=store.address.removeprefix("http://")))
    with _Hop([_find("haproxy", "/usr/sbin/haproxy"), "-db", "-f", str(config)], directory, port) as hop:
        yield f"http://127.0.0.1:{port}", hop.pid


@contextlib.contextmanager
def _rclone(directory: Path, store: SeaweedServer) -> Iterator[tuple[Endpoint, int]]:
    directory.mkdir(mode=0o700, parents=True)
    port = free_port()
    program = _find("rclone", str(Path(sys.executable).with_name("rclone")))
    obscured = [_obscure(program), _obscure(program)]
    config = _RCLONE.format(
        address=store.address,
        access_key=store.access_key,
        secret_key=store.secret_key,
        password=obscured[0],
        salt=obscured[1],
    )
    write_private(directory / "rclone.conf", config.encode())
    endpoint = Endpoint(f"http://127.0.0.1:{port}", "bench-" + secrets.token_hex(6), secrets.token_hex(20))
    words = ["serve", "s3", f"--config={directory / 'rclone.conf'}", f"--addr=127.0.0.1:{port}", "sealed:"]
    environ = {"RCLONE_AUTH_KEY": f'"{endpoint.access_key},{endpoint.secret_key}"', "RCLONE_CACHE_DIR": str(directory)}
    with _Hop([program, *words], directory, port, environ) as hop:
        yield endpoint, hop.pid


def _obscure(program: str) -> str:
    """Return a random password in the form that rclone keeps passwords in."""
    made = subprocess.run(
        [program, "obscure", "-"], input=secrets.token_hex(16), capture_output=True, text=True, check=True
    )
    return made.stdout.strip()


class _Hop(ServerProcess):
    """A server on a given port: it accepts connections when the constructor returns."""

    def __init__(
        self, command: list[str], directory: Path, port: int, environ: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(Path(command[0]).name, directory)
        self._command = command
        self._environ = environ
        self._port = port
        self._start()

    def _launch(self) -> None:
        self._spawn(self._command, self._environ)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            return True
        return False


def _find(name: str, path: str) -> str:
    """Return a program's path: the usual one, or what PATH has.

    Raises:
        ConfigError: it is not installed.
    """
    found = path if os.access(path, os.X_OK) else shutil.which(name)
    if found is None:
        raise ConfigError(f"{name}: not installed", hint="make bench installs what the benchmarks need")
    return found


_UPLOAD_ID: Final = re.compile(rb"<UploadId>([^<]+)</UploadId>")


def upload(target: Target, connection: Connection, key: str, part: Payload, count: int) -> None:
    """Store an object of this many equal parts, one after the other.

    Raises:
        FailedError: the server refuses a step, or its answer is nonsense.
    """
    begun = _UPLOAD_ID.search(connection.fetch(target.requests.post(key, "uploads=")))
    if begun is None:
        raise FailedError(f"{target.url}: gives no id to a multipart upload")
    query = f"uploadId={begun[1].decode()}"
    lines = ""
    for number in range(1, count + 1):
        etag = connection.put_part(target.requests.put(key, part, f"partNumber={number}&{query}"))
        lines += f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
    document = f"<CompleteMultipartUpload>{lines}</CompleteMultipartUpload>".encode()
    with contextlib.closing(Payload(0, document)) as body:
        connection.fetch(target.requests.post(key, query, body))
