"""Long computations off the event loop, so that one large request does not hold up the others."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

INLINE_ITEMS = 500  # a few milliseconds of work; less than that is cheaper done at once than handed to a thread
BYTES_OF_AN_ITEM = 200  # this many bytes are as much work as an item


def items_of(count: int, size: int) -> int:
    """Return as how many items some things count that have some bytes together."""
    return count + size // BYTES_OF_AN_ITEM


async def compute(items: int, work: Callable[[], T]) -> T:
    """Return ``work()``, done in a thread if it is about more than a few hundred items."""
    return work() if items <= INLINE_ITEMS else await asyncio.to_thread(work)
