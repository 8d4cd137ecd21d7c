"""What crosses a connection to OpenBao, where it leads, and what its failures are called.

Two clients stand on it: ``client`` for what is read and done there, ``blocking`` for logins. They know HTTP and tokens'
place in it, not what the paths mean. Errors that mean "not now" become ``UnavailableError``; 403 and 404 are the
caller's to read. The token of a call comes in as an argument and is never logged.
"""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from strongroom.errors import ConfigError, PeerError, UnavailableError, UndeliverableError
from strongroom.openbao.kv import parse_document
from strongroom.secret import Secret
from strongroom.service.following import stamp_of
from strongroom.service.settings import REQUIRED, Guard, number, seconds, setting

ANSWERED = frozenset({200, 204, 400, 403, 404})
_SEALED_STATUS = 503
_SHORTEST_BODY_BYTES = 2
_PLAIN_TO_TLS = b"Client sent an HTTP request to an HTTPS server"  # Go's net/http

LATE_HINT = "it is overloaded, stopped, or the network drops packets"

Observe = Callable[[str, str, float], None]


class OpenBaoUnavailableError(UnavailableError):
    """OpenBao is down, sealed, busy, too slow, or lets nobody in."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One API call.

    Attributes:
        operation: name for the metrics.
        method: GET or POST.
        path: below ``/v1/``, not quoted.
        deadline: of ``time.monotonic``; no single wait goes beyond it.
        token: of anyone who asks.
        query: parameters of the URL.
        body: document to send; never shown.
        repeatable: whether it means the same when it is sent twice; a GET always does.
        keep: returns what is wanted of the answer's document; the rest goes before others have a large one.
    """

    operation: str
    method: str
    path: str
    deadline: float
    token: Secret | None = None
    query: Mapping[str, str] | None = None
    body: Mapping[str, object] | None = field(default=None, repr=False)
    repeatable: bool = False
    keep: Callable[[dict[str, object]], Mapping[str, object]] = field(default=lambda document: document, repr=False)

    @property
    def may_be_repeated(self) -> bool:
        """Whether it may be sent once more, if it is not known whether the server had it."""
        return self.repeatable or self.method == "GET"


@dataclass(frozen=True)
class Answer:
    """What OpenBao answered: 200, 204, 400, 403 or 404, and its document, which is never shown."""

    status: int
    document: Mapping[str, object] = field(repr=False)

    @property
    def reason(self) -> str:
        """OpenBao's own words about an error, on one line."""
        errors = self.document.get("errors")
        texts = [text for text in errors if isinstance(text, str)] if isinstance(errors, list) else []
        return " ".join("; ".join(texts).split())[:200]


@dataclass(frozen=True)
class Server:
    """Which OpenBao; settings behind ``openbao_``."""

    address: str = setting(REQUIRED, "the OpenBao server", "https://HOST[:PORT]")
    ca_file: Path | None = setting(
        None,
        "authorities of OpenBao's certificate",
        "PEM file",
        "without it the system's authorities count",
        guard=Guard.WRITE,
    )
    namespace: str = setting("", "OpenBao namespace of all paths", why="the root namespace")


@dataclass(frozen=True)
class Endpoint(Server):
    """Where OpenBao is and how long to wait for it."""

    connect_timeout_s: float = seconds(
        2.0,
        "wait for a connection to OpenBao, and again for its TLS handshake",
        "a neighbour answers within milliseconds",
        maximum=600,
    )
    read_timeout_s: float = seconds(
        5.0, "wait for an answer of OpenBao", "far above a healthy read, below request_timeout_s", maximum=600
    )
    max_connections: int = number(
        16,
        "connections to OpenBao, and reads at once",
        "Python handles some thousand reads a second; more at once do not help",
        maximum=1024,
    )


