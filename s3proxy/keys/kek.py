"""Key-encryption keys: the port through which bucket keys are wrapped and unwrapped, and the one over a key file.

A bucket key that cannot be had (``KeyNotAvailableError``) is no ``IntegrityError`` on purpose. For damage one needs a
backup of the objects; a key that is not available is brought back in OpenBao, in the keyring or in the policy file, and
every object is read again as it is. Of what a header says nothing is authentic before its key is there, so a store that
lies can claim this, too: it opens nothing by that.
"""

import base64
import binascii
import enum
import logging
import os
import stat
from pathlib import Path
from typing import Protocol

from strongroom.errors import ConfigError, StrongroomError
from strongroom.sealed.wrapping import (
    KEK_BYTES,
    KEK_NONCE_BYTES,
    Form,
    WrappedKey,
    associated_data,
    unwrap_with_file,
    wrap_with_file,
)
from strongroom.secret import Secret
from strongroom.service.following import KeptFiles, Read
from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)


class Cause(enum.Enum):
    """Why a bucket key cannot be had. The values are labels of metrics."""

    GONE = "key_gone"  # OpenBao has no such transit key, or no such mount
    RETIRED = "version_retired"  # below min_decryption_version, and not rewrapped before that
    TOO_NEW = "version_unknown"  # of a version that the transit key does not have
    FORBIDDEN = "forbidden"  # OpenBao does not let the proxy use the key
    NO_POLICY = "policy_unknown"  # the policy file has no policy of that name for the object's name
    NO_RECORD = "record_missing"  # it is in the keyring only, and is not there
    OTHER_KEY = "other_key"  # the policy's key is not the one that its keyring was wrapped under
    KEYRING = "keyring_refused"  # the store does not let the proxy use its own bucket


REVOKED = frozenset({Cause.GONE, Cause.FORBIDDEN})
"""What OpenBao says of a key as a whole: bucket keys that it unwrapped are forgotten at once."""


class KeyNotAvailableError(StrongroomError):
    """A bucket key cannot be had, lastingly: somebody must act, and coming again does not help.

    Args:
        cause: why.
        message: what is wrong with which key.
        hint: the way back. It must never cost what is sealed already.
        when_new: the way on if nothing was ever sealed under the key; only who knows that may show it.
    """

    def __init__(self, cause: Cause, message: str, *, hint: str, when_new: str = "") -> None:
        """Keep the parts."""
        super().__init__(message, hint=hint)
        self.cause = cause
        self.when_new = when_new


class Kek(Protocol):
    """Wraps and unwraps bucket keys of one policy."""

    async def wrap(self, key: Secret, *, policy: str, key_id: bytes) -> WrappedKey:
        """Wrap a bucket key.

        Raises:
            UnavailableError: the KMS cannot be reached.
            KeyNotAvailableError: it refuses the KEK.
        """
        ...

    async def unwrap(self, wrapped: WrappedKey, *, policy: str, key_id: bytes) -> Secret:
        """Unwrap a bucket key.

        Raises:
            UnavailableError: the KMS cannot be reached.
            KeyNotAvailableError: it refuses the KEK, or its version.
            RefusedError: rule 6: this is not what it wrapped.
        """
        ...


def read_key_file(path: Path, *, read: Read = Path.read_bytes) -> Secret:
    """Return the key of a key file.

    Args:
        path: of the file.
        read: returns its content.

    Raises:
        ConfigError: it cannot be read or does not hold 32 bytes in base64.
    """
    try:
        raw = base64.b64decode(read(path).strip(), validate=True)
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror})"
        raise ConfigError(
            msg, hint="kek_file names the file with the key, as it was when objects were sealed"
        ) from None
    except binascii.Error:
        raw = b""
    if len(raw) != KEK_BYTES:
        msg = f"{path}: does not hold {KEK_BYTES} bytes in base64"
        raise ConfigError(
            msg,
            hint="restore it from its backup; only where nothing is sealed yet: head -c 32 /dev/urandom | base64",
        )
    return Secret(raw)


def require_own(path: Path) -> None:
    """Return unless everybody may write a key file; warn if everybody may read it.

    Raises:
        ConfigError: everybody may write it: what somebody else has chosen seals nothing.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # which reading it says
    if mode & stat.S_IWOTH:
        msg = f"kek_file={path}: may be written by every user (mode {stat.S_IMODE(mode):04o})"
        raise ConfigError(msg, hint="chmod o= it, and make sure that it still is the key that you made")
    if mode & stat.S_IROTH:
        fields = {
            "reason": f"kek_file={path}: may be read by every user (mode {stat.S_IMODE(mode):04o})",
            "hint": "chmod o= it; in a pod, defaultMode: 0440 with fsGroup",
        }
        log_event(_log, logging.WARNING, "open_key_file", fields)


class FileKek:
    """The key of a key file: for work without a KMS, and for tests."""

    def __init__(self, path: Path, *, kept: KeptFiles | None = None) -> None:
        """Read the file.

        Args:
            path: of the file.
            kept: what was in force in the process that this one replaces.

        Raises:
            ConfigError: it cannot be read or does not hold 32 bytes in base64.
        """
        self._key, _ = (kept or KeptFiles()).start(lambda read: read_key_file(path, read=read))

    async def wrap(self, key: Secret, *, policy: str, key_id: bytes) -> WrappedKey:
        """Wrap a bucket key."""
        nonce = os.urandom(KEK_NONCE_BYTES)
        return wrap_with_file(key, self._key, aad=associated_data(policy, key_id), nonce=nonce)

    async def unwrap(self, wrapped: WrappedKey, *, policy: str, key_id: bytes) -> Secret:
        """Unwrap a bucket key.

        Raises:
            RefusedError: rule 6.
        """
        return unwrap_with_file(wrapped, self._key, aad=associated_data(policy, key_id))


class KekByForm:
    """Wraps under a KMS, and unwraps what a key file wrapped too: for a policy on its way from one to the other."""

    def __init__(self, kms: Kek, file: Kek) -> None:
        """Take both."""
        self._kms = kms
        self._file = file

    async def wrap(self, key: Secret, *, policy: str, key_id: bytes) -> WrappedKey:
        """Wrap a bucket key under the KMS.

        Raises:
            UnavailableError: it cannot be reached.
            KeyNotAvailableError: it refuses the KEK.
        """
        return await self._kms.wrap(key, policy=policy, key_id=key_id)

    async def unwrap(self, wrapped: WrappedKey, *, policy: str, key_id: bytes) -> Secret:
        """Unwrap a bucket key under the one that its form names.

        Raises:
            UnavailableError: the KMS cannot be reached.
            KeyNotAvailableError: it refuses the KEK, or its version.
            RefusedError: rule 6.
        """
        kek = self._file if wrapped.form is Form.KEY_FILE else self._kms
        return await kek.unwrap(wrapped, policy=policy, key_id=key_id)
