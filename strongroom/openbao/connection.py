"""The connection to OpenBao: one exchange at a time, blocking, with a deadline. The only module that imports hvac.

It knows HTTP and tokens' place in it, not what the paths mean. Errors that mean "not now" become ``UnavailableError``;
403 and 404 are the caller's to read. The token of a call comes in as an argument and is never logged.
"""

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import hvac.adapters
import requests
from requests.adapters import HTTPAdapter

from strongroom.errors import ConfigError, PeerError, UnavailableError, UndeliverableError
from strongroom.openbao.kv import parse_document
from strongroom.secret import Secret
from strongroom.service.following import stamp_of
from strongroom.service.settings import REQUIRED, Guard, number, seconds, setting

_ANSWERED = frozenset({200, 204, 400, 403, 404})
_SEALED_STATUS = 503
_LEAST_TIMEOUT_S = 0.001
_SHORTEST_BODY_BYTES = 2
_PIECE_BYTES = 64 << 10
_LARGE_BYTES = 1 << 20  # what each thread may hold; it becomes some 20 times as much, at worst, until it is parsed
_MOST_BYTES = 34 << 20  # the largest request that OpenBao takes, max_request_size, has 32 MiB by default

_CAUSES_DEEP = 8
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
        "threads and connections to OpenBao",
        "Python handles about a thousand reads a second; more threads do not help",
        maximum=1024,
    )


class OpenBao:
    """A client for one server; safe to use from several threads."""

    def __init__(self, endpoint: Endpoint, *, observe: Observe = lambda *_: None) -> None:
        """Check address and authorities; nothing is sent yet.

        Args:
            endpoint: where the server is.
            observe: told after each exchange the operation, the outcome and the seconds it took.

        Raises:
            ConfigError: the address is not https (http is allowed to this host only), or ca_file cannot be used.
        """
        url = urlsplit(endpoint.address)
        local = url.scheme == "http" and url.hostname in {"127.0.0.1", "::1", "localhost"}
        if not url.hostname or not (url.scheme == "https" or local):
            msg = f"openbao_address={endpoint.address}: must be https://HOST[:PORT]; http is for this host only"
            raise ConfigError(msg, hint="secrets would cross the network in the clear")
        self._endpoint = endpoint
        self._shown = f"{url.scheme}://{url.hostname}{f':{url.port}' if url.port else ''}"
        self._observe = observe
        self._stamp = stamp_of(endpoint.ca_file or "")
        self._session = _session(endpoint)
        self._large = threading.Semaphore()  # one large answer at a time, however many threads there are

    def reload_if_changed(self) -> None:
        """Connect anew if the file of authorities has changed; keep the old connections if it cannot be used.

        Raises:
            ConfigError: the new file cannot be used.
        """
        if self._endpoint.ca_file and (stamp := stamp_of(self._endpoint.ca_file)) != self._stamp:
            self._stamp = stamp
            # The old session is left to those that are using it; its connections close when they let go of it.
            self._session = _session(self._endpoint)

    def exchange(self, call: Call) -> Answer:
        """Make one API call.

        Raises:
            OpenBaoUnavailableError: the server is down, sealed, busy or too slow.
            PeerError: its certificate is not trusted, or its answer is nonsense.
            UndeliverableError: its answer is larger than any should be.
        """
        begin = time.monotonic()
        outcome = "error"
        try:
            with contextlib.ExitStack() as held:
                response = held.enter_context(self._send(call))
                outcome = str(response.status_code)
                if response.status_code not in _ANSWERED:
                    raise _unavailable(response)
                content = self._content(response, call, held)
                if content.startswith(_PLAIN_TO_TLS):
                    raise self._speaks_tls()
                document = parse_document(content) if len(content) >= _SHORTEST_BODY_BYTES else {}
                return Answer(response.status_code, call.keep(document))
        except requests.Timeout as error:
            outcome = "timeout"
            msg = f"OpenBao did not answer within {time.monotonic() - begin:.1f} s ({self._shown})"
            raise OpenBaoUnavailableError(msg, hint=LATE_HINT) from error
        except requests.exceptions.SSLError as error:
            outcome = "tls"
            msg = f"the certificate of OpenBao is not trusted, or TLS fails ({self._shown}{_because(error)})"
            hint = (
                "check openbao_ca_file, the names and the dates of OpenBao's certificate, and that the port speaks TLS"
            )
            raise OpenBaoUnavailableError(msg, hint=hint) from error
        except requests.RequestException as error:
            outcome = "unreachable"
            msg = f"OpenBao cannot be reached ({self._shown}{_because(error)})"
            raise OpenBaoUnavailableError(msg, hint="check that it runs and that openbao_address is right") from error
        except UnavailableError:
            raise
        except PeerError:
            outcome = "nonsense"
            raise
        finally:
            self._observe(call.operation, outcome, time.monotonic() - begin)

    def _content(self, response: requests.Response, call: Call, held: contextlib.ExitStack) -> bytes:
        """Return the bytes of an answer, counted as they come; holds a turn for a large one."""
        pieces: list[bytes] = []
        size = 0
        for piece in response.iter_content(_PIECE_BYTES):
            if size <= _LARGE_BYTES < size + len(piece):
                if not self._large.acquire(timeout=max(0.0, call.deadline - time.monotonic())):
                    msg = "another large secret is read from OpenBao, and there was no turn for this one in time"
                    raise UnavailableError(msg, hint="keep large files elsewhere, or come back later")
                held.callback(self._large.release)
            pieces.append(piece)
            size += len(piece)
            if size > _MOST_BYTES:
                msg = f"OpenBao answers with more than {_MOST_BYTES >> 20} MiB"
                raise UndeliverableError(msg, hint="divide the secret")
            if time.monotonic() > call.deadline:
                raise requests.Timeout
        return b"".join(pieces)

    def _speaks_tls(self) -> OpenBaoUnavailableError:
        msg = f"OpenBao at {self._shown} speaks TLS, and openbao_address is http"
        return OpenBaoUnavailableError(msg, hint="let openbao_address begin with https://, and set openbao_ca_file")

    def _send(self, call: Call) -> requests.Response:
        adapter = hvac.adapters.RawAdapter(
            base_uri=self._endpoint.address,
            token=call.token.reveal().decode() if call.token else None,
            session=self._session,
            namespace=self._endpoint.namespace or None,
            allow_redirects=False,  # the token would follow
            ignore_exceptions=True,  # statuses are read here; hvac would put OpenBao's text into exceptions
        )
        for last in (False, True):
            left = max(call.deadline - time.monotonic(), _LEAST_TIMEOUT_S)
            timeout = (min(self._endpoint.connect_timeout_s, left), min(self._endpoint.read_timeout_s, left))
            try:
                response: requests.Response = adapter.request(
                    call.method,
                    f"v1/{quote(call.path)}",
                    params=call.query,
                    json=call.body,
                    timeout=timeout,
                    stream=True,
                )
            except (requests.Timeout, requests.exceptions.SSLError):
                raise
            except requests.ConnectionError:
                # A kept connection may have been closed at this moment; what changes nothing is done again, once.
                if last or not (call.repeatable or call.method == "GET"):
                    raise
            else:
                return response
        raise AssertionError  # the second round returns or raises


