"""TLS contexts of the project: version 1.3 only, both sides show a certificate, host names are checked.

A launch makes its context without the ``ssl`` module (``wrapper.fetch.native_tls``), and tests compare the two. What a
server needs beyond a context, noticing that its files have changed, is in ``strongroom.service.tls_reload``.
"""

import ssl

from strongroom.errors import ConfigError
from strongroom.pem_files import load_authorities, load_identity


def client_context(ca_file: str, cert_file: str, key_file: str) -> ssl.SSLContext:
    """Return a context for a client that shows a certificate.

    Args:
        ca_file: authorities that may sign the server's certificate, PEM.
        cert_file: the client's certificate with its chain, PEM.
        key_file: the private key of that certificate, PEM.

    Raises:
        ConfigError: a file is missing, unreadable, not what it should be, or key and certificate do not match.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks the host name and requires a certificate
    # OpenSSL looks at the common name where no name is that of a host, as in each workload's certificate; authorities
    # bind their workloads to identities, not to that (RFC 9525, section 6.3).
    context.hostname_checks_common_name = False
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    load_authorities(context, ca_file)
    load_identity(context, cert_file, key_file)
    return context


def server_context(authorities: str | bytes, cert_file: str, key_file: str) -> ssl.SSLContext:
    """Return a context for a server that requires a certificate of its clients.

    Args:
        authorities: that may sign the clients' certificates: a PEM file, or their certificates in a row, DER.
        cert_file: the server's certificate with its chain, PEM.
        key_file: the private key of that certificate, PEM.

    Raises:
        ConfigError: a file is missing, unreadable, not what it should be, or key and certificate do not match.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    # A resumed session would not show its certificate again, so a client whose authority has been taken away
    # could go on (RFC 8446, section 2.2: resumption carries the identity over).
    context.num_tickets = 0
    if isinstance(authorities, bytes):
        _load_certificates(context, authorities)
    else:
        load_authorities(context, authorities)
    load_identity(context, cert_file, key_file)
    return context


def public_server_context(cert_file: str, key_file: str) -> ssl.SSLContext:
    """Return a context for a server whose clients show no certificate.

    Args:
        cert_file: the server's certificate with its chain, PEM.
        key_file: the private key of that certificate, PEM.

    Raises:
        ConfigError: a file is missing, unreadable, not what it should be, or key and certificate do not match.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # clients in use know no newer one
    load_identity(context, cert_file, key_file)
    return context


def _load_certificates(context: ssl.SSLContext, der: bytes) -> None:
    try:
        context.load_verify_locations(cadata=der)
    except ssl.SSLError as error:
        msg = f"the authorities of the clients: OpenSSL does not take one of them ({error.reason})"
        raise ConfigError(msg, hint="`openssl x509 -noout -text -in FILE` says what is wrong with it") from None
