"""One request to the bridge over mutual TLS; the body goes straight into secret memory.

What the bridge refuses becomes an error that names variable, path and cause. Connection failures and busy answers are
repeated as ``retry`` decides; certificates that do not hold are not.
"""

import os
from _ssl import SSLEOFError, SSLError  # those of ssl
from time import monotonic, sleep

from strongroom.errors import PeerError, StrongroomError, UnavailableError
from strongroom.launch.bundle import FILES_MEDIA_TYPE, REGION_MEDIA_TYPE, encode_request
from wrapper.fetch.context import own_context
from wrapper.fetch.dial import Dialer, HandshakeTimeoutError
from wrapper.fetch.http import MAX_HEAD_BYTES, ResponseHead, Url, decode_head, encode_post, missing_of_head
from wrapper.fetch.retry import BUSY, NOT_UP, Notice, RetryPolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from strongroom.launch.bundle import BundleRequest
    from wrapper.fetch.addresses import Beginning
    from wrapper.fetch.dial import Connection
    from wrapper.settings import WrapperSettings

    Received = TypeVar("Received")

_MAX_DOCUMENT_BYTES = 64 << 20  # of plans and problems
_SLICE_S = 0.25  # of a pause: Python sees a signal that comes right before a sleep only after it
_SILENCE_S = 1.0  # of a wait, before it is said what for
_PROBLEM_MEDIA_TYPE = "application/problem+json"  # strongroom.launch.problem has it, too, and imports json
_DOCUMENT_MEDIA_TYPE = "application/json"
_KINDS = {REGION_MEDIA_TYPE: "a region", FILES_MEDIA_TYPE: "files", _DOCUMENT_MEDIA_TYPE: "a plan"}
_BUSY_STATUSES = frozenset({429, 502, 503, 504})


class NotUpError(PeerError):
    """Nobody answers at the bridge's address."""

    usual_hint = (
        "is the bridge up, STRONGROOM_BRIDGE right, and no firewall between? --wait is how long it is waited for"
    )


class LostError(PeerError):
    """The bridge began to answer, or should have, and the connection was lost or too slow."""

    usual_hint = "the bridge's log may say why; else look for what ends connections between here and there"


class Body:
    """The body of an answer, which is read from its beginning to its end, into memory that the reader chooses.

    Both methods raise LostError when it is cut, and OSError, which is a TimeoutError at the deadline; ``Bridge`` makes
    errors of a launch of these.

    Attributes:
        size: in bytes, as the bridge states it.
    """

    __slots__ = ("_connection", "_deadline", "size")

    def __init__(self, connection: "Connection", size: int, deadline: float) -> None:
        """Take what is left on a connection."""
        self._connection = connection
        self._deadline = deadline
        self.size = size

    def read_into(self, buffer: memoryview) -> None:
        """Fill a buffer with what comes next; no Python object in between ever holds it."""
        position = 0
        while position < len(buffer):
            self._connection.settimeout(_left(self._deadline))
            received = self._connection.recv_into(buffer[position:])
            if not received:
                raise LostError(f"the bridge's answer was cut after {position} of {len(buffer)} bytes")
            position += received

    def read(self) -> bytes:
        """Return all of it, which holds no secrets.

        Raises:
            PeerError: it is too long for that.
        """
        if self.size > _MAX_DOCUMENT_BYTES:
            msg = f"the bridge's answer of {self.size} bytes is too long"
            raise PeerError(
                msg, hint="does STRONGROOM_BRIDGE lead to the bridge, and to nothing before it that answers itself?"
            )
        document = bytearray(self.size)
        self.read_into(memoryview(document))
        return bytes(document)