def _session(endpoint: Endpoint) -> requests.Session:
    try:
        context = ssl.create_default_context(cafile=endpoint.ca_file)
    except OSError:  # SSLError is one
        msg = f"openbao_ca_file={endpoint.ca_file}: cannot be read, or is not a PEM file with certificates"
        raise ConfigError(msg, hint="name the file with the authority of OpenBao's certificate") from None
    context.hostname_checks_common_name = False  # RFC 9525, section 6.3: it is not a name of a host
    session = requests.Session()
    session.trust_env = False  # no proxy and no netrc on the way to OpenBao, and no look at them per call
    adapter = _ContextAdapter(context, pool_connections=1, pool_maxsize=endpoint.max_connections)
    session.mount("https://", adapter)
    return session


class _ContextAdapter(HTTPAdapter):
    """Makes all connections with one TLS context, instead of reading the authorities' file for each."""

    def __init__(self, context: ssl.SSLContext, *, pool_connections: int, pool_maxsize: int) -> None:
        self._context = context
        super().__init__(pool_connections=pool_connections, pool_maxsize=pool_maxsize)

    def init_poolmanager(
        self,
        connections: int,
        maxsize: int,
        block: bool = False,  # noqa: FBT001, FBT002 - their signature
        **pool_options: object,
    ) -> None:
        super().init_poolmanager(connections, maxsize, block=block, ssl_context=self._context, **pool_options)

    def cert_verify(self, conn: Any, url: str, verify: object, cert: object) -> None:  # noqa: ANN401, ARG002 - theirs
        # The inherited method would add the authorities of certifi to the context, whatever ca_file says.
        conn.cert_reqs = "CERT_REQUIRED"
        conn.ca_certs = conn.ca_cert_dir = None


def _because(error: BaseException) -> str:
    """Return what the system said behind an error of the libraries, behind a colon; "" if it said nothing."""
    seen: list[object] = [error]
    for _ in range(_CAUSES_DEEP):
        found = [one for one in seen if isinstance(one, OSError) and not isinstance(one, requests.RequestException)]
        for one in found:
            text = getattr(one, "verify_message", "") or one.strerror
            if text:
                return f": {text}"
        seen = [
            inner
            for one in seen
            if isinstance(one, BaseException)
            for inner in (getattr(one, "reason", None), one.__cause__, one.__context__, *one.args)
            if isinstance(inner, BaseException) and inner is not one
        ]
    return ""


def _unavailable(response: requests.Response) -> OpenBaoUnavailableError:
    if response.status_code == _SEALED_STATUS:
        return OpenBaoUnavailableError("OpenBao is sealed or starting", hint="unseal it", retry_after_s=5.0)
    msg = f"OpenBao answers with status {response.status_code}"
    return OpenBaoUnavailableError(msg, hint="see the log of OpenBao", retry_after_s=2.0)
