"""A budget for the bytes that requests hold: who needs more than is left waits its turn, and then is told to slow down.

While a request waits nothing of its body is read, so TCP holds its client back; the store is held back in the same way
by a client that takes its answer slowly. What a request holds at most is known when its head is.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from s3proxy.s3api.documents import MAX_DOCUMENT_BYTES
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.operation_table import Operation
from strongroom.sealed.sizes import MAX_LOG2, MAX_PART_BYTES, STORE_MIN_PART_BYTES, part_log2

WAIT_S: Final = 5.0  # SDKs come again after SlowDown; a place in line that lasts longer helps nobody
STREAM_BYTES: Final = 768 << 10  # the buffers of both connections, twice filled, and a chunk on its way
_COPIES: Final = 3  # as it came in, joined, sealed
_CHUNK_COPIES: Final = 2  # plaintext and ciphertext
_LENGTH_DIGITS: Final = 18  # more than any number of bytes has
_PARSED: Final = 10  # what a document is in memory, or on its way back as refusals, for each of its bytes


class MemoryBudget:
    """This many bytes for the requests of one process.

    Attributes:
        limit_bytes: this many.
        taken_bytes: of them.
    """

    def __init__(self, limit_bytes: int) -> None:
        """Take the budget."""
        self.limit_bytes = limit_bytes
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._growing = 0  # of those that wait and hold some already
        self.taken_bytes = 0

    @contextlib.asynccontextmanager
    async def take(self, wanted_bytes: int) -> AsyncIterator[None]:
        """Hold bytes of the budget for a while; the first to ask is the first to get.

        Args:
            wanted_bytes: more than the whole budget counts as all of it.

        Raises:
            S3Error: SlowDown, as there was no room in time.
        """
        wanted = await self.acquire(wanted_bytes)
        try:
            yield
        finally:
            self.release(wanted)

    def has_room(self, wanted_bytes: int) -> bool:
        """Return whether nobody would wait for so much."""
        return not self._waiting and self.taken_bytes + min(wanted_bytes, self.limit_bytes) <= self.limit_bytes

    async def acquire(self, wanted_bytes: int) -> int:
        """Do what ``take`` begins with; return what is to be given to ``release``.

        Raises:
            S3Error: SlowDown, as there was no room in time.
        """
        if self.has_room(wanted_bytes):
            return self.hold(wanted_bytes)
        wanted = min(wanted_bytes, self.limit_bytes)
        await self._wait(wanted, within_s=WAIT_S)
        return wanted

    async def grow(self, more_bytes: int) -> int:
        """Do what ``acquire`` does for one that holds some already.

        Several such may wait for what the others hold. So all but the first of them give in sooner, and it goes on.

        Raises:
            S3Error: SlowDown, as there was no room in time.
        """
        if self.has_room(more_bytes):
            return self.hold(more_bytes)
        more = min(more_bytes, self.limit_bytes)
        self._growing += 1
        try:
            await self._wait(more, within_s=WAIT_S if self._growing == 1 else WAIT_S / 2)
        finally:
            self._growing -= 1
        return more

    def hold(self, wanted_bytes: int) -> int:
        """Take bytes that there is room for; return what is to be given to ``release``."""
        wanted = min(wanted_bytes, self.limit_bytes)
        self.taken_bytes += wanted
        return wanted

    def release(self, size: int) -> None:
        """Give bytes back."""
        self.taken_bytes -= size
        self._wake()

    async def _wait(self, wanted: int, *, within_s: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = wanted, turn
        self._waiting.append(place)
        try:
            async with asyncio.timeout(within_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.release(wanted)  # it came, and nobody was there any longer
            else:
                with contextlib.suppress(ValueError):
                    self._waiting.remove(place)
                self._wake()  # those behind may need less
            if not isinstance(error, TimeoutError):
                raise
            code, msg = "SlowDown", "Please reduce your request rate."
            hint = "the memory budget is used up; raise memory_bytes, or let fewer clients at it"
            raise S3Error(code, msg, hint=hint, retry_after_s=WAIT_S) from None

    def _wake(self) -> None:
        while self._waiting and self.taken_bytes + self._waiting[0][0] <= self.limit_bytes:
            wanted, turn = self._waiting.popleft()
            if not turn.done():
                self.taken_bytes += wanted
                turn.set_result(None)


def announced_bytes(content_length: int | None, decoded_length: str) -> int:
    """Return how long the body of a request may be.

    Args:
        content_length: as HTTP announces it, None for chunks of HTTP.
        decoded_length: the header x-amz-decoded-content-length, or "": what a framed body is read by.
    """
    is_number = decoded_length.isascii() and decoded_length.isdigit()
    return max(content_length or 0, int(decoded_length[:_LENGTH_DIGITS]) if is_number else 0)


def page_bytes(length: int) -> int:
    """Return what a page of the store holds that is read as a whole: as it came, as it is shown, and on its way out."""
    return max(STREAM_BYTES, _COPIES * length)


def parsed_bytes(length: int) -> int:
    """Return what a document of the store holds that is read element by element, and answered by another one."""
    return max(STREAM_BYTES, _PARSED * length)


def needed_bytes(operation: Operation, body_bytes: int, *, buffered_bytes: int) -> int:
    """Return what a request holds at most.

    Args:
        operation: what it asks for.
        body_bytes: length of its body as it is sent.
        buffered_bytes: up to this size, bodies of whole objects are read before they are sent on.
    """
    if operation is Operation.UPLOAD_PART:
        if body_bytes < STORE_MIN_PART_BYTES:  # a copy of it is kept
            return STREAM_BYTES + _COPIES * body_bytes
        return STREAM_BYTES + (_CHUNK_COPIES << part_log2(min(body_bytes, MAX_PART_BYTES)))
    if operation is Operation.UPLOAD_PART_COPY:  # how much it copies is not known yet
        return STREAM_BYTES + max(_COPIES * STORE_MIN_PART_BYTES, 2 * _CHUNK_COPIES << MAX_LOG2)
    if operation in {Operation.COMPLETE_MULTIPART_UPLOAD, Operation.DELETE_OBJECTS}:
        # Longer ones are refused: nobody is to wait behind what needs more than there is, and gets nothing.
        copy_bytes = _COPIES * STORE_MIN_PART_BYTES if operation is Operation.COMPLETE_MULTIPART_UPLOAD else 0
        return STREAM_BYTES + _PARSED * min(body_bytes, MAX_DOCUMENT_BYTES) + copy_bytes
    if operation in {Operation.PUT_OBJECT, Operation.POST_OBJECT} and body_bytes > buffered_bytes:
        return STREAM_BYTES
    return STREAM_BYTES + _COPIES * min(body_bytes, max(buffered_bytes, MAX_DOCUMENT_BYTES))
