"""TLS contexts of the project: version 1.3 only, both sides show a certificate, host names are checked.

The wrapper imports this module at every launch, so it imports what a TLS connection needs anyway and nothing else. What
a server needs beyond that, noticing that its files have changed, is in ``strongroom.service.tls_reload``.
"""

import os
import ssl

from strongroom.errors import ConfigError


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
    _load_authorities(context, ca_file)
    _load_identity(context, cert_file, key_file)
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
        _load_authorities(context, authorities)
    _load_identity(context, cert_file, key_file)
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
    _load_identity(context, cert_file, key_file)
    return context


def _load_authorities(context: ssl.SSLContext, ca_file: str) -> None:
    _check_readable(ca_file)
    try:
        context.load_verify_locations(ca_file)
    except (ssl.SSLError, OSError):
        msg = f"{ca_file}: is not a PEM file with certificates"
        raise ConfigError(
            msg, hint="it must hold the authorities to trust, each in a BEGIN CERTIFICATE block"
        ) from None


def _load_certificates(context: ssl.SSLContext, der: bytes) -> None:
    try:
        context.load_verify_locations(cadata=der)
    except ssl.SSLError as error:
        msg = f"the authorities of the clients: OpenSSL does not take one of them ({error.reason})"
        raise ConfigError(msg, hint="`openssl x509 -noout -text -in FILE` says what is wrong with it") from None


def _load_identity(context: ssl.SSLContext, cert_file: str, key_file: str) -> None:
    _check_readable(cert_file)
    _check_readable(key_file)
    try:
        # The password callback is called for an encrypted key only; without it OpenSSL would ask on the terminal.
        context.load_cert_chain(cert_file, key_file, password=_refuse_encrypted_key)
    except ConfigError as error:
        raise ConfigError(f"{key_file}: {error.message}", hint=error.hint) from None
    except (ssl.SSLError, OSError) as error:
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            msg = f"{key_file}: is not the key of the certificate in {cert_file}"
            raise ConfigError(msg, hint="take both from one issuance: the leaf certificate, then its chain") from None
        culprit, kind = (key_file, "private key") if _holds_certificate(cert_file) else (cert_file, "certificate")
        msg = f"{culprit}: is not a PEM file with a {kind}"
        raise ConfigError(msg, hint=f"it must hold a -----BEGIN block of the {kind}") from None


def _refuse_encrypted_key() -> str:
    msg = "the private key is encrypted"
    raise ConfigError(msg, hint="nobody is there to type a passphrase; store the key without one")


def _holds_certificate(path: str) -> bool:
    """Return whether OpenSSL finds a certificate at the beginning of a PEM file; called to explain an error only."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123 - pathlib is slow to import
            text = file.read()
        begin = text.index(ssl.PEM_HEADER)
        block = text[begin : text.index(ssl.PEM_FOOTER, begin) + len(ssl.PEM_FOOTER)]
        ssl.create_default_context(cadata=ssl.PEM_cert_to_DER_cert(block))
    except (ValueError, OSError):  # SSLError is an OSError
        return False
    return True


def _check_readable(path: str) -> None:
    """Open a file to learn why it cannot be read, because OpenSSL does not say.

    Raises:
        ConfigError: it is missing, a directory, or not readable.
    """
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except FileNotFoundError:
        msg = f"{path}: does not exist"
        raise ConfigError(msg, hint="mount the certificate there, or name the right file") from None
    except OSError as error:
        msg = f"{path}: not readable by uid {os.getuid()} ({error.strerror})"
        raise ConfigError(msg, hint="give its owner or group access, for example with fsGroup in the pod") from None
    if os.path.isdir(path):  # noqa: PTH112 - pathlib is slow to import
        raise ConfigError(f"{path}: is a directory", hint="name the PEM file in it")
