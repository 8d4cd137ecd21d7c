"""Bucket keys in the hands of a KEK: what is wrapped, under which associated data, and the forms of the result.

``docs/object-format.md``, section "Keys". Talking to OpenBao is left to the caller; wrapping under a key file is here,
because it is a pure function.
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from enum import IntEnum
from struct import Struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from strongroom.errors import ConfigError, PeerError
from strongroom.sealed.names import POLICY_NAME
from strongroom.sealed.refusal import refuse
from strongroom.secret import Secret

BUCKET_KEY_BYTES: Final = 32
KEK_BYTES: Final = 32
KEK_NONCE_BYTES: Final = 12

_HEAD: Final = Struct(">BI")
_CIPHERTEXT_BYTES: Final = range(48, 96)
_TRANSIT: Final = re.compile(r"vault:v([1-9][0-9]{0,9}):([A-Za-z0-9+/]+={0,2})", re.ASCII)


class Form(IntEnum):
    """Who wrapped a key."""

    TRANSIT = 1
    KEY_FILE = 2


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A wrapped bucket key.

    Attributes:
        form: who wrapped it.
        version: of the KEK.
        ciphertext: what the KEK's cipher made of the key, nonce and tag included.
    """

    form: Form
    version: int
    ciphertext: bytes

    def encode(self) -> bytes:
        """Return the bytes that are in headers and keyring records.

        Raises:
            ConfigError: the version or the length of the ciphertext is out of bounds.
        """
        if not 1 <= self.version < 1 << 32 or len(self.ciphertext) not in _CIPHERTEXT_BYTES:
            msg = f"a key wrapped as {len(self.ciphertext)} bytes by version {self.version} of its KEK cannot be stored"
            raise ConfigError(msg, hint="use a transit key of type aes256-gcm96")
        return _HEAD.pack(self.form, self.version) + self.ciphertext

    def to_transit(self) -> str:
        """Return the text that OpenBao transit takes to decrypt or rewrap."""
        return f"vault:v{self.version}:{base64.b64encode(self.ciphertext).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class BucketKey:
    """A bucket key in use.

    Attributes:
        key_id: 16 random bytes.
        policy: whose KEK wraps it.
        secret: the 32 bytes of the key.
        wrapped: as it goes into headers; nothing if it is in the keyring only.
    """

    key_id: bytes
    policy: str
    secret: Secret
    wrapped: bytes = field(default=b"", repr=False)


def parse_wrapped(raw: bytes) -> WrappedKey:
    """Read a wrapped bucket key.

    Raises:
        RefusedError: rule 5.
    """
    if len(raw) - _HEAD.size not in _CIPHERTEXT_BYTES:
        refuse(5, f"a wrapped key of {len(raw)} bytes")
    form, version = _HEAD.unpack_from(raw)
    if form not in Form._value2member_map_ or not version:
        refuse(5, f"a wrapped key of form {form}, version {version}")
    return WrappedKey(Form(form), version, raw[_HEAD.size :])


def from_transit(text: str) -> WrappedKey:
    """Read the ciphertext that OpenBao transit answers.

    Raises:
        PeerError: it is not one that a header can hold.
    """
    match = _TRANSIT.fullmatch(text)
    try:
        ciphertext = base64.b64decode(match[2], validate=True) if match else b""
    except binascii.Error:
        ciphertext = b""
    if match is None or int(match[1]) >= 1 << 32 or len(ciphertext) not in _CIPHERTEXT_BYTES:
        msg = "transit answered a ciphertext of unknown form"
        raise PeerError(msg, hint="the policy's transit key must be of type aes256-gcm96")
    return WrappedKey(Form.TRANSIT, int(match[1]), ciphertext)


def associated_data(policy: str, key_id: bytes) -> bytes:
    """Return what binds a wrapped bucket key to its policy and id.

    Raises:
        ConfigError: the policy has a name that cannot be one.
    """
    if not POLICY_NAME.fullmatch(policy):
        msg = f"{policy!r}: no name of a policy; 1 to 32 of a-z, 0-9 and ._- may appear in it, letter or digit first"
        raise ConfigError(
            msg, hint="take another name in policy.toml; the name of a policy with objects goes into formerly"
        )
    return f"seg1/bk/{policy}/{key_id.hex()}".encode("ascii")


def wrap_with_file(bucket_key: Secret, kek: Secret, *, aad: bytes, nonce: bytes, version: int = 1) -> WrappedKey:
    """Wrap a bucket key under the key of a key file.

    Args:
        bucket_key: the 32 bytes to wrap.
        kek: the 32 bytes of the key file.
        aad: ``associated_data(policy, key_id)``.
        nonce: 12 random bytes.
        version: of the KEK.
    """
    sealed = AESGCM(kek.reveal()).encrypt(nonce, bucket_key.reveal(), aad)
    return WrappedKey(Form.KEY_FILE, version, nonce + sealed)


def unwrap_with_file(wrapped: WrappedKey, kek: Secret, *, aad: bytes) -> Secret:
    """Unwrap a bucket key with the key of a key file.

    Raises:
        RefusedError: rule 6: another KEK, another policy or id, or damage.
    """
    if wrapped.form is not Form.KEY_FILE:
        refuse(6, "its bucket key is not wrapped by a key file")
    nonce, sealed = wrapped.ciphertext[:KEK_NONCE_BYTES], wrapped.ciphertext[KEK_NONCE_BYTES:]
    try:
        value = AESGCM(kek.reveal()).decrypt(nonce, sealed, aad)
    except InvalidTag:
        refuse(6, "its bucket key does not unwrap under this key file")
    return checked_bucket_key(value)


def checked_bucket_key(value: bytes) -> Secret:
    """Return what a KEK unwrapped as a bucket key.

    Raises:
        RefusedError: rule 6: it does not have 32 bytes.
    """
    if len(value) != BUCKET_KEY_BYTES:
        refuse(6, f"its bucket key has {len(value)} bytes")
    return Secret(value)
