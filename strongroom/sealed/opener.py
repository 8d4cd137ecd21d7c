"""Opening a segment, or a run of its chunks, as its stored bytes stream in.

``docs/object-format.md``, sections "Ranges" and "What a reader must refuse", rules 8 to 10 and 13. Invariants: no
plaintext is given before its tag held; of a whole segment, the last chunk is given only after everything behind it
held; after an error nothing more is given.
"""

from collections.abc import Iterator

from cryptography.exceptions import InvalidTag

from strongroom.errors import MisuseError
from strongroom.sealed.digests import Digests, parse_digests
from strongroom.sealed.header import Kind
from strongroom.sealed.ranges import RangePlan
from strongroom.sealed.refusal import RefusedError, refuse
from strongroom.sealed.sealer import BATCH_BYTES, CHUNK_NONCE, FOOTER_NONCE
from strongroom.sealed.segment import Segment
from strongroom.sealed.sizes import FOOTER_BYTES, HEADER_BYTES, TAG_BYTES


class SegmentOpener:
    """Opens one segment from its first stored byte, or exactly the stored bytes of a plan.

    Pieces are views of one buffer that is used again: a piece is valid until the next one is asked for, and until the
    next call.

    Args:
        segment: from ``admit_segment``.
        plan: from ``plan_range`` with this header's length and chunk size; None for the whole segment.

    Raises:
        ConfigError: the plan is not one of this segment.
    """

    def __init__(self, segment: Segment, plan: RangePlan | None = None) -> None:
        """Allocate what is needed for this size, once."""
        header = segment.header
        self._segment = segment
        self._log2 = header.chunk_log2
        self._index = plan.first_chunk if plan else 0
        self._stop = plan.first_chunk + plan.chunks if plan else header.chunk_count
        if header.kind is Kind.MARKER or not 0 <= self._index < self._stop <= header.chunk_count:
            raise MisuseError("a segment is opened by a plan that was made for it, and a marker not at all")
        self._head_bytes = 0 if plan else HEADER_BYTES
        self._tail = bytearray()
        self._tail_bytes = 0 if plan else header.tail_bytes
        self._skip = plan.skip_bytes if plan else 0
        self._take = plan.take_bytes if plan else header.plaintext_bytes
        chunk = 1 << self._log2
        largest = min(chunk, header.plaintext_bytes)
        batch = min(header.plaintext_bytes, (self._stop - self._index) << self._log2, max(BATCH_BYTES, chunk))
        self._out = memoryview(bytearray(batch))
        self._filled = 0
        self._pending = memoryview(bytearray(largest + TAG_BYTES))
        self._pended = 0
        self._busy = False

    @property
    def unit(self) -> int:
        """The stored size of a chunk that is full."""
        return (1 << self._log2) + TAG_BYTES

    @property
    def to_bound(self) -> int:
        """How many bytes are missing to the end of the chunk that comes: what ends there is opened from where it is."""
        return self._head_bytes + self.unit - self._pended

    def update(self, data: bytes | bytearray | memoryview) -> Iterator[memoryview]:
        """Take stored bytes and yield the plaintext that can be given. Iterate to the end before the next call.

        Raises:
            RefusedError: rules 8 to 10 and 13.
            ConfigError: the last iteration was left, or an error came before.
        """
        self._enter()
        view = memoryview(data).cast("B")
        end = len(view)
        at = self._compare_head(view) if self._head_bytes else 0
        keys = self._segment.keys
        decrypt_into, prefix, pack = keys.chunks.decrypt_into, keys.nonce_prefix, CHUNK_NONCE.pack
        out, room, stop = self._out, len(self._out), self._stop
        last = self._segment.header.chunk_count - 1
        filled, stored = self._filled, self._stored_bytes(self._index)
        while at < end and self._index < stop:
            if not self._pended and end - at >= stored:
                source = view[at : at + stored]
                at += stored
            else:
                at = self._keep(view, at, stored)
                if self._pended < stored:
                    break
                source = self._pending[:stored]
                self._pended = 0
            if filled + stored - TAG_BYTES > room:
                yield self._release(filled)
                filled = 0
            opened = filled + stored - TAG_BYTES
            try:
                decrypt_into(pack(prefix, self._index, self._index == last), source, None, out[filled:opened])
            except InvalidTag:
                refuse(9, f"the tag of chunk {self._index} of {last + 1}")
            filled = opened
            self._index += 1
            if self._index == last:
                stored = self._stored_bytes(last)
        if at < end:
            self._take_tail(view[at:])
        held = self._index == stop and len(self._tail) < self._tail_bytes
        if filled and not held:
            yield self._release(filled)
            filled = 0
        self._filled = filled
        self._busy = False

    def finish(self) -> Digests | None:
        """Return the digests of a whole object that was opened to its end; None for everything else.

        Raises:
            RefusedError: rule 8: bytes are missing.
        """
        if self._busy or self._head_bytes or self._index < self._stop or len(self._tail) < self._tail_bytes:
            refuse(8, f"the segment ends early, in or behind chunk {self._index}")
        return self._digests() if self._tail_bytes and self._segment.header.kind is Kind.WHOLE else None

    def _enter(self) -> None:
        if self._busy:
            raise MisuseError("an opener goes on only after all pieces were taken, and not at all after an error")
        self._busy = True

    def _stored_bytes(self, index: int) -> int:
        """Return the size of a chunk with its tag."""
        begin = index << self._log2
        return min(1 << self._log2, self._segment.header.plaintext_bytes - begin) + TAG_BYTES

    def _compare_head(self, view: memoryview) -> int:
        """Compare with the header that was admitted; return where the rest begins."""
        done = HEADER_BYTES - self._head_bytes
        taken = min(self._head_bytes, len(view))
        if view[:taken] != self._segment.raw[done : done + taken]:
            refuse(13, "the header of the body is another one")
        self._head_bytes -= taken
        return taken

    def _keep(self, view: memoryview, at: int, stored: int) -> int:
        """Keep what is not a whole chunk yet; return where the rest begins."""
        taken = min(stored - self._pended, len(view) - at)
        self._pending[self._pended : self._pended + taken] = view[at : at + taken]
        self._pended += taken
        return at + taken

    def _release(self, filled: int) -> memoryview:
        """Return what of the opened bytes the caller asked for."""
        begin = min(self._skip, filled)
        end = min(filled, begin + self._take)
        self._skip = 0
        self._take -= end - begin
        return self._out[begin:end]

    def _take_tail(self, view: memoryview) -> None:
        if len(self._tail) + len(view) > self._tail_bytes:
            refuse(8, "bytes behind the end of the segment")
        self._tail += view
        if len(self._tail) == self._tail_bytes:
            if self._segment.header.kind is Kind.WHOLE:
                self._digests()
            elif any(self._tail):
                refuse(10, "padding that is not zero")

    def _digests(self) -> Digests:
        return open_footer(self._segment, bytes(self._tail))


