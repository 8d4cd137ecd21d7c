"""One request on the fast way: from its admission to its end, or to where the general path goes on with it.

Everything that it holds (place, memory, the exchange with the store, what is noted of it) is handed over with it.
"""

import abc
import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from s3proxy.exchange.begun import Begun
from s3proxy.exchange.front_protocol import FrontProtocol
from s3proxy.exchange.incoming import Incoming
from s3proxy.exchange.pace import Taking
from s3proxy.fast.answer_head import OddHeaderError, answer_head
from s3proxy.fast.left import LeftError, Reason
from s3proxy.keys.policies import Mode, Policy
from s3proxy.operations.get import ObjectReader
from s3proxy.operations.put import ObjectWriter
from s3proxy.serving.dispatch import Dispatcher
from s3proxy.store.connection import StoreAnswer
from s3proxy.store.sent import SentRequest
from s3proxy.stored.open import Objects
from s3proxy.stored.read import Name
from strongroom.errors import StrongroomError
from strongroom.sealed.sizes import WHOLE_LOG2

CHUNK_BYTES: Final = 1 << WHOLE_LOG2  # of plaintext; an object of one chunk is what goes fast
LAST_S: Final = 1.0  # a request on the fast way; then it is handed over
GONE_S: Final = 60.0  # one whose client has gone waits for the store, so that it is known what became of it
_VERSION: Final = "x-amz-version-id"


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """What requests on the fast way are served by: the parts of the general path.

    Attributes:
        dispatcher: admits them, notes them, and goes on with what is left to it.
        objects: what is read and written with.
        reader: of the general path.
        writer: of the general path.
        count: told why a request was left to the general path.
        tasks: that wait for clients to take their answers.
    """

    dispatcher: Dispatcher
    objects: Objects
    reader: ObjectReader
    writer: ObjectWriter
    count: Callable[[str], None]
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


@dataclass(slots=True)
class _Written:
    """An answer that was written and not taken yet, as ``Taking`` sees it."""

    front: FrontProtocol
    output_size: int

    @property
    def transport(self) -> asyncio.Transport | None:
        return self.front.transport

    @property
    def writer(self) -> "_Written":
        return self


