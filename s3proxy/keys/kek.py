"""Key-encryption keys: the port through which bucket keys are wrapped and unwrapped, and the one over a key file."""

import base64
import binascii
import os
from pathlib import Path
from typing import Protocol

from strongroom.errors import ConfigError
from strongroom.kept_files import KeptFiles, Read
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
        raise ConfigError(msg, hint="kek_file names a file with 32 random bytes in base64") from None
    except binascii.Error:
        raw = b""
    if len(raw) != KEK_BYTES:
        msg = f"{path}: does not hold {KEK_BYTES} bytes in base64"
        raise ConfigError(msg, hint="make one with: head -c 32 /dev/urandom | base64")
    return Secret(raw)


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
