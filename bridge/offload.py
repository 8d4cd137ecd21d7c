"""Long computations off the event loop, so that one large request does not hold up the others."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

INLINE_ITEMS = 500  # a few milliseconds of work; less than that is cheaper done at once than handed to a thread


async def compute(items: int, work: Callable[[], T]) -> T:
    """Return ``work()``, done in a thread if it is about more than a few hundred items."""
    return work() if items <= INLINE_ITEMS else await asyncio.to_thread(work)
