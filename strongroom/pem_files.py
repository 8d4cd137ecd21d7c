"""The PEM files of a TLS context: authorities, a certificate with its chain, its key; and what is wrong with one.

The wrapper does this at every launch, and without the ``ssl`` module (``wrapper.fetch.native_tls``), so this imports
neither that nor anything else that takes time.
"""

import os

from strongroom.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _ssl import _SSLContext as Context


def load_authorities(context: "Context", ca_file: str) -> None:
    """Have a context trust the authorities in a file.

    Raises:
        ConfigError: it is missing, unreadable or not what it should be.
    """
    _check_readable(ca_file)
    try:
        context.load_verify_locations(ca_file)
    except OSError:  # ssl.SSLError is one
        msg = f"{ca_file}: is not a PEM file with certificates"
        raise ConfigError(
            msg, hint="it must hold the authorities to trust, each in a BEGIN CERTIFICATE block"
        ) from None


def load_identity(context: "Context", cert_file: str, key_file: str) -> None:
    """Have a context show a certificate.

    Raises:
        ConfigError: a file is missing, unreadable, not what it should be, or key and certificate do not match.
    """
    _check_readable(cert_file)
    _check_readable(key_file)
    try:
        # The password callback is called for an encrypted key only; without it OpenSSL would ask on the terminal.
        context.load_cert_chain(cert_file, key_file, password=_refuse_encrypted_key)
    except ConfigError as error:
        raise ConfigError(f"{key_file}: {error.message}", hint=error.hint) from None
    except OSError as error:  # ssl.SSLError is one
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
    import ssl  # noqa: PLC0415 - no launch that goes well comes here

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
