"""What callers may take of the bridge: places and bytes. Who wants more than its share is refused at once."""

import contextlib
from collections.abc import Iterator

from bridge.room import Room, Rooms
from bridge.shares import Capacity, Shares


class Places:
    """The requests in flight, the bytes of their bodies, and the room for their answers."""

    def __init__(self, capacity: Capacity) -> None:
        """Begin with none."""
        pause_s = capacity.retry_after_s
        self._requests = Shares(capacity.requests, "requests", retry_after_s=pause_s)
        self._bytes = Shares(capacity.bodies_bytes, "bytes of requests", retry_after_s=pause_s)
        self._rooms = Rooms(capacity)

    @contextlib.contextmanager
    def take(self, identity: str, size: int) -> Iterator[Room]:
        """Hold a place and some bytes for an identity; gives the room for what is read and answered.

        Raises:
            BusyError: there is no room, or the identity has its share.
        """
        is_first = not self._requests.of(identity)
        self._requests.require(identity, 1, is_first=is_first)
        self._bytes.require(identity, size, is_first=is_first)
        self._requests.add(identity, 1)
        self._bytes.add(identity, size)
        room = Room(self._rooms, identity, lambda: self._requests.of(identity) == 1)
        try:
            yield room
        finally:
            self._requests.add(identity, -1)
            self._bytes.add(identity, -size)
            room.close()  # the last: who waits for room may be the only one of its identity from now on
