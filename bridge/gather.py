"""Reading all that one request needs, within its deadline and its room in memory."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from bridge.resolve import Place
from bridge.room import Room
from strongroom import errors
from strongroom.openbao.kv import Reading

_DEPOSIT_BYTES = 16 << 10  # more than most secrets have


class SecretSource(Protocol):
    """Where secrets are read."""

    async def read(self, path: str, version: int, keys: frozenset[str] | None = None, *, identity: str = "") -> Reading:
        """Read some keys of one path, None for all, of a version, 0 for the newest, for an identity.

        Raises:
            NotFoundError: there is no such mount, path or version.
            DeniedError: the source's own rules do not let the bridge read it.
            UndeliverableError: the path is not a key-value secret.
            UnavailableError: the source cannot be reached or is too slow.
        """


async def read_all(
    secrets: SecretSource,
    reads: Mapping[Place, frozenset[str] | None],
    room: Room,
    *,
    at_once: int,
    within_s: float,
) -> dict[Place, Reading | errors.StrongroomError]:
    """Read all places and their keys; what is not there by the deadline counts as unavailable."""
    if not reads:
        return {}
    left = iter(reads.items())
    found: dict[Place, Reading | errors.StrongroomError] = {}

    async def read_some() -> None:
        for place, keys in left:
            found[place] = await _read(secrets, place, keys, room)

    tasks = [asyncio.create_task(read_some()) for _ in range(min(len(reads), at_once))]
    try:
        done, _ = await asyncio.wait(tasks, timeout=within_s)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
    late = errors.UnavailableError(
        f"reading {len(reads)} paths from OpenBao took longer than {within_s:g} s",
        hint="OpenBao is slow or overloaded, or this is too much for one request",
    )
    return dict.fromkeys(reads, late) | found


async def _read(
    secrets: SecretSource, place: Place, keys: frozenset[str] | None, room: Room
) -> Reading | errors.StrongroomError:
    held = 0
    try:
        await room.take(_DEPOSIT_BYTES)
        held = _DEPOSIT_BYTES
        reading = await secrets.read(place.path, place.version, keys, identity=room.identity)
        more = reading.size_bytes - held
        if room.take_now(more):
            return reading
        del reading  # nothing is kept that is not counted; it is read again when there is room for it
        await room.take(more)
        held += more
        reading = await secrets.read(place.path, place.version, keys, identity=room.identity)
    except (errors.NotFoundError, errors.DeniedError, errors.UndeliverableError, errors.PeerError) as error:
        room.add(-held)
        return error
    room.add(reading.size_bytes - held)  # it may be another one by now
    return reading
