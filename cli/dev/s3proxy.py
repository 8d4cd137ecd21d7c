"""An S3 proxy as a child process on loopback, for development, the demo and tests."""

import base64
import json
import os
import secrets
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, Self

from cli.dev.authority import write_private
from strongroom.errors import PeerError
from wrapper.libc import die_with_parent

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0

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


class ProxyProcess:
    """One ``python -m s3proxy`` in front of a store: listening when the constructor returns. A context manager.

    Attributes:
        access_key: of its only client, who may do everything.
        secret_key: of that client.
    """

    def __init__(
        self,
        directory: Path,
        store: S3Store,
        *,
        policy: str = POLICY,
        settings: Mapping[str, object] | None = None,
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
        self.directory = directory
        self.config_file = directory / "s3proxy.toml"
        self.log_file = directory / "s3proxy.log"
        self.access_key = "client-" + secrets.token_hex(6)
        self.secret_key = secrets.token_urlsafe(24)
        documents = {
            "kek": base64.b64encode(secrets.token_bytes(32)).decode(),
            "policy.toml": policy,
            "store.toml": _toml({"access_key_id": store.access_key, "secret_access_key": store.secret_key}),
        }
        for name, text in documents.items():
            if not (directory / name).exists():
                write_private(directory / name, text.encode())
        write_private(directory / "credentials.toml", _credentials(self.access_key, self.secret_key).encode())
        own = {
            "listen": "127.0.0.1:0",
            "health_listen": "127.0.0.1:0",
            "credentials_file": str(directory / "credentials.toml"),
            "policy_file": str(directory / "policy.toml"),
            "store_address": store.address,
            "store_credentials_file": str(directory / "store.toml"),
            "kek_file": str(directory / "kek"),
        }
        write_private(self.config_file, _toml({**own, **(settings or {})}).encode())
        self._scheme = "https" if settings and settings.get("tls_cert_file") else "http"
        self._start()

    def __enter__(self) -> Self:
        """Return the running proxy."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the proxy."""
        self.stop()

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def url(self) -> str:
        """The endpoint for S3 clients."""
        return f"{self._scheme}://{self.address}"

    def stop(self) -> None:
        """End the proxy as an orchestrator would; after STOP_TIMEOUT_S by force."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()

    def _start(self) -> None:
        reading, writing = os.pipe()
        log = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        environ = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "s3proxy", "--config", str(self.config_file), "--ready-fd", str(writing)],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(writing,),
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - this process has no threads that hold locks here
                cwd=Path(__file__).resolve().parents[2],
            )
        finally:
            os.close(writing)
            os.close(log)
        with os.fdopen(reading, "rb") as ready:
            readable, _, _ = select.select([ready], [], [], START_TIMEOUT_S)
            line = ready.readline() if readable else b""
        if not line:
            self.stop()
            last = self.log_file.read_text(errors="replace").strip().splitlines()[-3:]
            msg = f"the proxy does not come up: {' | '.join(last) or 'it printed nothing'}"
            raise PeerError(msg, hint=f"see {self.log_file}")
        event = json.loads(line)
        self.address: str = event["s3"]
        self.health_address: str = event["health"]


def _toml(values: Mapping[str, object]) -> str:
    # JSON's strings, numbers and booleans are TOML's, too.
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def _credentials(access_key: str, secret_key: str) -> str:
    return f"""\
[[credential]]
access_key_id = "{access_key}"
secret_key = "{secret_key}"

[[credential.grant]]
buckets = ["*"]
rights = ["read", "write", "list", "delete", "admin"]
"""
