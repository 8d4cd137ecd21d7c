"""Who is at the other end of a TLS connection: the identity in a certificate that may carry one, and until when.

OpenSSL has verified the chain. What is looked at here is what it does not know: SPIFFE's rules for the certificate
(X509-SVID), and which authority may name which trust domain. Everything is taken from the chain that was verified, not
from what the peer sent.
"""

import functools
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from strongroom.errors import DeniedError
from strongroom.identity import SpiffeId, identity_of
from strongroom.service.authorities import Authorities

MALFORMED = (x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
"""What reading a certificate, and its extensions, raises beside ValueError."""


_DER = 2  # OpenSSL's X509_FILETYPE_ASN1


@dataclass(frozen=True)
class Peer:
    """The other end.

    Attributes:
        identity: in its certificate.
        expires_at: end of the first certificate of its chain that ends, seconds of the epoch.
    """

    identity: SpiffeId
    expires_at: float


def peer_of(
    connection: ssl.SSLObject | ssl.SSLSocket, authorities: Authorities, *, decoded: Mapping[str, object] | None
) -> Peer:
    """Return who is at the other end of a connection whose handshake is done.

    Args:
        connection: with a verified certificate.
        authorities: those of its context.
        decoded: what ``connection.getpeercert()`` returns, if it was called already: it is the dearest step of all.

    Raises:
        DeniedError: there is no certificate, it is not that of a workload, it has not exactly one SPIFFE identity, or
            its authority may not name that.
    """
    identity = identity_of(decoded or connection.getpeercert())
    chain = _verified_chain(connection)
    authorities.require(chain[-1], identity)
    return Peer(identity, min([_end_of_leaf(chain[0]), *map(_end_of_authority, chain[1:])]))


@functools.lru_cache(maxsize=1024)  # of some workloads; what is in a certificate stays so
def _end_of_leaf(der: bytes) -> float:
    """Return until when a workload's certificate holds.

    Raises:
        DeniedError: it is not that of a workload.
    """
    certificate = x509.load_der_x509_certificate(der)
    _require_leaf(certificate)
    return certificate.not_valid_after_utc.timestamp()


@functools.lru_cache(maxsize=64)  # few authorities sign all workloads
def _end_of_authority(der: bytes) -> float:
    return x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp()


def _require_leaf(certificate: x509.Certificate) -> None:
    """Refuse a certificate that could sign others: it is not that of a workload (X509-SVID, sections 4.1, 4.3 and 5.2).

    Raises:
        DeniedError: it may sign, or its extensions cannot be read.
    """
    try:
        constraints = extension_of(certificate, x509.BasicConstraints)
        usage = extension_of(certificate, x509.KeyUsage)
    except (ValueError, *MALFORMED) as error:
        msg = "the extensions of the client certificate are malformed"
        raise DeniedError(msg, hint="issue a certificate for the workload anew") from error
    if (constraints and constraints.ca) or (usage and (usage.key_cert_sign or usage.crl_sign)):
        msg = "the client certificate is that of an authority, not of a workload"
        raise DeniedError(msg, hint="issue it with CA:FALSE and without keyCertSign and cRLSign")


def extension_of(certificate: x509.Certificate, kind: Any) -> Any:  # noqa: ANN401 - one of theirs
    """Return an extension of a certificate, None where it has none.

    Raises:
        ValueError, *MALFORMED: its extensions are malformed.
    """
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _verified_chain(connection: ssl.SSLObject | ssl.SSLSocket) -> list[bytes]:
    """Return the chain that was verified, from the peer's certificate to a root, DER.

    Raises:
        DeniedError: there is none.
    """
    if hasattr(connection, "get_verified_chain"):  # Python 3.13
        chain = list(connection.get_verified_chain())
    else:
        # The same before it became public; its certificates are objects of OpenSSL.
        found = connection._sslobj.get_verified_chain() or []  # type: ignore[union-attr]  # noqa: SLF001
        chain = [certificate.public_bytes(_DER) for certificate in found]
    if not chain:
        msg = "the client showed no certificate"
        raise DeniedError(msg, hint="callers show a certificate with their SPIFFE identity")
    return chain
