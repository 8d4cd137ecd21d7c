"""The administrator's side of OpenBao that development and tests need, over its HTTP API with the standard library.

One method, one API call (https://openbao.org/api-docs/). The token travels in a header only.
"""

import http.client
import json
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from strongroom.errors import PeerError

TIMEOUT_S = 10.0
POLL_S = 0.02
_BAD_REQUEST = 400
_FIRST_ERROR_STATUS = 400


class OpenBaoAdmin:
    """A client with one token; a connection of its own for each call."""

    def __init__(self, address: str, ca_file: Path, *, token: str = "") -> None:
        """Take the URL of the server, the authority of its certificate and a token."""
        url = urlsplit(address)
        self._host = url.hostname or ""
        self._port = url.port or 443
        self._context = ssl.create_default_context(cafile=str(ca_file))
        self.token = token

    def __repr__(self) -> str:
        """Return a string without the token."""
        return f"OpenBaoAdmin({self._host}:{self._port})"

    def call(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *, timeout_s: float = TIMEOUT_S
    ) -> dict[str, object]:
        """Make one API call and return the answer's document, {} when it has none.

        Raises:
            PeerError: the server cannot be reached or answers with an error; the message has its reason.
        """
        status, document = self._exchange(method, path, body, timeout_s)
        if status >= _FIRST_ERROR_STATUS:
            errors = document.get("errors")
            reasons = "; ".join(str(error) for error in errors) if isinstance(errors, list) else ""
            msg = f"OpenBao answers {status} to {method} {path}: {reasons or 'no reason given'}"
            raise PeerError(msg, hint="its log, in the directory of strongroom dev, says more")
        return document

    def health(self) -> int:
        """Return the status of ``sys/health``: 200 active, 501 not initialised, 503 sealed.

        Raises:
            PeerError: the server cannot be reached.
        """
        return self._exchange("GET", "sys/health", None, TIMEOUT_S)[0]

    def initialise(self) -> tuple[str, str]:
        """Initialise a new server with one key share; returns the unseal key and the root token."""
        answer = self.call("POST", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        keys = answer["keys_base64"]
        assert isinstance(keys, list)  # noqa: S101 - the API's contract
        return str(keys[0]), str(answer["root_token"])

    def unseal(self, key: str) -> None:
        """Give the one key share."""
        self.call("POST", "sys/unseal", {"key": key})

    def seal(self) -> None:
        """Seal the server."""
        self.call("POST", "sys/seal")

    def enable_kv(self, mount: str, *, version: int) -> None:
        """Mount a key-value engine.

        Args:
            mount: path of the mount.
            version: 1 or 2 (with versions of each secret).

        Raises:
            PeerError: the server refuses, or the mount does not get ready.
        """
        self.call("POST", f"sys/mounts/{mount}", {"type": "kv", "options": {"version": str(version)}})
        # A new version 2 mount answers 400 for a moment while it sets itself up.
        deadline = time.monotonic() + TIMEOUT_S
        while version != 1 and self._exchange("GET", f"{mount}/config", None, TIMEOUT_S)[0] == _BAD_REQUEST:
            if time.monotonic() > deadline:
                msg = f"OpenBao does not get the mount {mount} ready"
                raise PeerError(msg, hint="the machine may be too busy: start it again")
            time.sleep(POLL_S)

    def disable_mount(self, mount: str) -> None:
        """Unmount an engine and delete its data."""
        self.call("DELETE", f"sys/mounts/{mount}")

    def put_v1(self, mount: str, path: str, data: Mapping[str, object]) -> None:
        """Store a secret in a version 1 mount."""
        self.call("POST", f"{mount}/{quote(path)}", data)

    def put_v2(self, mount: str, path: str, data: Mapping[str, object]) -> int:
        """Store a new version of a secret in a version 2 mount; returns its number."""
        answer = self.call("POST", f"{mount}/data/{quote(path)}", {"data": data})
        return int(str(_member(answer, "data")["version"]))

    def delete_versions(self, mount: str, path: str, versions: list[int]) -> None:
        """Mark versions as deleted; they can be had back."""
        self.call("POST", f"{mount}/delete/{quote(path)}", {"versions": versions})

    def destroy_versions(self, mount: str, path: str, versions: list[int]) -> None:
        """Destroy the data of versions for good."""
        self.call("PUT", f"{mount}/destroy/{quote(path)}", {"versions": versions})

    def write_policy(self, name: str, rules: str) -> None:
        """Store an OpenBao policy in HCL."""
        self.call("PUT", f"sys/policies/acl/{name}", {"policy": rules})

    def create_token(self, *, policies: list[str], ttl: str, renewable: bool = True) -> str:
        """Create an orphan token and return it.

        Args:
            policies: names of OpenBao policies.
            ttl: lifetime as OpenBao writes it, for example ``30s``.
            renewable: whether its holder may renew it.
        """
        answer = self.call(
            "POST",
            "auth/token/create-orphan",
            {"policies": policies, "ttl": ttl, "renewable": renewable, "no_default_policy": False},
        )
        return str(_member(answer, "auth")["client_token"])

    def revoke_token(self, token: str) -> None:
        """Revoke a token."""
        self.call("POST", "auth/token/revoke", {"token": token})

    def enable_approle(self) -> None:
        """Mount the AppRole login method."""
        self.call("POST", "sys/auth/approle", {"type": "approle"})

    def create_role(self, role: str, *, policies: list[str], ttl: str, max_ttl: str = "0") -> tuple[str, str]:
        """Create an AppRole and return its role id and a new secret id.

        Args:
            role: name of the role.
            policies: names of OpenBao policies of the tokens it gives.
            ttl: lifetime of those tokens.
            max_ttl: how far they can be renewed; ``0`` is the server's default.
        """
        self.call(
            "POST",
            f"auth/approle/role/{role}",
            {"token_policies": policies, "token_ttl": ttl, "token_max_ttl": max_ttl},
        )
        role_id = _member(self.call("GET", f"auth/approle/role/{role}/role-id"), "data")["role_id"]
        secret_id = _member(self.call("POST", f"auth/approle/role/{role}/secret-id"), "data")["secret_id"]
        return str(role_id), str(secret_id)

    def _exchange(
        self, method: str, path: str, body: Mapping[str, object] | None, timeout_s: float
    ) -> tuple[int, dict[str, object]]:
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=self._context)
        headers = {"X-Vault-Token": self.token} if self.token else {}
        try:
            connection.request(method, f"/v1/{path}", None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            msg = f"OpenBao at {self._host}:{self._port} cannot be reached: {type(error).__name__}"
            raise PeerError(msg, hint="has it ended? Its log, in the directory of strongroom dev, says why") from error
        finally:
            connection.close()
        document = json.loads(content) if content else {}
        return response.status, document if isinstance(document, dict) else {}


def _member(document: dict[str, object], name: str) -> dict[str, object]:
    member = document[name]
    assert isinstance(member, dict)  # noqa: S101 - the API's contract
    return member
