"""Room for the answers of a bridge, for tests of what is inside it."""

import dataclasses

from bridge.room import Room, Rooms
from bridge.service import Limits
from bridge.settings import RequestSettings
from bridge.shares import Capacity


def capacity(
    *, requests: int = 256, body_s: float = 30.0, answers_bytes: int = 1 << 28, answer_bytes: int = 1 << 26
) -> Capacity:
    return Capacity(
        requests=requests,
        body_bytes=1 << 20,
        bodies_bytes=1 << 24,
        answers_bytes=answers_bytes,
        answer_bytes=answer_bytes,
        room_s=5.0,
        body_s=body_s,
        retry_after_s=1.0,
    )


def limits_with(**changes: float) -> Limits:
    """What one request may cost by default, but for some of it."""
    return dataclasses.replace(RequestSettings().limits(reads_at_once=8), **changes)  # type: ignore[arg-type]


def ample_room() -> Room:
    """Room that nobody else is in."""
    return Room(Rooms(capacity()), "somebody", lambda: True)
