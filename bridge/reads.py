"""Reading secrets off the event loop: one read in flight per path, version and wanted keys, deadlines.

A caller that goes away does not take the read with it, because others may be waiting for the same one. Nothing is kept
once a read has ended.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from strongroom.errors import DeniedError, UnavailableError
from strongroom.openbao.kv import Reading, keep_keys
from strongroom.openbao.pool import Pool
from strongroom.openbao.secrets import SecretStore
from strongroom.secret import Secret

_Place = tuple[str, int, frozenset[str] | None]  # path, version, and the keys that are wanted, or None for all


class Tokens(Protocol):
    """What this module needs of ``strongroom.openbao.login.Login``."""

    async def token(self) -> Secret:
        """Return a token."""

    async def replace(self, refused: Secret) -> Secret | None:
        """Return a new token if ``refused`` is dead."""


class CoalescingReader:
    """Reads secrets for many callers; the ``SecretSource`` of the service."""

    def __init__(
        self,
        store: SecretStore,
        tokens: Tokens,
        pool: Pool,
        *,
        timeout_s: float,
        on_shared: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the parts.

        Args:
            store: reads one path, blocking.
            tokens: the login.
            pool: the threads.
            timeout_s: how long a caller waits for one read, the wait for a thread included.
            on_shared: told when a caller joins a read of another one.
        """
        self._store = store
        self._tokens = tokens
        self._pool = pool
        self._timeout_s = timeout_s
        self._on_shared = on_shared
        self._in_flight: dict[_Place, asyncio.Task[Reading]] = {}

    async def read(self, path: str, version: int, keys: frozenset[str] | None = None) -> Reading:
        """Read some keys of a path; see ``bridge.service.SecretSource``."""
        place = (path, version, keys)
        task = self._in_flight.get(place)
        if task is None:
            task = asyncio.create_task(self._read(path, version, keys))
            self._in_flight[place] = task
            task.add_done_callback(partial(self._done, place))
        else:
            self._on_shared()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.shield(task)
        except TimeoutError:
            msg = f"OpenBao did not answer within {self._timeout_s:g} s"
            raise UnavailableError(msg, hint="it is overloaded, stopped, or the network drops packets") from None

    def _done(self, place: _Place, task: "asyncio.Task[Reading]") -> None:
        if self._in_flight.get(place) is task:
            del self._in_flight[place]
        if not task.cancelled():
            task.exception()  # so that asyncio does not complain when every caller has gone

    async def _read(self, path: str, version: int, keys: frozenset[str] | None) -> Reading:
        deadline = time.monotonic() + self._timeout_s
        read = partial(self._store.read, path, version, deadline=deadline, keep=partial(keep_keys, keys=keys))
        token = await self._tokens.token()
        try:
            return await self._pool.run(partial(read, token=token))
        except DeniedError:
            # Either the token may not read this path, or it is dead: revoked, expired, or of another server.
            fresh = await self._tokens.replace(token)
            if fresh is None:
                raise
        return await self._pool.run(partial(read, token=fresh))
