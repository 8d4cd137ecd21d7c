"""A real SeaweedFS S3 store as a child process on loopback, for development and tests.

Master, volume server, filer and S3 gateway in one process; everything it writes is in one private directory. The
S3 credentials reach it by a configuration file with mode 0600 and are in no argument list. The other ports of this
server ask for no credentials, so it is not a way to run SeaweedFS in production.
"""

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from devstack.authority import IssuedFiles, write_private
from devstack.ports import free_ports
from devstack.service import inherited_environ
from strongroom.errors import ConfigError, PeerError
from strongroom.linux.process import die_with_parent

START_TIMEOUT_S = 45.0  # the election of its master alone takes 2 s, on a busy machine several
STOP_TIMEOUT_S = 1.0  # a store that was asked to end takes longer than one may want to wait; what it acknowledged stays
POLL_S = 0.05
REGION = "us-east-1"
_PORTS = ("master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3", "s3.grpc")
_START_ATTEMPTS = 3  # the ports are chosen before the server binds them, so somebody may take one in between
_VOLUME_MB = 128  # small volumes: a test store is a few hundred megabytes
_READY_STATUS = 200


def find_weed() -> Path:
    """Return the path of the ``weed`` program: beside this interpreter, or on PATH.

    Raises:
        ConfigError: there is none.
    """
    beside = Path(sys.executable).with_name("weed")
    if os.access(beside, os.X_OK):
        return beside
    found = shutil.which("weed")
    if found is None:
        msg = f"weed: not found beside {sys.executable} nor on PATH"
        raise ConfigError(msg, hint="install it with: pip install 'strongroom[dev]'")
    return Path(found)


class SeaweedServer:
    """One ``weed server -s3``: started and serving when the constructor returns. A context manager.

    Attributes:
        access_key: of its only S3 user, who may do everything.
        secret_key: of that user.
    """

    def __init__(
        self,
        directory: Path,
        *,
        tls: IssuedFiles | None = None,
        volume_mb: int = _VOLUME_MB,
        identities: Sequence[Mapping[str, object]] = (),
    ) -> None:
        """Start the store.

        Args:
            directory: private directory for its configuration, log and data.
            tls: certificate and key to serve S3 with, on a port beside that for plain HTTP.
            volume_mb: size of its volumes. A bucket writes to one at a time, and while the next one is made the store
                answers 500: gigabytes want larger ones.
            identities: further users, as its configuration has them.

        Raises:
            ConfigError: there is no ``weed`` program.
            PeerError: it does not come up in time; the message names its log.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self.log_file = directory / "seaweed.log"
        self.access_key = "store-" + secrets.token_hex(6)
        self.secret_key = secrets.token_urlsafe(24)
        self._program = find_weed()
        self._sockets = Path(tempfile.mkdtemp(prefix="sr-weed-"))  # short: a socket's path has 107 bytes
        self._tls = tls
        self._volume_mb = volume_mb
        self._identities = identities
        self._ports: dict[str, int] = {}
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        """Return the running store."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the store."""
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the store."""
        return self._process.pid

    @property
    def address(self) -> str:
        """The URL of its S3 gateway."""
        return f"http://127.0.0.1:{self._ports['s3']}"

    @property
    def tls_address(self) -> str:
        """The URL of its S3 gateway over TLS, if it was given a certificate."""
        return f"https://localhost:{self._ports['s3.https']}"

    def pause(self) -> None:
        """Stop the process in its tracks: connections are accepted by the kernel and never answered."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the process as a crash would."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Start a stopped or killed store again, with its data and on the same ports.

        Raises:
            PeerError: it does not come up in time.
        """
        self._end()
        self._spawn()
        self._wait()

    def stop(self) -> None:
        """End the store; after STOP_TIMEOUT_S by force."""
        self._end()
        shutil.rmtree(self._sockets, ignore_errors=True)

    def _end(self) -> None:
        process: subprocess.Popen[bytes] | None = getattr(self, "_process", None)
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT_S)
        if process.poll() is None:
            process.kill()
        process.wait()
        # Its gRPC sockets have names of their own under /tmp, whatever it is told.
        for name in ("master", "volume", "filer", "s3"):
            for path in Path(tempfile.gettempdir()).glob(f"seaweedfs-{name}-grpc-{self._ports[name + '.grpc']}.sock"):
                path.unlink(missing_ok=True)

    def _start(self) -> None:
        user = {
            "name": "strongroom",
            "credentials": [{"accessKey": self.access_key, "secretKey": self.secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        write_private(self.directory / "s3.json", json.dumps({"identities": [user, *self._identities]}).encode())
        (self.directory / "data").mkdir(mode=0o700, exist_ok=True)
        for attempt in range(_START_ATTEMPTS):
            names = (*_PORTS, "s3.https") if self._tls else _PORTS
            self._ports = dict(zip(names, free_ports(len(names)), strict=True))
            self._spawn()
            try:
                self._wait()
            except PeerError:
                ended = self._process.poll() is not None
                self._end()
                if not ended or attempt + 1 == _START_ATTEMPTS:
                    raise
            else:
                return

    def _spawn(self) -> None:
        environ = inherited_environ()
        # Each bucket has volumes of its own: one, where seven are the default, or the disk is soon given away.
        environ["WEED_MASTER_VOLUME_GROWTH_COPY_1"] = "1"
        log = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = subprocess.Popen(
                [self._program, "-logtostderr=true", "server", *self._arguments()],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - this process has no threads that hold locks here
                cwd=self.directory,
            )
        finally:
            os.close(log)

    def _arguments(self) -> list[str]:
        ports = []
        for name, number in self._ports.items():
            server, _, kind = name.partition(".")
            ports.append(f"-{server}.port{'.' + kind if kind else ''}={number}")
        tls = [f"-s3.cert.file={self._tls.cert}", f"-s3.key.file={self._tls.key}"] if self._tls else []
        return [
            f"-dir={self.directory / 'data'}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            *ports,
            *tls,
            "-s3",
            f"-s3.config={self.directory / 's3.json'}",
            f"-s3.localSocket={self._sockets / 's3'}",
            f"-filer.localSocket={self._sockets / 'filer'}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.autoCreateBucket=false",  # S3 answers NoSuchBucket
            "-master.electionTimeout=1s",  # of one master; it waits for this after a restart
            "-master.heartbeatInterval=100ms",
            "-master.telemetry=false",
            f"-master.volumeSizeLimitMB={self._volume_mb}",
            "-volume.preStopSeconds=0",  # it has no other servers that would have to notice
            "-volume.max=0",  # as many as the disk has room for; each bucket takes several
        ]

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None:
                lines = self.log_file.read_text(errors="replace").splitlines() or [""]
                msg = f"SeaweedFS ended with status {self._process.returncode} when it was started: {lines[-1][:200]}"
                raise PeerError(msg, hint=f"see {self.log_file}")
            if time.monotonic() > deadline:
                msg = f"SeaweedFS does not answer; see {self.log_file}"
                raise PeerError(msg, hint="the machine may be too busy: start it again")
            time.sleep(POLL_S)

    def _answers(self) -> bool:
        """Return whether the S3 gateway serves and the master has a volume server to give out."""
        asked = ((self._ports["s3"], "/healthz"), (self._ports["master"], "/dir/assign?count=1"))
        return all(_status(port, path) == _READY_STATUS for port, path in asked)


def _status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
