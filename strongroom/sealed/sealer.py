"""Sealing a segment as its plaintext streams in. ``docs/object-format.md``, section "Segment".

**What comes out.** A segment is header ‖ chunks ‖ tail, and its length follows from that of the plaintext alone, which
the header has: whoever stores it can announce the length before the first byte has come. Each chunk is AES-256-GCM
under one key of the segment, with the nonce prefix(7) ‖ index(4) ‖ last(1). The index gives a chunk its place, the last
byte tells the end: chunks that were dropped, swapped, doubled or cut off do not open.

**Why nonces may count.** Key and prefix are derived from the header, and so from 32 random bytes of this very attempt.
No two attempts share a key, so each may count from zero; hence a sealer seals once, and a repeated request to the store
needs a new segment. GCM breaks when a nonce comes twice under a key: ``_busy`` therefore stays set when an iteration
was left or has failed, and after ``finish``; there is no way to go on or to begin again.

**Why the last chunk waits.** Only ``finish`` knows that the plaintext has ended, and its caller calls it when the body
held what was claimed of it (length, checksum, signatures of chunks). Without its last chunk a segment is shorter than
was announced, so no store keeps it, and no reader takes it for whole. So an upload that turns out to be bad is never an
object, though most of it was sent before anybody could know. An empty plaintext is one empty last chunk.

**Where the bytes are.** Plaintext comes in pieces of any size. Full chunks are encrypted from where they are; only what
does not fill a chunk, and whatever may be the last one, is copied (``_pending``). Sealed chunks are written one behind
the other into one buffer (``_out``), the header before the first of them, and given out as views of it when it is full
or the plaintext has been used up: a stream of any length takes one buffer of a batch and one of a chunk. The price is
the rule of ``SegmentSealer`` about when a piece stops being valid. A segment that is to be in memory as a whole is
sealed into one buffer of its size (``in_one``), and is there without a copy when it is finished.

Invariants: the pieces together are exactly ``header.stored_bytes`` long; more or less plaintext than the header says is
an error and not another object; what is behind the last chunk (the footer of a whole object, the zeros that make parts
of one size whatever their chunks) is given out together with it.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Final

from strongroom.errors import MisuseError, PeerError
from strongroom.sealed.digests import Digests
from strongroom.sealed.header import Kind
from strongroom.sealed.segment import Segment
from strongroom.sealed.sizes import HEADER_BYTES, TAG_BYTES

BATCH_BYTES: Final = 1 << 17  # what a piece holds at least, if there is so much; each stream has one or two in memory
FOOTER_NONCE: Final = bytes(12)  # its key is used once
CHUNK_NONCE: Final = Struct(">7sIB")


class SegmentSealer:
    """Seals one segment.

    Pieces are views of one buffer that is used again: a piece is valid until the next one is asked for, and until the
    next call. A caller whose transport keeps references (asyncio from Python 3.12, uvloop) awaits the drain or copies.

    Args:
        segment: from ``begin_segment``, used for this and nothing else.
        in_one: whether ``finish`` gives the whole segment as one piece, and ``update`` nothing; it stays valid then.
    """

    def __init__(self, segment: Segment, *, in_one: bool = False) -> None:
        """Allocate what is needed for this size, once."""
        header = segment.header
        if header.kind is Kind.MARKER:
            raise MisuseError("a marker has no body to seal")
        self._segment = segment
        self._last = header.chunk_count - 1
        self._chunk_bytes = 1 << header.chunk_log2
        batch = header.plaintext_bytes
        if not in_one:
            batch = min(batch, max(BATCH_BYTES, self._chunk_bytes))
        tags = TAG_BYTES * ((batch >> header.chunk_log2) + 1)
        self._out = memoryview(bytearray(HEADER_BYTES + batch + tags + header.tail_bytes))
        self._out[:HEADER_BYTES] = segment.raw
        self._filled = HEADER_BYTES
        self._pending = memoryview(bytearray(min(header.plaintext_bytes, self._chunk_bytes)))
        self._pended = 0
        self._index = 0
        self._received = 0
        self._busy = False
        self._in_one = in_one

    @property
    def stored_bytes(self) -> int:
        """The length of all pieces together."""
        return self._segment.header.stored_bytes

    def update(self, data: bytes | bytearray | memoryview) -> Iterator[memoryview]:
        """Take plaintext and give what can be sealed of it. Iterate to the end before the next call.

        Raises:
            PeerError: there is more plaintext than the header says.
            ConfigError: the last iteration was left, or the segment is finished.
        """
        self._enter()
        view = memoryview(data).cast("B")
        self._received += len(view)
        if self._received > self._segment.header.plaintext_bytes:
            msg = f"the body has more than the {self._segment.header.plaintext_bytes} bytes that were declared"
            raise PeerError(msg, hint="the client sends another length than it announced: send it again")
        keys = self._segment.keys
        encrypt_into, prefix, pack = keys.chunks.encrypt_into, keys.nonce_prefix, CHUNK_NONCE.pack
        chunk, out, last, filled = self._chunk_bytes, self._out, self._last, self._filled
        stored = chunk + TAG_BYTES
        room = len(out) - stored
        at, end = 0, len(view)
        while at < end:
            if self._index != last and not self._pended and end - at >= chunk:
                source = view[at : at + chunk]
                at += chunk
            else:
                at = self._keep(view, at)
                if self._pended < chunk or self._index == last:
                    continue
                source = self._pending
                self._pended = 0
            if filled > room:
                yield out[:filled]
                filled = 0
            encrypt_into(pack(prefix, self._index, 0), source, None, out[filled : filled + stored])
            filled += stored
            self._index += 1
        if self._index and not self._in_one:
            if filled:
                yield out[:filled]
            filled = 0
        self._filled = filled
        self._busy = False

    def finish(self, digests: Digests | None = None) -> memoryview:
        """Seal the last chunk and what follows it. Call it when the body has been checked.

        Args:
            digests: for the footer of a whole object; other kinds have none.

        Returns:
            The last piece.

        Raises:
            PeerError: there is less plaintext than the header says.
            ConfigError: digests for a segment without footer, or a second call.
        """
        self._enter()
        header, keys, out = self._segment.header, self._segment.keys, self._out
        if self._received != header.plaintext_bytes:
            msg = f"the body ended after {self._received} of the {header.plaintext_bytes} bytes that were declared"
            raise PeerError(msg, hint="the connection or the client broke it off: send it again")
        if digests is not None and header.kind is not Kind.WHOLE:
            raise MisuseError("only a whole object has a footer for digests")
        end = self._filled + self._pended + TAG_BYTES
        nonce = CHUNK_NONCE.pack(keys.nonce_prefix, self._index, 1)
        keys.chunks.encrypt_into(nonce, self._pending[: self._pended], None, out[self._filled : end])
        tail = out[end : end + header.tail_bytes]
        if header.kind is Kind.WHOLE:
            keys.footer.encrypt_into(FOOTER_NONCE, (digests or Digests()).encode(), None, tail)
        else:
            tail[:] = bytes(len(tail))
        return out[: end + len(tail)]

    def _enter(self) -> None:
        if self._busy:
            msg = "a sealer goes on only after all pieces were taken, and not at all after its end or an error"
            raise MisuseError(msg)
        self._busy = True

    def _keep(self, view: memoryview, at: int) -> int:
        """Keep what does not fill a chunk, or belongs to the last; return where the rest begins."""
        taken = min(len(self._pending) - self._pended, len(view) - at)
        self._pending[self._pended : self._pended + taken] = view[at : at + taken]
        self._pended += taken
        return at + taken


def seal(segment: Segment, plaintext: bytes | bytearray | memoryview, digests: Digests | None = None) -> bytes:
    """Seal a plaintext that is in memory; return the whole segment.

    What is short has no need of a sealer's buffers: its one chunk and its footer are encrypted where they are.

    Raises:
        PeerError: the plaintext has not the length that the header says.
    """
    header, keys = segment.header, segment.keys
    if header.is_short and memoryview(plaintext).nbytes == header.plaintext_bytes:
        chunk = keys.chunks.encrypt(CHUNK_NONCE.pack(keys.nonce_prefix, 0, 1), plaintext, None)
        footer = keys.footer.encrypt(FOOTER_NONCE, (digests or Digests()).encode(), None)
        return b"".join((segment.raw, chunk, footer))
    sealer = SegmentSealer(segment, in_one=True)
    if any(sealer.update(plaintext)):
        raise AssertionError("a piece of what is sealed in one")
    return bytes(sealer.finish(digests))
