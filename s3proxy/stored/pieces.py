"""The plaintext of a whole object, opened chunk by chunk as the store sends it.

A chunk is yielded only after its tag held.
"""

from collections.abc import AsyncIterator

from s3proxy.store.connections import StoreAnswer
from s3proxy.stored.open import SealedObject, range_begin_of
from strongroom.sealed.opener import SegmentOpener
from strongroom.sealed.ranges import RangePlan
from strongroom.sealed.refusal import refuse


async def opened_pieces(
    found: SealedObject, plan: RangePlan | None, response: StoreAnswer
) -> AsyncIterator[memoryview]:
    """Open the chunks of a whole object as the store sends them.

    Raises:
        RefusedError: rules 8 to 10 and 13.
    """
    opener = SegmentOpener(found.segment, plan)
    drop = plan.stored_first - range_begin_of(response.headers) if plan else 0
    left = plan.stored_bytes if plan else found.segment.header.stored_bytes
    if drop < 0:
        refuse(8, "the store answers with another range than was asked for")
    feed = Feed(drop, left)
    async for data in response.content.iter_any():
        for piece in opener.update(feed.take(data)):
            yield piece
        if feed.done and plan is not None:
            break
    opener.finish()


class Feed:
    """Cuts what a segment needs out of what the store sends."""

    def __init__(self, drop: int, left: int) -> None:
        """Take how many bytes to drop at the front, and how many to take after that."""
        self._drop = drop
        self._left = left

    @property
    def done(self) -> bool:
        """Whether everything was taken."""
        return self._left == 0

    def take(self, data: bytes) -> memoryview:
        """Return what is wanted of the next bytes. For a whole segment, what is too much stays to be refused."""
        view = memoryview(data)
        dropped = min(self._drop, len(view))
        self._drop -= dropped
        taken = view[dropped : dropped + self._left]
        self._left -= len(taken)
        return taken
