"""Reads a client certificate the way a server does: by having a handshake with itself, in memory.

The standard library decodes only certificates that a peer has shown. So both ends of a handshake are played here, with
the certificate as its own authority, whoever signed it and whatever the time is. That also shows that key and
certificate belong together and that the certificate may be used by a client.
"""

import ssl
from dataclasses import dataclass

from strongroom.errors import ConfigError, DeniedError
from strongroom.identity import identity_of

_NO_CHECK_TIME = 0x20_0000  # X509_V_FLAG_NO_CHECK_TIME (openssl/x509_vfy.h): an expired one is to be read, too
# The algorithm of a key, rsaEncryption, with its empty parameters (RFC 3279, section 2.3.1). Signatures have others.
_RSA_KEY = bytes.fromhex("300d 0609 2a864886f70d010101 0500")


@dataclass(frozen=True)
class ClientCertificate:
    """What a bridge sees.

    Attributes:
        identity: the SPIFFE identity in it.
        not_after: when it ends, in seconds since the epoch.
        has_rsa_key: whether its key is one of RSA.
    """

    identity: str
    not_after: float
    has_rsa_key: bool


def read_client_certificate(cert_file: str, key_file: str) -> ClientCertificate:
    """Return what a bridge will see in a certificate.

    Raises:
        ConfigError: it is not a certificate for a client, has no end, or not exactly one SPIFFE identity.
    """
    shown, encoded = _shown(cert_file, key_file)
    try:
        identity = str(identity_of(shown))
        not_after = ssl.cert_time_to_seconds(str(shown["notAfter"]))
        return ClientCertificate(identity, not_after, has_rsa_key=_RSA_KEY in encoded)
    except DeniedError as error:
        raise ConfigError(f"{cert_file}: {error.message}", hint=error.hint) from None
    except (KeyError, ValueError):
        msg = f"{cert_file}: does not say when it ends"
        raise ConfigError(msg, hint="give STRONGROOM_CERT a certificate in PEM") from None


def _shown(cert_file: str, key_file: str) -> tuple[dict[str, object], bytes]:
    client, server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE  # the other end is played here
    server.verify_mode = ssl.CERT_REQUIRED
    server.verify_flags |= ssl.VerifyFlags(ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME)
    server.load_verify_locations(cert_file)
    for context in (client, server):
        context.load_cert_chain(cert_file, key_file)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (client.wrap_bio(to_client, to_server), server.wrap_bio(to_server, to_client, server_side=True))
    try:
        for _ in range(4):  # more flights than TLS 1.3 has
            for end in ends:
                _advance(end)
    except ssl.SSLError as error:
        reason = getattr(error, "verify_message", "") or error.reason
        msg = f"{cert_file}: cannot be used by a client: {reason}"
        raise ConfigError(msg, hint="the certificate needs the extended key usage clientAuth") from None
    return dict(ends[1].getpeercert() or {}), ends[1].getpeercert(binary_form=True) or b""


def _advance(end: ssl.SSLObject) -> None:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return