class Route:
    """The way to one server: its address, checked, and the authorities that it is known by, which follow their file.

    Attributes:
        endpoint: what it was made of.
        shown: the address for messages, without what may be secret in it.
        context: for TLS; another one after the file of authorities has changed.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        """Check address and authorities.

        Raises:
            ConfigError: the address is not https (http is allowed to this host only), or ca_file cannot be used.
        """
        url = urlsplit(endpoint.address)
        local = url.scheme == "http" and url.hostname in {"127.0.0.1", "::1", "localhost"}
        if not url.hostname or not (url.scheme == "https" or local):
            msg = f"openbao_address={endpoint.address}: must be https://HOST[:PORT]; http is for this host only"
            raise ConfigError(msg, hint="secrets would cross the network in the clear")
        self.endpoint = endpoint
        self.shown = f"{url.scheme}://{url.hostname}{f':{url.port}' if url.port else ''}"
        self._stamp = stamp_of(endpoint.ca_file or "")
        self.context = _context(endpoint)

    def reload_if_changed(self) -> None:
        """Read the file of authorities again if it has changed; keep the old ones if it cannot be used.

        Raises:
            ConfigError: the new file cannot be used.
        """
        if self.endpoint.ca_file and (stamp := stamp_of(self.endpoint.ca_file)) != self._stamp:
            self._stamp = stamp
            self.context = _context(self.endpoint)


def _context(endpoint: Endpoint) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=endpoint.ca_file)
    except OSError:  # SSLError is one
        msg = f"openbao_ca_file={endpoint.ca_file}: cannot be read, or is not a PEM file with certificates"
        raise ConfigError(msg, hint="name the file with the authority of OpenBao's certificate") from None
    context.hostname_checks_common_name = False  # RFC 9525, section 6.3: it is not a name of a host
    context.set_alpn_protocols(["http/1.1"])
    return context


def url_path(call: Call) -> str:
    """Return the path of a call below the address of the server."""
    return f"v1/{quote(call.path)}".strip("/")


def header_of(token: Secret) -> bytes:
    """Return a token as it is sent.

    Raises:
        PeerError: it cannot be.
    """
    value = token.reveal()
    if not (value.isascii() and value.decode().isprintable()):
        msg = "a token that OpenBao gave cannot be sent: it is not one line of text"
        raise PeerError(msg, hint="check that openbao_address is an OpenBao server and not a proxy in front of it")
    return value


def document_of(content: bytes, call: Call, shown: str) -> Mapping[str, object]:
    """Return what is wanted of the body of an answer.

    Raises:
        OpenBaoUnavailableError: the server speaks TLS, and was not spoken to in TLS.
        PeerError: it is nonsense.
    """
    if content.startswith(_PLAIN_TO_TLS):
        msg = f"OpenBao at {shown} speaks TLS, and openbao_address is http"
        raise OpenBaoUnavailableError(msg, hint="let openbao_address begin with https://, and set openbao_ca_file")
    document = parse_document(content) if len(content) >= _SHORTEST_BODY_BYTES else {}
    return call.keep(document)


def refuse_status(status: int) -> None:
    """Return if a status is an answer.

    Raises:
        OpenBaoUnavailableError: it is not.
    """
    if status == _SEALED_STATUS:
        raise OpenBaoUnavailableError("OpenBao is sealed or starting", hint="unseal it", retry_after_s=5.0)
    if status not in ANSWERED:
        msg = f"OpenBao answers with status {status}"
        raise OpenBaoUnavailableError(msg, hint="see the log of OpenBao", retry_after_s=2.0)


def too_large(most_bytes: int) -> UndeliverableError:
    """Return the error of an answer that is larger than any should be."""
    msg = f"OpenBao answers with more than {most_bytes >> 20} MiB"
    return UndeliverableError(msg, hint="divide the secret")


def too_late(shown: str, waited_s: float) -> OpenBaoUnavailableError:
    """Return the error of a call that was not answered in time."""
    return OpenBaoUnavailableError(f"OpenBao did not answer within {waited_s:.1f} s ({shown})", hint=LATE_HINT)


def not_trusted(shown: str, because: str) -> OpenBaoUnavailableError:
    """Return the error of a TLS handshake that failed; the reason is what the system said, or ""."""
    msg = f"the certificate of OpenBao is not trusted, or TLS fails ({shown}{_behind_colon(because)})"
    hint = "check openbao_ca_file, the names and the dates of OpenBao's certificate, and that the port speaks TLS"
    return OpenBaoUnavailableError(msg, hint=hint)


def not_reached(shown: str, because: str) -> OpenBaoUnavailableError:
    """Return the error of a connection that failed; the reason is what the system said, or ""."""
    msg = f"OpenBao cannot be reached ({shown}{_behind_colon(because)})"
    return OpenBaoUnavailableError(msg, hint="check that it runs and that openbao_address is right")


def _behind_colon(text: str) -> str:
    return f": {text}" if text else ""
