"""The client of OpenBao for logins: one exchange at a time, blocking, with a deadline.

The only module that imports hvac. A login is rare, and its answers are small; all else is asked by ``client``.
"""

import time
from typing import Any, Final

import hvac.adapters
import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from strongroom.errors import PeerError, UnavailableError
from strongroom.openbao.connection import (
    Answer,
    Call,
    Observe,
    OpenBaoUnavailableError,
    Route,
    document_of,
    header_of,
    not_reached,
    not_trusted,
    refuse_status,
    too_late,
    url_path,
)

_LEAST_TIMEOUT_S: Final = 0.001
_PIECE_BYTES: Final = 64 << 10
_MOST_BYTES: Final = 1 << 20
_CAUSES_DEEP: Final = 8


class BlockingOpenBao:
    """A client for one server; safe to use from several threads."""

    def __init__(self, route: Route, *, observe: Observe = lambda *_: None) -> None:
        """Take the way to the server; nothing is sent yet.

        Args:
            route: to the server.
            observe: told after each exchange the operation, the outcome and the seconds it took.
        """
        self._route = route
        self._observe = observe
        self._context = route.context
        self._session = _session(route)

    def exchange(self, call: Call) -> Answer:
        """Make one API call.

        Raises:
            OpenBaoUnavailableError: the server is down, sealed, busy or too slow.
            PeerError: its answer is nonsense, or larger than any of a login should be.
        """
        begin = time.monotonic()
        outcome = "error"
        shown = self._route.shown
        failure: OpenBaoUnavailableError
        try:
            with self._send(call) as response:
                outcome = str(response.status_code)
                refuse_status(response.status_code)
                content = _content(response, call)
                return Answer(response.status_code, document_of(content, call, shown))
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            outcome, failure = "timeout", too_late(shown, time.monotonic() - begin)
        except (requests.exceptions.SSLError, urllib3.exceptions.SSLError) as error:
            outcome, failure = "tls", not_trusted(shown, _because(error))
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            outcome, failure = "unreachable", not_reached(shown, _because(error))
        except UnavailableError:
            raise
        except PeerError:
            outcome = "nonsense"
            raise
        finally:
            self._observe(call.operation, outcome, time.monotonic() - begin)
        raise failure  # here, where no error of the libraries hangs on it: they quote what was received

    def _send(self, call: Call) -> requests.Response:
        endpoint = self._route.endpoint
        adapter = hvac.adapters.RawAdapter(
            base_uri=endpoint.address,
            token=header_of(call.token).decode() if call.token else None,
            session=self._present_session(),
            namespace=endpoint.namespace or None,
            allow_redirects=False,  # the token would follow
            ignore_exceptions=True,  # statuses are read here; hvac would put OpenBao's text into exceptions
        )
        for last in (False, True):
            left = max(call.deadline - time.monotonic(), _LEAST_TIMEOUT_S)
            timeout = (min(endpoint.connect_timeout_s, left), min(endpoint.read_timeout_s, left))
            try:
                response: requests.Response = adapter.request(
                    call.method, url_path(call), params=call.query, json=call.body, timeout=timeout, stream=True
                )
            except (requests.Timeout, requests.exceptions.SSLError):
                raise
            except requests.ConnectionError:
                # A kept connection may have been closed at this moment; what changes nothing is done again, once.
                if last or not call.may_be_repeated:
                    raise
            else:
                return response
        raise AssertionError  # the second round returns or raises

    def _present_session(self) -> requests.Session:
        """Return the session of the authorities in force; an older one ends when those who use it let go of it."""
        if self._context is not self._route.context:
            self._context = self._route.context
            self._session = _session(self._route)
        return self._session


def _content(response: requests.Response, call: Call) -> bytes:
    """Return the bytes of an answer, counted as they come."""
    content = bytearray()
    # As much as there is: ``iter_content`` would wait until a piece is whole, past the deadline.
    while piece := response.raw.read1(_PIECE_BYTES, decode_content=True):
        content += piece
        if len(content) > _MOST_BYTES:
            msg = f"OpenBao answers a login with more than {_MOST_BYTES >> 20} MiB"
            raise PeerError(msg, hint="check that openbao_address is an OpenBao server and not a proxy in front of it")
        if time.monotonic() > call.deadline:
            raise requests.Timeout
    return bytes(content)


def _session(route: Route) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # no proxy and no netrc on the way to OpenBao, and no look at them per call
    adapter = _ContextAdapter(route, pool_connections=1, pool_maxsize=route.endpoint.max_connections)
    session.mount("https://", adapter)
    return session


class _ContextAdapter(HTTPAdapter):
    """Makes all connections with one TLS context, instead of reading the authorities' file for each."""

    def __init__(self, route: Route, *, pool_connections: int, pool_maxsize: int) -> None:
        self._context = route.context
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
    """Return what the system said behind an error of the libraries; "" if it said nothing."""
    seen: list[object] = [error]
    for _ in range(_CAUSES_DEEP):
        found = [one for one in seen if isinstance(one, OSError) and not isinstance(one, requests.RequestException)]
        for one in found:
            text = getattr(one, "verify_message", "") or one.strerror
            if text:
                return str(text)
        seen = [
            inner
            for one in seen
            if isinstance(one, BaseException)
            for inner in (getattr(one, "reason", None), one.__cause__, one.__context__, *one.args)
            if isinstance(inner, BaseException) and inner is not one
        ]
    return ""
