"""A real OpenBao server as a child process on loopback, for development and tests.

Everything it writes is in one private directory. The root token exists in this process's memory only: it is in no
argument list, no environment and no file, unless ``write_token_file`` is called. What this server stores is as safe as
that directory; it is not a way to run OpenBao in production.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from devstack.authority import Authority, write_private
from devstack.openbao_admin import OpenBaoAdmin
from devstack.ports import free_port
from devstack.service import inherited_environ
from strongroom.errors import ConfigError, NotFoundError, PeerError
from strongroom.linux.process import die_with_parent

START_TIMEOUT_S = 30.0  # a cold start of the 180 MB binary takes 1 s, on a busy machine several
STOP_TIMEOUT_S = 10.0
POLL_S = 0.02
_START_ATTEMPTS = 5  # the port is chosen before the server binds it, so somebody may take it in between
_MAX_JSON_STRINGS = 200_000  # the server's default of 1,000 refuses a path with 1,000 keys


def find_bao() -> Path:
    """Return the path of the ``bao`` program: beside this interpreter, or on PATH.

    Raises:
        ConfigError: there is none.
    """
    beside = Path(sys.executable).with_name("bao")
    if os.access(beside, os.X_OK):
        return beside
    found = shutil.which("bao")
    if found is None:
        msg = f"bao: not found beside {sys.executable} nor on PATH"
        raise ConfigError(msg, hint="install it with: pip install 'strongroom[dev]'")
    return Path(found)


class OpenBaoServer:
    """One ``bao server``: started, initialised and unsealed when the constructor returns.

    A context manager; leaving it stops the server. ``admin`` is a client with the root token.
    """

    def __init__(self, directory: Path, authority: Authority, *, storage: str = "inmem", audit: bool = False) -> None:
        """Start the server.

        Args:
            directory: private directory for its configuration, log and storage.
            authority: issues its certificate.
            storage: ``inmem``, or ``raft`` for data on disk that outlives a restart of the server.
            audit: whether OpenBao writes its own audit log to ``openbao-audit.log``.

        Raises:
            ConfigError: there is no ``bao`` program.
            PeerError: it does not come up in time; the message names its log.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self.ca_file = authority.ca_file
        self.log_file = directory / "openbao.log"
        self.audit_file = directory / "openbao-audit.log"
        self._storage = storage
        self._audit = audit
        self._program = find_bao()
        self._files = authority.issue_server("openbao")
        self._unseal_key = ""
        self.admin: OpenBaoAdmin
        self._start()
        try:
            self._unseal_key, token = self.admin.initialise()
            self.admin = OpenBaoAdmin(self.address, self.ca_file, token=token)
            self.unseal()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        """Return the running server."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server."""
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    @property
    def address(self) -> str:
        """The URL of the server."""
        return f"https://127.0.0.1:{self._port}"

    def write_token_file(self, path: Path) -> None:
        """Write the root token to a file with mode 0600, for a client that wants it there."""
        write_private(path, self.admin.token.encode())

    def unseal(self) -> None:
        """Unseal the server and wait until it serves."""
        self.admin.unseal(self._unseal_key)
        _wait(lambda: self.admin.health() == 200, "OpenBao is not active after it was unsealed")  # noqa: PLR2004 - active

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
        """Start a stopped or killed server again on the same port; only raft storage keeps its data.

        Raises:
            PeerError: it does not come up in time, or its storage was in memory.
        """
        if self._storage == "inmem":
            msg = "OpenBao with storage in memory cannot be restarted: its data and its unseal key are gone"
            raise PeerError(msg, hint="start a new one")
        token = self.admin.token
        self.stop()
        self._start(self._port)
        self.admin = OpenBaoAdmin(self.address, self.ca_file, token=token)
        self.unseal()

    def stop(self) -> None:
        """End the server; after STOP_TIMEOUT_S by force."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()

    def _start(self, port: int | None = None) -> None:
        for attempt in range(_START_ATTEMPTS):
            self._port = port or free_port()
            self._cluster_port = free_port()
            self._process = self._spawn()
            self.admin = OpenBaoAdmin(self.address, self.ca_file)
            try:
                _wait(self._answers, f"OpenBao does not answer; see {self.log_file}")
            except NotFoundError:
                if attempt + 1 == _START_ATTEMPTS:
                    lines = self.log_file.read_text(errors="replace").splitlines() or [""]
                    msg = f"OpenBao ended with status {self._process.returncode} when it was started: {lines[-1][:200]}"
                    raise PeerError(msg, hint=f"see {self.log_file}") from None
            except BaseException:
                self.stop()
                raise
            else:
                return

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise NotFoundError("the process has ended", hint="its log says why")
        with contextlib.suppress(PeerError):
            self.admin.health()
            return True
        return False

    def _spawn(self) -> subprocess.Popen[bytes]:
        config_file = self.directory / "openbao.json"
        write_private(config_file, json.dumps(self._configuration()).encode())
        environ = inherited_environ()
        log = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # A session of its own: Ctrl-C on the terminal ends the parent, which ends the server in its own order.
            return subprocess.Popen(
                [self._program, "server", f"-config={config_file}"],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - this process has no threads that hold locks here
            )
        finally:
            os.close(log)

    def _configuration(self) -> dict[str, object]:
        storage: dict[str, object] = {}
        if self._storage == "raft":
            path = self.directory / "storage"
            path.mkdir(mode=0o700, exist_ok=True)
            # One node needs no patience with the others: 1 is the shortest election timeout.
            storage = {"path": str(path), "node_id": "one", "performance_multiplier": 1}
        document: dict[str, object] = {
            "storage": {self._storage: storage},
            "listener": {
                "tcp": {
                    "address": f"127.0.0.1:{self._port}",
                    "tls_cert_file": str(self._files.cert),
                    "tls_key_file": str(self._files.key),
                    "tls_min_version": "tls13",
                    "max_request_json_strings": _MAX_JSON_STRINGS,
                }
            },
            "api_addr": self.address,
            "cluster_addr": f"https://127.0.0.1:{self._cluster_port}",
            "ui": False,
        }
        if self._audit:
            document["audit"] = [
                {"type": "file", "path": "file", "options": {"file_path": str(self.audit_file), "mode": "0600"}}
            ]
        return document


def _wait(condition: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise PeerError(
                complaint, hint="its log, in the directory of strongroom dev, says why; the machine may be too busy"
            )
        time.sleep(POLL_S)
