"""A real SeaweedFS S3 store as a child process on loopback, for development and tests.

Master, volume server, filer and S3 gateway in one process; everything it writes is in one private directory. The
S3 credentials reach it by a configuration file with mode 0600 and are in no argument list. The other ports of this
server ask for no credentials, so it is not a way to run SeaweedFS in production.
"""

import http.client
import json
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from devstack.authority import IssuedFiles, write_private
from devstack.server import ServerProcess, find_program, free_ports

REGION = "us-east-1"
_PORTS = ("master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3", "s3.grpc")
_VOLUME_MB = 128  # small volumes: a test store is a few hundred megabytes
_READY_STATUS = 200


class SeaweedServer(ServerProcess):
    """One ``weed server -s3``: started and serving when the constructor returns. A context manager.

    Attributes:
        access_key: of its only S3 user, who may do everything.
        secret_key: of that user.
    """

    STOP_TIMEOUT_S: ClassVar = 1.0  # longer than anybody wants to wait for one; what it acknowledged stays

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
        super().__init__("SeaweedFS", directory)
        self.access_key = "store-" + secrets.token_hex(6)
        self.secret_key = secrets.token_urlsafe(24)
        self._program = find_program("weed")
        self._tls = tls
        self._volume_mb = volume_mb
        user = {
            "name": "strongroom",
            "credentials": [{"accessKey": self.access_key, "secretKey": self.secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        write_private(self.directory / "s3.json", json.dumps({"identities": [user, *identities]}).encode())
        (self.directory / "data").mkdir(mode=0o700, exist_ok=True)
        self._start()

    @property
    def address(self) -> str:
        """The URL of its S3 gateway."""
        return f"http://127.0.0.1:{self._ports['s3']}"

    @property
    def tls_address(self) -> str:
        """The URL of its S3 gateway over TLS, if it was given a certificate."""
        return f"https://localhost:{self._ports['s3.https']}"

    def stop(self) -> None:
        """End the store; after STOP_TIMEOUT_S by force."""
        super().stop()
        shutil.rmtree(self._sockets, ignore_errors=True)
        # Its gRPC sockets have names of their own under /tmp, whatever it is told.
        for name in ("master", "volume", "filer", "s3"):
            for path in Path(tempfile.gettempdir()).glob(f"seaweedfs-{name}-grpc-{self._ports[name + '.grpc']}.sock"):
                path.unlink(missing_ok=True)

    def _choose_ports(self) -> None:
        names = (*_PORTS, "s3.https") if self._tls else _PORTS
        self._ports = dict(zip(names, free_ports(len(names)), strict=True))

    def _launch(self) -> None:
        self._sockets = Path(tempfile.mkdtemp(prefix="sr-weed-"))  # short: a socket's path has 107 bytes
        # Each bucket has volumes of its own: one, where seven are the default, or the disk is soon given away.
        growth = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
        self._spawn([self._program, "-logtostderr=true", "server", *self._arguments()], growth)

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
