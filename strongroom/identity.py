"""Who a peer is: SPIFFE identities from certificates.

A caller is the one URI SAN of its client certificate: ``spiffe://TRUST_DOMAIN/PATH`` (SPIFFE-ID, section 2; X509-SVID,
section 2: exactly one URI SAN). Pure text handling; that the certificate is valid is the TLS layer's business.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from strongroom.errors import DeniedError

MAX_ID_BYTES = 2048  # SPIFFE-ID, section 2.3
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}\Z")  # section 2.1
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+\Z")  # section 2.2
_SCHEME = "spiffe://"


@dataclass(frozen=True)
class SpiffeId:
    """A SPIFFE identity.

    Attributes:
        trust_domain: the authority, lower case.
        path: the rest with its leading slash, or "".
    """

    trust_domain: str
    path: str

    def __str__(self) -> str:
        """Return the URI."""
        return f"{_SCHEME}{self.trust_domain}{self.path}"


def parse_spiffe_id(uri: str) -> SpiffeId:
    """Parse a SPIFFE URI.

    Raises:
        DeniedError: it is not one; there is no identity to decide for.
    """
    domain, slash, path = uri.removeprefix(_SCHEME).partition("/")
    legal = (
        uri.startswith(_SCHEME)
        and len(uri) <= MAX_ID_BYTES
        and _TRUST_DOMAIN.match(domain)
        and (not slash or all(_SEGMENT.match(part) and part not in {".", ".."} for part in path.split("/")))
    )
    if not legal:
        msg = f"{uri[:200]!r} is not a SPIFFE identity"
        raise DeniedError(msg, hint="the certificate needs a URI SAN such as spiffe://example.org/ns/shop/sa/api")
    return SpiffeId(domain, slash + path)


def identity_of(peer_certificate: Mapping[str, object] | None) -> SpiffeId:
    """Return the identity in a certificate as ``ssl.SSLSocket.getpeercert()`` gives it.

    Raises:
        DeniedError: there is no certificate, or not exactly one URI SAN, or that one is not a SPIFFE identity.
    """
    names = (peer_certificate or {}).get("subjectAltName", ())
    uris = [value for kind, value in names if kind == "URI"] if isinstance(names, tuple) else []
    if len(uris) != 1:
        msg = f"the client certificate has {len(uris)} URI names, not one"
        raise DeniedError(msg, hint="the certificate needs one URI SAN such as spiffe://example.org/ns/shop/sa/api")
    return parse_spiffe_id(uris[0])
