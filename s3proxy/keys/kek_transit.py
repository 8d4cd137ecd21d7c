"""A key-encryption key that never leaves OpenBao: a key of its transit engine wraps and unwraps bucket keys.

https://openbao.org/api-docs/secret/transit/. ``rewrap`` of the engine takes no associated data, so a change of the
key's version is an unwrap and a wrap. A policy of OpenBao for the proxy's login:

    path "transit/encrypt/orders" { capabilities = ["update"] }
    path "transit/decrypt/orders" { capabilities = ["update"] }

``create`` is not among them on purpose: with it, a key that is misspelt in the policy file would be made silently.
"""

import base64
from http import HTTPStatus

from s3proxy.keys.kek import Cause, Kek, KeyNotAvailableError
from strongroom.errors import PeerError
from strongroom.openbao.connection import Answer
from strongroom.openbao.session import Session
from strongroom.sealed.refusal import refuse
from strongroom.sealed.wrapping import Form, WrappedKey, associated_data, checked_bucket_key, from_transit
from strongroom.secret import Secret

# The words of OpenBao's transit engine (builtin/logical/transit, sdk/helper/keysutil/policy.go).
_NO_SUCH_KEY = "encryption key not found"
_TOO_OLD = "(too old)"
_TOO_NEW = "version is too new"


class TransitKek(Kek):
    """One transit key."""

    def __init__(self, session: Session, key: str, *, mount: str = "transit") -> None:
        """Take the login, the name of the key, and where the engine is mounted."""
        self._session = session
        self._key = key
        self._mount = mount

    async def wrap(self, key: Secret, *, policy: str, key_id: bytes) -> WrappedKey:
        """Wrap a bucket key under the newest version of the transit key.

        Raises:
            UnavailableError: OpenBao cannot be reached, or refuses the login.
            KeyNotAvailableError: it refuses the key.
            PeerError: its answer is nonsense, or the key is of a type that takes no associated data.
        """
        body = {"plaintext": _base64(key.reveal()), "associated_data": _base64(associated_data(policy, key_id))}
        path = f"{self._mount}/encrypt/{self._key}"
        answer = await self._session.call("wrap", path, body)
        self._require_key(path, answer)
        if answer.status != HTTPStatus.OK:
            msg = f"OpenBao answers {answer.status} to {path}: {answer.reason or 'no reason given'}"
            raise PeerError(msg, hint="the policy's transit key must be of type aes256-gcm96")
        return from_transit(_text(answer, "ciphertext"))

    async def unwrap(self, wrapped: WrappedKey, *, policy: str, key_id: bytes) -> Secret:
        """Unwrap a bucket key.

        Raises:
            UnavailableError: OpenBao cannot be reached, or refuses the login.
            KeyNotAvailableError: it refuses the key, or the version of it.
            PeerError: its answer is nonsense.
            RefusedError: rule 6: another key, policy or id, or damage.
        """
        if wrapped.form is not Form.TRANSIT:
            refuse(6, "its bucket key is not wrapped by a transit key")
        body = {"ciphertext": wrapped.to_transit(), "associated_data": _base64(associated_data(policy, key_id))}
        path = f"{self._mount}/decrypt/{self._key}"
        answer = await self._session.call("unwrap", path, body)
        self._require_key(path, answer)
        self._require_version(wrapped.version, policy, answer)
        if answer.status != HTTPStatus.OK:
            refuse(6, f"its bucket key does not unwrap under the transit key {self._key}: {answer.reason}")
        try:
            value = base64.b64decode(_text(answer, "plaintext"), validate=True)
        except ValueError:
            msg = "transit answers a plaintext that is not base64"
            raise PeerError(msg, hint="does openbao_address lead to OpenBao itself?") from None
        return checked_bucket_key(value)

    def _require_key(self, path: str, answer: Answer) -> None:
        """Return unless OpenBao refuses the key as such.

        Raises:
            KeyNotAvailableError: it does.
        """
        if answer.status == HTTPStatus.FORBIDDEN:
            msg = f"OpenBao does not let the proxy use {path}: {answer.reason or 'permission denied'}"
            right = f'give its OpenBao policy: path "{path}" {{ capabilities = ["update"] }}'
            hint = f"{right}; if it has that, restore the key from OpenBao's backup, and do not make a new one"
            raise KeyNotAvailableError(Cause.FORBIDDEN, msg, hint=hint, when_new=f"{right}; {self._making}")
        if answer.status == HTTPStatus.NOT_FOUND or answer.reason == _NO_SUCH_KEY:
            msg = f"OpenBao answers {answer.status} to {path}: {answer.reason or 'nothing is there'}"
            hint = (
                f"restore the transit key {self._key} from OpenBao's backup, and do not make a new one: what was sealed"
                " before opens under no other (docs/recovery.md); or correct kek, openbao_transit_mount or"
                " openbao_namespace"
            )
            raise KeyNotAvailableError(Cause.GONE, msg, hint=hint, when_new=self._making)

    def _require_version(self, version: int, policy: str, answer: Answer) -> None:
        """Return unless OpenBao refuses the version of the key that wrapped something.

        Raises:
            KeyNotAvailableError: it does.
        """
        if answer.status != HTTPStatus.BAD_REQUEST:
            return
        config = f"{self._mount}/keys/{self._key}/config"
        if _TOO_OLD in answer.reason:
            msg = f"version {version} of the transit key {self._key} is retired, and a bucket key is wrapped under it"
            hint = (
                f"lower it again: bao write {config} min_decryption_version={version}; then run strongroom"
                f" s3 rewrap until nothing of {policy} is left, before it is retired again"
            )
            raise KeyNotAvailableError(Cause.RETIRED, msg, hint=hint)
        if _TOO_NEW in answer.reason:
            msg = f"the transit key {self._key} has no version {version}, under which a bucket key is wrapped"
            hint = (
                f"restore the newest backup of OpenBao: this {self._key} is an older state, or another key of that"
                " name; make and rotate nothing until it opens"
            )
            raise KeyNotAvailableError(Cause.TOO_NEW, msg, hint=hint)

    @property
    def _making(self) -> str:
        return (
            "if there is no key, make it, as nothing is known to be sealed under it yet: bao write -f"
            f" {self._mount}/keys/{self._key} type=aes256-gcm96"
        )


def _text(answer: Answer, member: str) -> str:
    data = answer.document.get("data")
    text = data.get(member) if isinstance(data, dict) else None
    if not isinstance(text, str):
        msg = f"transit answers without {member}"
        raise PeerError(msg, hint="check that openbao_address is an OpenBao server and not a proxy in front of it")
    return text


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
