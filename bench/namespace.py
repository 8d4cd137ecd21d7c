"""A network namespace in which nothing is reachable but what a relay brings there. Needs root."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from pyroute2 import IPRoute, netns

_LOOPBACK_INDEX = 1  # the only interface that a new namespace has
_BACKLOG = 1024


class Namespace:
    """One namespace of its own loopback. A context manager; leaving it removes the namespace."""

    def __init__(self) -> None:
        """Make it.

        Raises:
            PermissionError: this process is not root enough.
        """
        self._name = f"strongroom-bench-{os.getpid()}"
        netns.create(self._name)
        try:
            with self.entered(), IPRoute() as route:
                route.link("set", index=_LOOPBACK_INDEX, state="up")
        except BaseException:
            netns.remove(self._name)
            raise

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove it."""
        netns.remove(self._name)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be inside with this thread; what it makes in the block stays inside: processes, threads and sockets."""
        netns.pushns(self._name)
        try:
            yield
        finally:
            netns.popns()

    def listener(self) -> socket.socket:
        """Return a socket that listens inside, for a server that is outside."""
        with self.entered():
            return socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