class Exchange(abc.ABC):
    """One request.

    Attributes:
        since: when it was begun, in seconds of the event loop.
        is_over: whether it was answered or handed over.
    """

    def __init__(self, parts: Parts, front: FrontProtocol, begun: Begun, on_over: "Callable[[Exchange], None]") -> None:
        """Take a request that was admitted and has a place."""
        self._parts = parts
        self._front = front
        self._begun = begun
        self._on_over = on_over
        self._sent: SentRequest | None = None
        self._answered = 0.0  # when the head of the store's answer was there
        self.since = asyncio.get_running_loop().time()
        self.is_over = False

    @abc.abstractmethod
    def start(self) -> None:
        """Begin, and hold the request.

        Raises:
            LeftError: nothing has happened.
            StrongroomError: the same; it would be refused.
        """

    @abc.abstractmethod
    def _go_on(self) -> None:
        """Look at what has come.

        Raises:
            LeftError: it is to be handed over.
            StrongroomError: the same; it would be refused.
        """

    @abc.abstractmethod
    def _rest(self) -> Callable[[Incoming], Awaitable[None]]:
        """Return what serves the rest of the request on the general path."""

    def policy(self) -> Policy:
        """Return the policy of the name.

        Raises:
            LeftError: it is not served fast.
            S3Error: no policy fits.
        """
        call = self._begun.call
        if call.key.endswith("/"):
            raise LeftError(Reason.NAME)
        policy = self._parts.objects.policies.require(call.bucket, call.key)
        if policy.mode is Mode.PASSTHROUGH:
            raise LeftError(Reason.POLICY)
        return policy

    @property
    def name(self) -> Name:
        """The name of the object."""
        call = self._begun.call
        return Name(call.bucket, call.key, call.query.get("versionId"))

    def look(self, now: float) -> None:
        """Hand over what lasts. Without a client there is nobody to hand over to: the store is waited for longer."""
        if not self.is_over and now - self.since >= (GONE_S if self._is_client_gone else LAST_S):
            self.hand_over(Reason.SLOW)

    def more(self) -> None:
        """Look at more of what the client sends, where that is part of the request."""
        return

    def lost(self) -> None:
        """Go on without a client: what the store was asked is noted once it has answered."""
        return

    def progress(self) -> None:
        """Look at what has come."""
        if self.is_over:
            return
        self._parts.dispatcher.metrics.note_answers_in(self._begun.course.answers)
        try:
            self._go_on()
        except Exception as error:  # noqa: BLE001 - each has an end
            self._leave(error)

    def _leave(self, error: BaseException) -> None:
        """Hand over what cannot be answered; what fails when it is over ends the connection, or its client waits."""
        is_mistake = self.is_over or not isinstance(error, LeftError | StrongroomError)
        if is_mistake:
            self._parts.dispatcher.report(self._begun.course.record, error)
        if self.is_over:
            if self._front.transport is not None:
                self._front.transport.abort()
        elif isinstance(error, LeftError):
            self.hand_over(error.reason, error.error)
        elif isinstance(error, StrongroomError):
            self.hand_over(Reason.ANSWER if self._sent is not None else Reason.BODY, error)
        else:
            self.hand_over(Reason.MISTAKE)

    def hand_over(self, reason: Reason, error: StrongroomError | None = None) -> None:
        """Have the general path go on; where there is no client to go on for, what was found is told here."""
        self._over()
        if self._is_client_gone:
            if error is not None:
                self._parts.dispatcher.report(self._begun.course.record, error)
            self._give_up()
            return
        self._parts.count(reason)
        self._begun.handler = self._rest()
        self._front.hand_over(self._begun)

    def _note_answer(self, sent: SentRequest) -> None:
        """Count the store's answer, which was taken here."""
        answer = sent.answer()
        if answer is not None:
            self._parts.objects.store.note_answer(answer, (self._answered or time.perf_counter()) - sent.began)

    def _give_up(self) -> None:
        self._parts.dispatcher.metrics.note_answers_in(self._begun.course.answers)
        if self._sent is not None:
            self._note_answer(self._sent)
            self._sent.give_up()
        self._end((0, 0), 0)

    def _answer(self) -> StoreAnswer | None:
        """Return the store's answer, None before its head is there.

        Raises:
            LeftError: there will be none, or the server is ending and closes its connections.
        """
        sent = self._sent
        answer = None if sent is None else sent.answer()
        if sent is not None and answer is not None:
            if self._parts.dispatcher.requests.is_ending:
                raise LeftError(Reason.ENDING)
            self._answered = self._answered or time.perf_counter()
            return answer
        if sent is not None and sent.is_over:
            raise LeftError(Reason.ANSWER)
        return None

    def _finish(self, status: int, headers: Mapping[str, str], body: bytes, *, length: int, received: int = 0) -> None:
        """Answer.

        Raises:
            LeftError: it cannot be written.
        """
        sent, begun = self._sent, self._begun
        record = begun.course.record
        is_read = record.head is not None and record.head.method == "GET"
        try:
            head = answer_head(status, headers, request_id=record.request_id, length=length, has_body=is_read)
        except OddHeaderError:
            raise LeftError(Reason.ANSWER) from None
        assert sent is not None  # noqa: S101 - it was answered
        self._note_answer(sent)
        sent.finish()
        self._over()
        record.status = status
        record.version_id = headers.get(_VERSION, "")
        transport = self._front.transport
        if self._is_client_gone or transport is None:
            self._end((received, 0), 0)
            return
        transport.write(head + body)
        if self._front.writing_paused:  # its client takes slowly, and the place is held for as long
            written = _Written(self._front, len(head) + len(body))
            task = asyncio.create_task(self._be_taken(written, (received, len(body)), status))
            self._parts.tasks.add(task)
            task.add_done_callback(self._was_taken)
            return
        record.is_completed = True
        self._end((received, len(body)), status)
        self._front.done()

    async def _be_taken(self, written: "_Written", moved: tuple[int, int], status: int) -> None:
        dispatcher, taking = self._parts.dispatcher, Taking(written, self._parts.dispatcher.patience)
        try:
            with taking:
                await self._front.taken()
        except ConnectionError:
            if taking.is_cut:
                dispatcher.metrics.shed("answer")
            self._end((moved[0], 0), 0)
            return
        self._begun.course.record.is_completed = True
        self._end(moved, status)
        self._front.done()

    def _was_taken(self, task: "asyncio.Task[None]") -> None:
        self._parts.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._leave(error)

    def _end(self, moved: tuple[int, int], status: int) -> None:
        self._begun.place.give_back()
        self._parts.dispatcher.note_end(self._begun.course, moved, status)

    def _over(self) -> None:
        self.is_over = True
        self._on_over(self)

    @property
    def _is_client_gone(self) -> bool:
        transport = self._front.transport
        return transport is None or transport.is_closing()
