"""A key-encryption key that never leaves OpenBao: a key of its transit engine wraps and unwraps bucket keys.

https://openbao.org/api-docs/secret/transit/. ``rewrap`` of the engine takes no associated data, so a change of the
key's version is an unwrap and a wrap. A policy of OpenBao for the proxy's login:

    path "transit/encrypt/orders" { capabilities = ["update"] }
    path "transit/decrypt/orders" { capabilities = ["update"] }

``create`` is not among them on purpose: with it, a key that is misspelt in the policy file would be made silently.
"""

import base64
from http import HTTPStatus

from s3proxy.keys.kek import Kek
from strongroom.errors import PeerError, UnavailableError
from strongroom.openbao.connection import Answer
from strongroom.openbao.session import Session
from strongroom.sealed.refusal import refuse
from strongroom.sealed.wrapping import Form, WrappedKey, associated_data, checked_bucket_key, from_transit
from strongroom.secret import Secret

_RETRY_AFTER_S = 5.0  # what OpenBao refuses, somebody must first put right
_NO_SUCH_KEY = "encryption key not found"


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
            UnavailableError: OpenBao cannot be reached, or refuses.
            PeerError: its answer is nonsense, or the key is of a type that takes no associated data.
        """
        body = {"plaintext": _base64(key.reveal()), "associated_data": _base64(associated_data(policy, key_id))}
        path = f"{self._mount}/encrypt/{self._key}"
        answer = await self._session.call("wrap", path, body)
        if answer.status != HTTPStatus.OK:
            raise self._refused(path, answer)
        return from_transit(_text(answer, "ciphertext"))

    async def unwrap(self, wrapped: WrappedKey, *, policy: str, key_id: bytes) -> Secret:
        """Unwrap a bucket key.

        Raises:
            UnavailableError: OpenBao cannot be reached, or refuses the login or the right to decrypt.
            PeerError: its answer is nonsense.
            RefusedError: rule 6: another key, policy or id, damage, or a version that may not be decrypted any more.
        """
        if wrapped.form is not Form.TRANSIT:
            refuse(6, "its bucket key is not wrapped by a transit key")
        body = {"ciphertext": wrapped.to_transit(), "associated_data": _base64(associated_data(policy, key_id))}
        path = f"{self._mount}/decrypt/{self._key}"
        answer = await self._session.call("unwrap", path, body)
        if answer.status == HTTPStatus.BAD_REQUEST and answer.reason != _NO_SUCH_KEY:
            refuse(6, f"its bucket key does not unwrap under the transit key {self._key}: {answer.reason}")
        if answer.status != HTTPStatus.OK:
            raise self._refused(path, answer)
        try:
            value = base64.b64decode(_text(answer, "plaintext"), validate=True)
        except ValueError:
            msg = "transit answers a plaintext that is not base64"
            raise PeerError(msg) from None
        return checked_bucket_key(value)

    def _refused(self, path: str, answer: Answer) -> UnavailableError:
        if answer.status == HTTPStatus.FORBIDDEN:
            msg = f"OpenBao does not let the proxy use {path}"
            hint = (
                f'give its OpenBao policy: path "{path}" {{ capabilities = ["update"] }}; make the key if there is none'
            )
        else:
            msg = f"OpenBao answers {answer.status} to {path}: {answer.reason or 'no reason given'}"
            hint = f"make the key with: bao write -f {self._mount}/keys/{self._key} type=aes256-gcm96"
        return UnavailableError(msg, hint=hint, retry_after_s=_RETRY_AFTER_S)


def _text(answer: Answer, member: str) -> str:
    data = answer.document.get("data")
    text = data.get(member) if isinstance(data, dict) else None
    if not isinstance(text, str):
        msg = f"transit answers without {member}"
        raise PeerError(msg, hint="check that openbao_address is an OpenBao server and not a proxy in front of it")
    return text


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
