"""A whole object, sealed as one segment: its plaintext is opened chunk by chunk as the stored bytes come in.

``opened`` does that for every segment, parts of multipart objects as well.
"""

from collections.abc import AsyncIterator

from s3proxy.keys.policies import EtagMode
from s3proxy.store.answers import range_begin_of
from s3proxy.store.client import read_all
from s3proxy.store.connection import StoreAnswer
from s3proxy.store.errors import reread_error
from s3proxy.stored.etags import etag_of
from s3proxy.stored.read import OK, PARTIAL, UNSATISFIABLE, Access, Read, StoredObject
from strongroom.errors import PeerError
from strongroom.sealed.attributes import Attributes
from strongroom.sealed.digests import Digests
from strongroom.sealed.opener import SegmentOpener, open_footer, open_stored
from strongroom.sealed.ranges import RangePlan, plan_range
from strongroom.sealed.refusal import refuse
from strongroom.sealed.segment import Segment
from strongroom.sealed.sizes import FOOTER_BYTES


class StoredBytes:
    """Stored bytes as they come in the body of an answer, from one of them on."""

    def __init__(self, answer: StoreAnswer, first: int) -> None:
        """Take the answer, and where in the stored object to begin.

        Raises:
            RefusedError: rule 8: the answer begins behind that.
            PeerError: it does not say where it begins.
        """
        self._body = answer.pumped()
        self._skip = first - range_begin_of(answer.headers)
        self._next = memoryview(b"")
        if self._skip < 0:
            refuse(8, "the store answers with another range than was asked for")

    async def peek(self, least: int) -> memoryview:
        """Return what comes next, at least ``least`` bytes unless it ends before, and leave it there.

        It is valid until the next call.
        """
        while (missing := least - len(self._next)) > 0:
            held = bytes(self._next)
            if not (data := await self._body.read(missing + self._skip, 1)):
                break
            view = data[self._skip :]
            self._skip -= len(data) - len(view)
            self._next = memoryview(held + view) if held else view
        return self._next

    async def take(self, most: int, to_bound: int = 1, unit: int = 1) -> memoryview:
        """Return what comes next, at most ``most`` bytes; nothing at the end. It is valid until the next call.

        Args:
            most: bytes.
            to_bound: from here to where it is best cut, or 1 for anywhere.
            unit: from that place to the next.
        """
        as_it_comes = not self._next and not self._skip  # which is most of it: one call less for each
        view = await self._body.read(min(to_bound, most), unit) if as_it_comes else await self.peek(1)
        self._next = view[most:]
        return view[:most]


async def opened(segment: Segment, plan: RangePlan | None, stored: StoredBytes) -> AsyncIterator[memoryview]:
    """Open a segment, or a run of its chunks, whose stored bytes come next; what comes behind them is left there.

    Raises:
        RefusedError: rules 8 to 10 and 13.
    """
    if plan is None and segment.header.is_short:
        await stored.peek(segment.header.stored_bytes)
        plaintext, _ = open_stored(segment, await stored.take(segment.header.stored_bytes))
        yield memoryview(plaintext)
        await stored.peek(1)
        return
    opener = SegmentOpener(segment, plan)
    left = plan.stored_bytes if plan else segment.header.stored_bytes
    while left and (data := await stored.take(left, opener.to_bound, opener.unit)):
        left -= len(data)
        for piece in opener.update(data):
            yield piece
    opener.finish()
    if (
        plan is None
    ):  # an answer that has come to its end gives its connection back; what is behind a range may not come
        await stored.peek(1)


class SealedObject(StoredObject):
    """A stored object whose entry holds.

    Attributes:
        segment: of the entry: the object's own, a marker or the manifest.
        attributes: sealed in the entry.
    """

    def __init__(self, access: Access, read: Read, answer: StoreAnswer, entry: tuple[Segment, Attributes]) -> None:
        """Take the answer that it was found by, and what its entry holds.

        Raises:
            PeerError: the answer does not say how long the object is, or has no ETag.
        """
        super().__init__(access, read, answer.headers)
        if not self.store_etag:
            msg = "the store answers without the ETag of the object"
            raise PeerError(msg, hint="sealed objects need a store that tells the ETag with each answer")
        self.segment, self.attributes = entry

    async def read_stored(self, first: int, last: int) -> bytes:
        """Read a few stored bytes of this very object.

        Raises:
            StrongroomError: it is another one by now, or the store refuses.
        """
        async with self.ask_again(first, last) as answer:
            await require_bytes(answer)
            raw = await read_all(answer, last - first + 1)
        if len(raw) != last - first + 1:
            refuse(8, f"{len(raw)} stored bytes where {last - first + 1} were asked for")
        return raw


