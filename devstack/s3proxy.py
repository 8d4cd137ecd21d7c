"""An S3 proxy as a child process on loopback, for development, the demo and tests."""

import base64
import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Protocol

from devstack.authority import write_private
from devstack.service import ServiceProcess, to_toml

POLICY = """\
[[policy]]
name = "main"
kek = "file"
buckets = ["*"]
"""


class S3Store(Protocol):
    """What a proxy must know of the store behind it."""

    access_key: str
    secret_key: str

    @property
    def address(self) -> str:
        """The URL of the store."""


class ProxyProcess(ServiceProcess):
    """One ``python -m s3proxy`` in front of a store: listening when the constructor returns. A context manager.

    Attributes:
        common: settings that each of them begins with.
        access_key: of its only client, who may do everything.
        secret_key: of that client.
    """

    common: ClassVar[Mapping[str, object]] = {}

    def __init__(
        self, directory: Path, store: S3Store, *, policy: str = POLICY, settings: Mapping[str, object] | None = None
    ) -> None:
        """Write its files and start it.

        Args:
            directory: private directory for its files and log.
            store: the store behind it.
            policy: its policy file.
            settings: further settings by name, as ``s3proxy.toml`` has them.

        Raises:
            PeerError: it does not come up in time; the message has the last lines of its log.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.access_key = "client-" + secrets.token_hex(6)
        self.secret_key = secrets.token_urlsafe(24)
        documents = {
            # One for all proxies in front of a store: they share its keyring, in which each policy has one key.
            "kek": base64.b64encode(hashlib.sha256(store.secret_key.encode()).digest()).decode(),
            "policy.toml": policy,
            "store.toml": to_toml({"access_key_id": store.access_key, "secret_access_key": store.secret_key}),
        }
        for name, text in documents.items():
            if not (directory / name).exists():
                write_private(directory / name, text.encode())
        write_private(directory / "credentials.toml", _credentials(self.access_key, self.secret_key).encode())
        own = {
            "credentials_file": str(directory / "credentials.toml"),
            "policy_file": str(directory / "policy.toml"),
            "store_address": store.address,
            "store_credentials_file": str(directory / "store.toml"),
            "kek_file": str(directory / "kek"),
        }
        self._scheme = "https" if settings and settings.get("tls_cert_file") else "http"
        super().__init__("s3proxy", directory, {**self.common, **own, **(settings or {})})

    @property
    def address(self) -> str:
        """Host and port of S3."""
        return self.addresses["s3"]

    @property
    def url(self) -> str:
        """The endpoint for S3 clients."""
        return f"{self._scheme}://{self.address}"

    def workers(self) -> list[int]:
        """Return the process ids of its workers, where it has several processes."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        # Between fork and exec a child has the command line of its parent.
        return [int(child) for child in children if b"processes.begin" in _command_line(child)]


def _credentials(access_key: str, secret_key: str) -> str:
    return f"""\
[[credential]]
access_key_id = "{access_key}"
secret_key = "{secret_key}"

[[credential.grant]]
buckets = ["*"]
rights = ["read", "write", "list", "delete", "admin"]
"""


def _command_line(process: str) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # it has ended since it was listed
        return b""
