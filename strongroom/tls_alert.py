"""Tells a peer why its TLS handshake failed, which asyncio does not.

When a handshake fails, OpenSSL leaves an alert for the peer in its outgoing buffer, and asyncio drops the connection
without sending it (seen in CPython 3.11 to 3.13, ``asyncio/sslproto.py``). A client with an expired certificate then
learns nothing but that the connection ended. ``SSLContext.sslobject_class`` is the documented way to put this right.
"""

import logging
import ssl
from typing import Final

from strongroom.logs import log_event

_log = logging.getLogger(__name__)

_NOT_TLS: Final = frozenset({"HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "WRONG_VERSION_NUMBER"})  # OpenSSL's words


class AlertingSSLObject(ssl.SSLObject):
    """An SSLObject whose failed handshake ends with the alert on the wire, and in the log."""

    _failed = False

    def do_handshake(self) -> None:
        """Go on with the handshake.

        A failure is reported as "wants to read" first: that makes asyncio send what is in the buffer. The peer closes
        when it has read the alert; one that does not is dropped by the handshake's time limit. One that does not speak
        TLS at all would wait for an answer until then, and is dropped at once.

        Raises:
            SSLError: as ``ssl.SSLObject.do_handshake``.
        """
        if self._failed:
            raise ssl.SSLWantReadError
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLCertVerificationError as error:
            log_event(_log, logging.WARNING, "peer_certificate_refused", {"reason": error.verify_message})
            self._failed = True
            raise ssl.SSLWantReadError from error
        except ssl.SSLError as error:
            if error.reason in _NOT_TLS:
                raise
            self._failed = True
            raise ssl.SSLWantReadError from None


def send_alerts(context: ssl.SSLContext) -> None:
    """Make the connections of a server's context send alerts when their handshake fails."""
    context.sslobject_class = AlertingSSLObject
