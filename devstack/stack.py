"""All of Strongroom on one machine: a real OpenBao, a throw-away authority and a bridge, in one private directory."""

import contextlib
from pathlib import Path
from typing import Self

from devstack.authority import Authority, IssuedFiles
from devstack.openbao import OpenBaoServer
from devstack.service import BridgeProcess

TRUST_DOMAIN = "dev.strongroom"
IDENTITY = f"spiffe://{TRUST_DOMAIN}/ns/shop/sa/app"

# What the identity above may read: everything below kv/shop, nothing else.
POLICY = f"""\
[[grant]]
identity = "{IDENTITY}"
paths = ["kv/shop/**"]
"""

_BRIDGE_RULES = """\
path "kv/*" { capabilities = ["read"] }
"""


class DevStack:
    """Started when the block is entered, gone when it is left.

    Attributes:
        openbao: the server, with an administrator's client; a KV v2 engine is mounted at ``kv``.
        authority: issues certificates.
        bridge: the bridge process.
        policy_file: the bridge's policy; edits take effect within a second.
        audit_file: the bridge's audit records.
        bridge_settings: the settings of that process, for another one beside it.
        client: certificate and key of IDENTITY.
    """

    openbao: OpenBaoServer
    bridge: BridgeProcess

    def __init__(self, directory: Path, *, policy: str = POLICY, audit: bool = False) -> None:
        """Take what it is to be.

        Args:
            directory: is made with mode 0700 if it does not exist.
            policy: the bridge's policy.
            audit: whether OpenBao writes an audit log of its own.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self._policy = policy
        self._audit = audit
        self.policy_file = directory / "policy.toml"
        self.audit_file = directory / "audit.jsonl"
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start everything.

        Raises:
            StrongroomError: something does not start; what was started is stopped again.
        """
        with self._stack:
            self.authority = Authority(self.directory / "tls")
            self.client: IssuedFiles = self.authority.issue_client("app", identities=(IDENTITY,))
            self.policy_file.write_text(self._policy)
            self.openbao = self._stack.enter_context(
                OpenBaoServer(self.directory / "openbao", self.authority, audit=self._audit)
            )
            self.openbao.admin.enable_kv("kv", version=2)
            self.bridge_settings = self._bridge_settings()
            self.bridge = self._stack.enter_context(BridgeProcess(self.directory / "bridge", self.bridge_settings))
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything, the bridge first."""
        self._stack.close()

    @property
    def bridge_url(self) -> str:
        """The address for wrappers."""
        return f"https://{self.bridge.address}"

    def exports(self) -> dict[str, str]:
        """Return the variables that a wrapper needs."""
        return {
            "STRONGROOM_BRIDGE": self.bridge_url,
            "STRONGROOM_CA": str(self.authority.ca_file),
            "STRONGROOM_CERT": str(self.client.cert),
            "STRONGROOM_KEY": str(self.client.key),
        }

    def _bridge_settings(self) -> dict[str, object]:
        server = self.authority.issue_server("bridge")
        self.openbao.admin.enable_approle()
        return {
            "tls_cert_file": str(server.cert),
            "tls_key_file": str(server.key),
            "client_ca_file": str(self.authority.ca_file),
            "policy_file": str(self.policy_file),
            "audit_file": str(self.audit_file),
            **self.openbao.login_for("bridge", _BRIDGE_RULES, self.directory),
        }
