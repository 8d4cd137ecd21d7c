"""A server's TLS context that follows its files, without dropping connections.

New connections get the newest context that could be loaded: the front context hands over to it in the server-name
callback, which OpenSSL calls for every ClientHello, with or without a name. A broken new file leaves the old context in
use. Established connections keep theirs.
"""

import datetime as dt
import logging
import os
import ssl
from collections.abc import Callable
from pathlib import Path

from cryptography import x509

from strongroom.errors import ConfigError
from strongroom.filestamp import stamp_of
from strongroom.logs import log_event
from strongroom.tls import public_server_context, server_context
from strongroom.tls_alert import send_alerts

_log = logging.getLogger(__name__)


class ReloadingServerContext:
    """The context of a server; call ``reload_if_changed`` from time to time.

    Attributes:
        front: the context to give to the server; it never changes.
        error: why the newest files could not be used, or "".
        expires_at: end of the certificate in use, seconds of the epoch.
    """

    def __init__(
        self,
        *,
        cert_file: str | os.PathLike[str],
        key_file: str | os.PathLike[str],
        ca_file: str | os.PathLike[str] | None = None,
        observe: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """Load the files.

        Args:
            cert_file: the server's certificate with its chain, PEM.
            key_file: the private key of that certificate, PEM.
            ca_file: authorities of the clients, PEM; without it clients show no certificate.
            observe: told after each reload whether it succeeded.

        Raises:
            ConfigError: a file cannot be used; at the start there is no older context to keep.
        """
        self._ca_file = os.fspath(ca_file) if ca_file else ""
        self._cert_file, self._key_file = os.fspath(cert_file), os.fspath(key_file)
        self._files = tuple(path for path in (self._cert_file, self._key_file, self._ca_file) if path)
        self._observe = observe
        self._stamp = stamp_of(*self._files)
        self._newest, self.expires_at = self._load()
        self.error = ""
        self.front = self._context()
        self.front.sni_callback = self._hand_over
        send_alerts(self.front)

    def reload_if_changed(self) -> None:
        """Load the files again if one of them has changed; keep the old context if they cannot be used."""
        stamp = stamp_of(*self._files)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._newest, self.expires_at = self._load()
        except ConfigError as error:
            self.error = error.message
            log_event(_log, logging.ERROR, "tls_reload_failed", {"reason": error.message, "hint": error.hint})
            self._observe(False)  # noqa: FBT003 - the one argument of an observer
        else:
            self.error = ""
            log_event(_log, logging.INFO, "tls_reloaded", {"certificate": self._cert_file})
            self._observe(True)  # noqa: FBT003 - the one argument of an observer

    def _context(self) -> ssl.SSLContext:
        if self._ca_file:
            return server_context(self._ca_file, self._cert_file, self._key_file)
        return public_server_context(self._cert_file, self._key_file)

    def _load(self) -> tuple[ssl.SSLContext, float]:
        context = self._context()
        cert_file = Path(self._cert_file)
        end = x509.load_pem_x509_certificates(cert_file.read_bytes())[0].not_valid_after_utc
        if end < dt.datetime.now(dt.UTC):
            msg = f"{cert_file}: the certificate expired at {end.isoformat()}"
            raise ConfigError(msg, hint="no client would accept it; issue a new one")
        return context, end.timestamp()

    def _hand_over(self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _front: ssl.SSLContext) -> None:
        # SSL_set_SSL_CTX takes over the certificate and the store of authorities; the demand for a client certificate
        # and the version stay those of the front context, which are the same.
        connection.context = self._newest
