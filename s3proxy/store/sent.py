"""A request to the store that is on its way while no task waits for its answer."""

import time
from typing import TYPE_CHECKING

from s3proxy.store.places import Place

if TYPE_CHECKING:
    from s3proxy.store.connection import Connection, Held, StoreAnswer
    from s3proxy.store.connections import StoreConnections


class SentRequest:
    """A request on its way, whose answer nobody waits for in a task: who sent it is called whenever something comes.

    Its answer is either taken here, once all of it has come and is good, or the exchange goes on in the ordinary way
    (``StoreConnections.exchange``), with whatever has come so far.

    Attributes:
        method: of the request.
        head: request line and headers, as they were sent.
        body: as it was sent.
        began: when, by ``time.perf_counter``.
    """

    __slots__ = ("_connections", "began", "body", "connection", "head", "method", "place")

    def __init__(
        self,
        connections: "StoreConnections",
        place: Place,
        connection: "Connection",
        request: tuple[str, bytes, "Held | None"],
    ) -> None:
        """Take what it holds, and what was sent: method, head, body."""
        self._connections = connections
        self.place = place
        self.connection = connection
        self.method, self.head, self.body = request
        self.began = time.perf_counter()

    @property
    def is_over(self) -> bool:
        """Whether no more can come: the connection has ended, or what came is not HTTP."""
        return self.connection.exception() is not None

    def answer(self) -> "StoreAnswer | None":
        """Return the answer whose head has come, None before; interim ones count."""
        return self.connection.answer_so_far(self.method)

    def finish(self) -> None:
        """Give the connection back, whose answer was taken to its end."""
        self.connection.take_answer()
        self.connection.on_progress = None
        self._connections.give_back(self.connection, self.place)

    def give_up(self) -> None:
        """Close the connection: nobody wants the answer any longer."""
        self.connection.on_progress = None
        self.connection.abort()
        self.place.give_back()
