"""Derived signing keys of Signature Version 4, kept for as long as they are in use.

Deriving takes four HMACs, about as long as the rest of a verification, and the key changes once a day. The cache is
bounded: anyone who knows an access key id may name any region.
"""

import hmac
import threading
from dataclasses import dataclass
from typing import Final, Protocol

from strongroom.secret import Secret
from strongroom.service.lru import Lru

MAX_KEYS: Final = 1024


class HasSecretKey(Protocol):
    """What keys are derived from; compared by identity, so a credential that was read again derives anew."""

    @property
    def secret_key(self) -> Secret:
        """The secret access key."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A credential scope: ``20130524/us-east-1/s3/aws4_request``.

    Attributes:
        date: eight digits.
        region: as the client wrote it.
        service: ``s3``.
    """

    date: str
    region: str
    service: str = "s3"

    def __str__(self) -> str:
        """Return the form in which it is signed."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


class SigningKeys:
    """A bounded cache of signing keys; the least recently used one goes first."""

    def __init__(self, *, max_keys: int = MAX_KEYS) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._keys = Lru[tuple[int, Scope], tuple[HasSecretKey, Secret]](max_keys)

    def key_for(self, credential: HasSecretKey, scope: Scope) -> Secret:
        """Return the signing key of a credential in a scope."""
        place = (id(credential), scope)  # the entry holds the credential, so its id is not given to another
        with self._lock:
            found = self._keys.get(place)
            if found is not None:
                return found[1]
        key = derive_key(credential.secret_key, scope)
        with self._lock:
            self._keys.keep(place, (credential, key))
        return key


def derive_key(secret_key: Secret, scope: Scope) -> Secret:
    """Derive the signing key of one day, region and service.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "Calculate Signature".
    """
    key = b"AWS4" + secret_key.reveal()
    for piece in (scope.date, scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, piece.encode("utf-8", "surrogateescape"), "sha256")
    return Secret(key)


def sign(key: Secret, text: bytes) -> str:
    """Return the signature of a string to sign, in lower-case hexadecimal."""
    return hmac.digest(key.reveal(), text, "sha256").hex()