class WholeObject(SealedObject):
    """A sealed object that was put in one piece."""

    def __init__(self, access: Access, read: Read, answer: StoreAnswer, entry: tuple[Segment, Attributes]) -> None:
        """Take the answer that it was found by: of a GET, its body is read from there, and only while it lasts.

        Raises:
            RefusedError: rule 8.
            PeerError: as of every sealed object.
        """
        super().__init__(access, read, answer, entry)
        self._answer = answer if answer.method == "GET" else None
        header = self.segment.header
        if self.stored_bytes != header.stored_bytes:
            refuse(8, f"{self.stored_bytes} bytes are stored, the header says {header.stored_bytes}")

    async def size(self) -> int:
        """Return the length of the plaintext."""
        return self.segment.header.plaintext_bytes

    async def etag(self) -> str:
        """Return the ETag that clients see, with quotes.

        Raises:
            StrongroomError: as ``digests``, where ETags are MD5s.
        """
        policy = self.read.policy
        return etag_of(policy, await self.digests() if policy.etag is EtagMode.MD5 else None, self.store_etag)

    def known_digests(self) -> Digests | None:
        """Return the digests if no read is needed for them."""
        return self.attributes.digests or self._access.known.find(self.segment)

    async def digests(self) -> Digests:
        """Return the digests: from the entry, from memory, or by one read of the footer.

        Raises:
            StrongroomError: rule 10, or the store refuses.
        """
        known = self.known_digests()
        if known is None:
            raw = await self.read_stored(self.stored_bytes - FOOTER_BYTES, self.stored_bytes - 1)
            known = open_footer(self.segment, raw)
            self._access.known.keep(self.segment, known)
        return known

    def pieces(self, first: int, last: int) -> AsyncIterator[memoryview]:
        """Yield the plaintext from byte ``first`` to ``last``, out of the answer at hand if there is one.

        Raises:
            RefusedError: rules 8 to 10 and 13.
            StrongroomError: another object is there by now, or the store refuses.
        """
        answer, plan = self._answer, self._plan(first, last)
        if answer is None:
            return self._pieces_asked_for(plan)
        return opened(self.segment, plan, StoredBytes(answer, plan.stored_first if plan else 0))

    def open_now(self, first: int, last: int, body: bytes) -> bytes:
        """Return the plaintext that ``pieces`` yields, out of all of the body of the answer at hand.

        Raises:
            RefusedError: as ``pieces``.
            PeerError: the answer does not say where it begins.
        """
        plan = self._plan(first, last)
        skip = (plan.stored_first if plan else 0) - range_begin_of(self.store_headers)
        if skip < 0:
            refuse(8, "the store answers with another range than was asked for")
        if plan is None:
            return open_stored(self.segment, body)[0]
        opener = SegmentOpener(self.segment, plan)
        plaintext = b"".join(
            [bytes(piece) for piece in opener.update(memoryview(body)[skip : skip + plan.stored_bytes])]
        )
        opener.finish()
        return plaintext

    def _plan(self, first: int, last: int) -> RangePlan | None:
        """Return which stored bytes hold a range of the plaintext; None for all of them."""
        size, answer = self.segment.header.plaintext_bytes, self._answer
        if first == 0 and last == size - 1 and not (size and answer is not None and answer.status == PARTIAL):
            return None
        return plan_range(first, last, size, self.segment.header.chunk_log2)

    async def _pieces_asked_for(self, plan: RangePlan | None) -> AsyncIterator[memoryview]:
        first, last = (plan.stored_first, plan.stored_last) if plan else (0, self.stored_bytes - 1)
        async with self.ask_again(first, last) as answer:
            await require_bytes(answer)
            async for piece in opened(self.segment, plan, StoredBytes(answer, first)):
                yield piece


async def require_bytes(answer: StoreAnswer) -> None:
    """Return if an answer has stored bytes of the object that was found.

    Raises:
        RefusedError: rule 8: there are none where the object has some.
        StrongroomError: another object is there by now, or the store refuses.
    """
    if answer.status == UNSATISFIABLE:
        refuse(8, "the store has less of it than its header says")
    if answer.status not in {OK, PARTIAL}:
        raise await reread_error(answer)