class Bridge:
    """The bridge as one launch uses it."""

    def __init__(self, settings: "WrapperSettings", beginning: "Beginning | None" = None) -> None:
        """Read the certificates, and say the first words of TLS to anyone who is there by now.

        Args:
            settings: of the launch.
            beginning: the first steps to the bridge (``begin``).

        Raises:
            ConfigError: an address, a file or a certificate is missing or wrong.
        """
        self._settings = settings
        self._url = Url(settings.bridge)
        # As bytes, so that neither socket nor ssl imports the IDNA codec, which takes 1 ms. A name is ASCII here.
        host = self._url.host.encode("ascii")
        self._awaited = f"its certificates ({settings.cert})"
        self._notice = Notice(float("inf") if settings.quiet else monotonic() + _SILENCE_S, self._say_waiting)
        context = own_context(settings, self._notice)
        self._awaited = f"the bridge at {self._url}"
        self._dialer = Dialer(host, self._url.port, context, self._notice, beginning)

    def _say_waiting(self) -> None:
        from strongroom.terminal import say

        settings = self._settings
        longest_s = min(settings.wait_s or settings.attempt_timeout_s, settings.timeout_s)
        say(f"waiting for {self._awaited} ({longest_s:g} s)")

    def fetch(
        self,
        path: str,
        request: "BundleRequest",
        receive: "Callable[[Body], Received]",
        *,
        media_type: str = REGION_MEDIA_TYPE,
        meanwhile: "Callable[[], None]" = lambda: None,
    ) -> "Received":
        """Ask for an answer, and return what ``receive`` makes of its body.

        Args:
            path: of the URL.
            request: what to ask for.
            receive: reads the body; called again, with another one, when the first was lost half way.
            media_type: what the bridge is to answer with.
            meanwhile: called, maybe several times, when it has been asked.

        Raises:
            PeerError: the bridge cannot be reached or answers nonsense; UnavailableError when it says so itself.
            DeniedError, NotFoundError, UndeliverableError: it refuses, and says for which variable.
        """
        message = encode_post(self._url, path, encode_request(request))
        settings = self._settings
        policy = RetryPolicy(
            now=monotonic(),
            timeout_s=settings.timeout_s,
            wait_s=settings.wait_s,
            retries=settings.retries,
            random=_random,
        )
        while True:
            now = monotonic()
            deadline = now + max(min(settings.attempt_timeout_s, policy.remaining(now)), 0.001)
            try:
                return self._attempt(message, deadline, receive, media_type, meanwhile)
            except NotUpError as error:
                self._pause(policy.pause(NOT_UP, monotonic()), error)
            except (LostError, UnavailableError) as error:
                at_least_s = error.retry_after_s if isinstance(error, UnavailableError) else 0.0
                self._pause(policy.pause(BUSY, monotonic(), at_least_s), error)

    def fetch_document(self, path: str, request: "BundleRequest") -> bytes:
        """Ask for a JSON document, which holds no secrets. Raises what ``fetch`` raises."""
        return self.fetch(path, request, Body.read, media_type=_DOCUMENT_MEDIA_TYPE)

    def _pause(self, seconds: float | None, error: StrongroomError) -> None:
        """Sleep before the next attempt, or give up."""
        if seconds is None:
            raise error
        until = monotonic() + seconds
        while (left := until - monotonic()) > 0:
            self._notice.look(monotonic())
            sleep(min(left, _SLICE_S))

    def _attempt(
        self,
        message: bytes,
        deadline: float,
        receive: "Callable[[Body], Received]",
        media_type: str,
        meanwhile: "Callable[[], None]",
    ) -> "Received":
        with self._connect(deadline) as connection:
            try:
                _send(connection, message, deadline)
                meanwhile()
                head = _receive_head(connection, deadline)
                if head.status == 200:  # noqa: PLR2004
                    _require_type(head, media_type)
                    return receive(Body(connection, head.content_length, deadline))
                self._require_bridge(head)
                document = Body(connection, head.content_length, deadline).read()
            except TimeoutError:
                msg = f"bridge {self._url}: no complete answer within {self._settings.attempt_timeout_s:g} s"
                raise LostError(msg) from None
            except SSLError as error:
                # TLS 1.3: the bridge judges our certificate after the handshake looked complete to us.
                raise self._refused(error) from None
            except OSError as error:
                raise LostError(f"bridge {self._url}: connection lost: {error.strerror or error}") from None
        from wrapper.fetch.refusals import refusal_of_answer

        raise refusal_of_answer(head, document, busy=head.status in _BUSY_STATUSES)

    def _require_bridge(self, head: ResponseHead) -> None:
        """Refuse an error that no bridge would put so; what stands before one may say in any way that it is busy.

        Raises:
            PeerError: something else answers.
        """
        found = head.headers.get("content-type", "nothing").partition(";")[0].strip()
        if head.status not in _BUSY_STATUSES and found != _PROBLEM_MEDIA_TYPE:
            msg = f"what answers at {self._url} is not a Strongroom bridge ({head.status}, {found[:100]})"
            raise PeerError(msg, hint="does STRONGROOM_BRIDGE lead to the bridge's HTTPS port?")

    def _connect(self, deadline: float) -> "Connection":
        limit = f"within {self._settings.attempt_timeout_s:g} s"
        try:
            return self._dialer.connect(deadline)
        except HandshakeTimeoutError:
            raise NotUpError(f"bridge {self._url}: no TLS handshake {limit}") from None
        except TimeoutError:
            raise NotUpError(f"bridge {self._url}: no connection {limit}") from None
        except SSLError as error:
            raise self._refused(error) from None
        except OSError as error:
            msg = f"bridge {self._url}: {error.strerror or error}"
            raise NotUpError(msg, hint="is the bridge up, and STRONGROOM_BRIDGE right?") from None

    def _refused(self, error: SSLError) -> StrongroomError:
        from wrapper.fetch.refusals import refusal_of_handshake

        refusal = refusal_of_handshake(error, str(self._url), self._settings)
        return refusal or LostError(f"bridge {self._url}: connection lost")


def _random() -> float:
    """Return a number from 0 to 1. The random module would cost each launch 2 ms, for a jitter that most never need."""
    return int.from_bytes(os.urandom(2)) / 0xFFFF


def _left(deadline: float) -> float:
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _send(connection: "Connection", message: bytes, deadline: float) -> None:
    unsent = memoryview(message)
    try:
        while unsent:
            connection.settimeout(_left(deadline))
            unsent = unsent[connection.send(unsent) :]
    except (ConnectionError, SSLEOFError):
        return  # it has hung up; why, an alert or an answer that did not wait for all this, is still there to be read


def _receive_head(connection: "Connection", deadline: float) -> ResponseHead:
    # Never more than is missing, so that no byte of the body is ever read into a Python object.
    head = bytearray()
    while missing := missing_of_head(head):
        if not connection.pending():  # nothing is there that OpenSSL has decrypted already: bytes may drip
            connection.settimeout(_left(deadline))
        some = connection.read(missing)
        if not some:
            raise LostError("the bridge closed the connection without an answer")
        head += some
        if len(head) > MAX_HEAD_BYTES:
            msg = f"the answer's head is longer than {MAX_HEAD_BYTES} bytes"
            raise PeerError(
                msg, hint="does STRONGROOM_BRIDGE lead to the bridge, and to nothing before it that answers itself?"
            )
    return decode_head(bytes(head))


def _require_type(head: ResponseHead, media_type: str) -> None:
    found = head.headers.get("content-type", "nothing")
    if found.partition(";")[0] != media_type:
        msg = (
            f"what answers is not a Strongroom bridge of this version: {found[:100]!r} instead of {_KINDS[media_type]}"
        )
        raise PeerError(
            msg, hint="does STRONGROOM_BRIDGE lead to the bridge's HTTPS port, and to a bridge as new as this?"
        )
