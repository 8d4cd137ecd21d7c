"""Long computations off the event loop, so that one large request does not hold up the others; and which are long."""

import asyncio
from collections.abc import Callable, Collection
from typing import TypeVar

from strongroom.errors import StrongroomError
from strongroom.launch.bundle import BundleRequest
from strongroom.launch.reference import Reference
from strongroom.openbao.kv import Reading

T = TypeVar("T")

INLINE_ITEMS = 500  # a few milliseconds of work; less than that is cheaper done at once than handed to a thread
BYTES_OF_AN_ITEM = 200  # this many bytes are as much work as an item


def items_of(count: int, size: int) -> int:
    """Return as how many items some things count that have some bytes together."""
    return count + size // BYTES_OF_AN_ITEM


async def compute(items: int, work: Callable[[], T]) -> T:
    """Return ``work()``, done in a thread if it is about more than a few hundred items."""
    return work() if items <= INLINE_ITEMS else await asyncio.to_thread(work)


def weight_of(request: BundleRequest) -> int:
    """Return how many items the work is worth; files may be large, and decoding them takes time."""
    count = len(request.entries)
    if count <= INLINE_ITEMS:  # weighing is no more work than that itself
        count = sum(len(entry.parts) for entry in request.entries)
    if count > INLINE_ITEMS or request.has_files:
        return INLINE_ITEMS + 1
    return items_of(count, sum(len(entry.name) + _size(part) for entry in request.entries for part in entry.parts))


def _size(part: str | Reference) -> int:
    return len(part) if isinstance(part, str) else len(part.path) + len(part.key) + len(part.default or "")


def weight_of_resolving(request: BundleRequest, outcomes: Collection[Reading | StrongroomError]) -> int:
    """Return how many items readings are worth; each taking of a whole path, and each pattern, looks at its keys."""
    if len(outcomes) > INLINE_ITEMS:
        return len(outcomes)
    looks = sum(1 + len(source.include) + len(source.exclude) for source in request.from_paths)
    readings = sum(items_of(len(found.data), found.size_bytes) for found in outcomes if isinstance(found, Reading))
    return max(1, looks) * readings
