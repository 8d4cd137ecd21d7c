"""Tells a peer why its TLS handshake failed, which asyncio does not.

When a handshake fails, OpenSSL leaves an alert for the peer in its outgoing buffer, and asyncio drops the connection
without sending it (seen in CPython 3.11 to 3.13, ``asyncio/sslproto.py``). A client with an expired certificate then
learns nothing but that the connection ended. ``SSLContext.sslobject_class`` is the documented way to put this right.

Whose certificate was refused goes into the log, with the address that it came from. Of a certificate that did not hold
nothing is true for that reason: all of it is marked as claimed, cut to a length, and never used for anything else.

What a peer sends for its handshake has a bound, which Python cannot set for OpenSSL: that takes 100 KiB of
certificates, whoever signed them, and keeps what it makes of them, some 2.5 MiB, for as long as the connection.
"""

import contextlib
import logging
import ssl
from contextvars import ContextVar
from typing import Any, Final, Self

from cryptography import x509

from strongroom.service.logs import LogValue, log_event
from strongroom.service.peer import MALFORMED

_log = logging.getLogger(__name__)

PEER_ADDRESS: ContextVar[str] = ContextVar("peer_address", default="")
"""The address at the other end of the connection that is being opened; set by what accepts connections."""

_HANDSHAKE, _CERTIFICATE = 22, 11  # of the content types and the handshake types (RFC 8446, B.1 and B.3)
MAX_HANDSHAKE_BYTES: Final = 16 << 10  # a workload's certificate with two others above it has some 7,000 at most
_MAX_SHOWN_BYTES: Final = 8192  # ten times what a workload's certificate has; kept until its handshake has ended
_MAX_CLAIM_CHARS: Final = 200
_MAX_NAMES: Final = 4

_NOT_TLS: Final = frozenset({"HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "WRONG_VERSION_NUMBER"})  # OpenSSL's words


class AlertingSSLObject(ssl.SSLObject):
    """An SSLObject whose failed handshake ends with the alert on the wire, and in the log."""

    _arrived: ssl.MemoryBIO  # what the peer has sent, and nobody has read
    _failed = False
    _left_bytes = MAX_HANDSHAKE_BYTES
    shown = b""  # the handshake message with the peer's certificates, as it came

    @classmethod
    def _create(cls, incoming: ssl.MemoryBIO, *others: Any, **options: Any) -> Self:  # noqa: ANN401 - as they come
        made: Self = super()._create(incoming, *others, **options)  # type: ignore[misc]  # what wrap_bio calls
        made._arrived = incoming
        return made

    def do_handshake(self) -> None:
        """Go on with the handshake.

        A failure is reported as "wants to read" first: that makes asyncio send what is in the buffer. The peer closes
        when it has read the alert; one that does not is dropped by the handshake's time limit. One that does not speak
        TLS at all would wait for an answer until then, and is dropped at once, as is one that sends too much.

        Raises:
            SSLError: as ``ssl.SSLObject.do_handshake``, or the peer sends too much.
        """
        if self._failed:
            self._arrived.read()  # which is of no use, and would be kept
            raise ssl.SSLWantReadError
        behind = self._hold_back()
        try:
            super().do_handshake()
            self.shown = b""
            self._arrived.write(behind)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if not behind:
                raise
            reason = f"it sends more than {MAX_HANDSHAKE_BYTES} bytes for its handshake, certificate and chain included"
            log_event(_log, logging.WARNING, "peer_certificate_refused", {"reason": reason, "peer": PEER_ADDRESS.get()})
            raise ssl.SSLError(reason) from None
        except ssl.SSLCertVerificationError as error:
            fields = {"reason": error.verify_message, "peer": PEER_ADDRESS.get(), **claims_in(self.shown)}
            log_event(_log, logging.WARNING, "peer_certificate_refused", fields)
            self.shown = b""
            self._failed = True
            raise ssl.SSLWantReadError from error
        except ssl.SSLError as error:
            if error.reason in _NOT_TLS:
                raise
            if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
                log_event(_log, logging.INFO, "peer_certificate_missing", {"peer": PEER_ADDRESS.get()})
            self._failed = True
            raise ssl.SSLWantReadError from None

    def _hold_back(self) -> bytes:
        """Return what has arrived beyond the bound; it may be a request, which is read after the handshake."""
        arrived = self._arrived.pending
        if arrived <= self._left_bytes:
            self._left_bytes -= arrived  # of which OpenSSL leaves nothing, unless the handshake has ended
            return b""
        content = self._arrived.read()
        self._arrived.write(content[: self._left_bytes])
        behind, self._left_bytes = content[self._left_bytes :], 0
        return behind


def send_alerts(context: ssl.SSLContext) -> None:
    """Make the connections of a server's context send alerts when their handshake fails."""
    context.sslobject_class = AlertingSSLObject


def note_certificates(context: ssl.SSLContext) -> None:
    """Make the connections of a server's context keep what certificates their clients show, until that is verified."""
    # OpenSSL gives a certificate away when it has verified it; this hook of Python sees each message before. The setter
    # of ssl.SSLContext itself turns every number into an enum, which takes ten times as long.
    hook = getattr(ssl.SSLContext.__base__, "_msg_callback", None)
    if hook is not None:
        hook.__set__(context, _note_shown)


def _note_shown(connection: object, direction: str, _version: int, kind: int, message: int, data: bytes) -> None:
    if message == _CERTIFICATE and kind == _HANDSHAKE and direction == "read":
        connection.shown = data[:_MAX_SHOWN_BYTES]  # type: ignore[attr-defined]  # an AlertingSSLObject


def claims_in(message: bytes) -> dict[str, LogValue]:
    """Return what the first certificate of a Certificate message (RFC 8446, 4.4.2) says, as the claims that it is."""
    try:
        at = 5 + message[4] + 3  # behind type, length and context, and the length of the list
        size = int.from_bytes(message[at : at + 3])
        certificate = x509.load_der_x509_certificate(message[at + 3 : at + 3 + size])
        claims: dict[str, LogValue] = {
            "claimed_subject": _cut(certificate.subject.rfc4514_string()),
            "claimed_not_before": certificate.not_valid_before_utc.isoformat(),
            "claimed_not_after": certificate.not_valid_after_utc.isoformat(),
        }
    except (IndexError, ValueError, *MALFORMED):
        return {}
    with contextlib.suppress(ValueError, x509.ExtensionNotFound, *MALFORMED):
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        claims["claimed_names"] = ", ".join(_cut(str(name.value)) for name in list(names)[:_MAX_NAMES])
    return claims


def _cut(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:_MAX_CLAIM_CHARS])
