"""Bodies on their way to the store. None is complete there before everything that is claimed of it was verified here.

An error ends the transfer: aiohttp closes the connection, and the store drops what is shorter than was announced.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from s3proxy.exchange.incoming import Incoming
from s3proxy.s3api.body import Body
from strongroom.sealed.digests import Digests
from strongroom.sealed.sealer import SegmentSealer, seal
from strongroom.sealed.segment import Segment


@dataclass
class BodyOutcome:
    """What became of a body that was being sent to the store.

    Attributes:
        digests: once it was verified.
        error: why it came to nothing.
    """

    digests: Digests | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class PlainBody:
    """A plaintext that comes in pieces.

    Attributes:
        length: in bytes.
        pieces: each is valid until the next one is asked for.
        finish: to be called when they have ended; raises unless everything holds, and returns the digests.
    """

    length: int
    pieces: AsyncIterator[memoryview]
    finish: Callable[[], Digests]


def plain_of(incoming: Incoming, body: Body) -> PlainBody:
    """Return the body of a client's request."""
    return PlainBody(body.length, incoming.plaintext(body), body.finish)


async def sealed_pieces(
    sealer: SegmentSealer, plain: PlainBody, outcome: BodyOutcome, *, with_footer: bool
) -> AsyncIterator[memoryview]:
    """Seal a plaintext as it comes. The last chunk is given only after it was verified.

    A piece is valid until the next one is asked for.
    """
    try:
        async for piece in plain.pieces:
            for sealed in sealer.update(piece):
                yield sealed
        digests = plain.finish()
        last = sealer.finish(digests if with_footer else None)
        outcome.digests = digests
        yield last
    except GeneratorExit:
        raise
    except Exception as error:
        outcome.error = error
        raise


async def verified_pieces(plain: PlainBody, outcome: BodyOutcome) -> AsyncIterator[bytes]:
    """Give a plaintext as it comes, one piece late: the last one only after it was verified."""
    try:
        held = b""
        async for piece in plain.pieces:
            if held:
                yield held
            held = bytes(piece)
        outcome.digests = plain.finish()
        if held:
            yield held
    except GeneratorExit:
        raise
    except Exception as error:
        outcome.error = error
        raise


async def read_plain(plain: PlainBody) -> tuple[bytes, Digests]:
    """Read a short plaintext to its end, and verify it.

    Raises:
        StrongroomError: it is not what it claims to be, or does not come.
    """
    whole = b"".join([bytes(piece) async for piece in plain.pieces])
    return whole, plain.finish()


async def seal_plain(segment: Segment, plain: PlainBody, *, with_footer: bool) -> tuple[bytes | memoryview, Digests]:
    """Seal a short plaintext in memory as it comes, and verify it; nothing of it is given before that.

    Raises:
        StrongroomError: it is not what it claims to be, or does not come.
    """
    if segment.header.is_short:
        whole, digests = await read_plain(plain)
        return seal(segment, whole, digests if with_footer else None), digests
    sealer = SegmentSealer(segment, in_one=True)
    async for piece in plain.pieces:
        if any(sealer.update(piece)):
            raise AssertionError("a piece of what is sealed in one")
    digests = plain.finish()
    return sealer.finish(digests if with_footer else None), digests