def open_footer(segment: Segment, raw: bytes | memoryview) -> Digests:
    """Open the footer of a whole object, its last 112 bytes.

    Raises:
        RefusedError: rule 10.
    """
    try:
        return parse_digests(segment.keys.footer.decrypt(FOOTER_NONCE, raw, None), rule=10)
    except InvalidTag:
        refuse(10, "the tag of the footer")


def open_stored(segment: Segment, stored: bytes | bytearray | memoryview) -> tuple[bytes, Digests | None]:
    """Open a whole segment that is in memory; return its plaintext, and its digests if it has a footer.

    What is short and as it should be has no need of an opener's buffers. Anything else an opener decides alone, so
    there is one order in which rules are looked at, and one wording of each refusal.

    Raises:
        RefusedError: rules 8 to 10 and 13.
    """
    header = segment.header
    if header.is_short and memoryview(stored).nbytes == header.stored_bytes:
        opened = _open_short(segment, memoryview(stored).cast("B"))
        if opened is not None:
            return opened
    opener = SegmentOpener(segment)
    plaintext = b"".join([bytes(piece) for piece in opener.update(stored)])
    return plaintext, opener.finish()


def _open_short(segment: Segment, stored: memoryview) -> tuple[bytes, Digests] | None:
    """Open a whole object of one chunk, given all of its stored bytes; None if anything of it does not hold."""
    keys, end = segment.keys, len(stored) - FOOTER_BYTES
    if bytes(stored[:HEADER_BYTES]) != segment.raw:
        return None
    try:
        nonce = CHUNK_NONCE.pack(keys.nonce_prefix, 0, 1)
        plaintext = keys.chunks.decrypt(nonce, stored[HEADER_BYTES:end], None)
        return plaintext, open_footer(segment, stored[end:])
    except (InvalidTag, RefusedError):
        return None
