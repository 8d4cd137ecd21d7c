"""A real OpenBao server as a child process on loopback, for development and tests.

Everything it writes is in one private directory. The root token exists in this process's memory only: it is in no
argument list, no environment and no file, unless ``write_token_file`` is called. What this server stores is as safe as
that directory; it is not a way to run OpenBao in production.
"""

import contextlib
import json
import time
from pathlib import Path

from devstack.authority import Authority, write_private
from devstack.openbao_admin import OpenBaoAdmin
from devstack.server import ServerProcess, find_program, free_ports
from strongroom.errors import PeerError

_POLL_S = 0.02
_MAX_JSON_STRINGS = 200_000  # the server's default of 1,000 refuses a path with 1,000 keys


class OpenBaoServer(ServerProcess):
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
        super().__init__("OpenBao", directory)
        self.ca_file = authority.ca_file
        self.audit_file = directory / "openbao-audit.log"
        self._storage = storage
        self._audit = audit
        self._program = find_program("bao")
        self._files = authority.issue_server("openbao")
        self.admin: OpenBaoAdmin
        self._start()
        try:
            self._unseal_key, token = self.admin.initialise()
            self.admin = OpenBaoAdmin(self.address, self.ca_file, token=token)
            self.unseal()
        except BaseException:
            self.stop()
            raise

    @property
    def address(self) -> str:
        """The URL of the server."""
        return f"https://127.0.0.1:{self._port}"

    def write_token_file(self, path: Path) -> None:
        """Write the root token to a file with mode 0600, for a client that wants it there."""
        write_private(path, self.admin.token.encode())

    def login_for(self, role: str, rules: str, directory: Path, *, ttl: str = "1h") -> dict[str, object]:
        """Make an AppRole, and return the settings of a server that logs in by it.

        Args:
            role: its name; ``strongroom-ROLE`` is that of its policy.
            rules: what it may do, in HCL.
            directory: private directory for role id and secret id.
            ttl: of its tokens.
        """
        policy = f"strongroom-{role}"
        self.admin.write_policy(policy, rules)
        role_id, secret_id = self.admin.create_role(role, policies=[policy], ttl=ttl)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(directory / "role-id", role_id.encode())
        write_private(directory / "secret-id", secret_id.encode())
        return {
            "openbao_address": self.address,
            "openbao_ca_file": str(self.ca_file),
            "openbao_role_id_file": str(directory / "role-id"),
            "openbao_secret_id_file": str(directory / "secret-id"),
        }

    def unseal(self) -> None:
        """Unseal the server and wait until it serves."""
        self.admin.unseal(self._unseal_key)
        deadline = time.monotonic() + self.START_TIMEOUT_S
        while self.admin.health() != 200:  # noqa: PLR2004 - active
            if time.monotonic() > deadline:
                msg = "OpenBao is not active after it was unsealed"
                raise PeerError(msg, hint=f"{self.log_file} says why; the machine may be too busy")
            time.sleep(_POLL_S)

    def restart(self) -> None:
        """Start a stopped or killed server again on the same port; only raft storage keeps its data.

        Raises:
            PeerError: it does not come up in time, or its storage was in memory.
        """
        if self._storage == "inmem":
            msg = "OpenBao with storage in memory cannot be restarted: its data and its unseal key are gone"
            raise PeerError(msg, hint="start a new one")
        token = self.admin.token
        super().restart()
        self.admin = OpenBaoAdmin(self.address, self.ca_file, token=token)
        self.unseal()

    def _choose_ports(self) -> None:
        self._port, self._cluster_port = free_ports(2)

    def _launch(self) -> None:
        self.admin = OpenBaoAdmin(self.address, self.ca_file)
        config_file = self.directory / "openbao.json"
        write_private(config_file, json.dumps(self._configuration()).encode())
        self._spawn([self._program, "server", f"-config={config_file}"])

    def _answers(self) -> bool:
        with contextlib.suppress(PeerError):
            self.admin.health()
            return True
        return False

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
