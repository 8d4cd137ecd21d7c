"""Reading secrets off the event loop: one read in flight per path, version and wanted keys, deadlines.

A caller that goes away does not take the read with it, because others may be waiting for the same one. Nothing is kept
once a read has ended. Where there are more reads than threads, identities take turns, and share no read that has to
wait: nobody stands in another one's row.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from bridge.turns import Turns
from strongroom.errors import DeniedError, UnavailableError
from strongroom.openbao.kv import Reading, keep_keys
from strongroom.openbao.pool import Pool
from strongroom.openbao.secrets import SecretStore
from strongroom.secret import Secret

_Place = tuple[str, int, frozenset[str] | None]  # path, version, and the keys that are wanted, or None for all
_ALL = ""  # in the place of an identity: of a read that has not to wait


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
        self._turns = Turns(pool.threads)
        self._in_flight: dict[tuple[str, _Place], asyncio.Task[Reading]] = {}  # by whose turn it needs

    async def read(self, path: str, version: int, keys: frozenset[str] | None = None, *, identity: str = "") -> Reading:
        """Read some keys of a path; see ``bridge.gather.SecretSource``."""
        place = (path, version, keys)
        task = self._in_flight.get((_ALL, place)) or self._in_flight.get((identity, place))
        if task is None:
            begins = self._turns.take_now()
            deadline = time.monotonic() + self._timeout_s
            task = asyncio.create_task(self._read_in_turn(place, identity, begins=begins, deadline=deadline))
            name = (_ALL if begins else identity, place)
            self._in_flight[name] = task
            task.add_done_callback(partial(self._done, name))
        else:
            self._on_shared()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.shield(task)
        except TimeoutError:
            msg = f"OpenBao did not answer within {self._timeout_s:g} s"
            raise UnavailableError(msg, hint="it is overloaded, stopped, or the network drops packets") from None

    def _done(self, name: tuple[str, _Place], task: "asyncio.Task[Reading]") -> None:
        if self._in_flight.get(name) is task:
            del self._in_flight[name]
        if not task.cancelled():
            task.exception()  # so that asyncio does not complain when every caller has gone

    async def _read_in_turn(self, place: _Place, identity: str, *, begins: bool, deadline: float) -> Reading:
        """Read when it is the turn of this identity; when that comes too late, nobody waits for it any more.

        Args:
            place: to read.
            identity: for which.
            begins: whether the turn is taken already.
            deadline: of ``time.monotonic``, which is the clock of the loop.

        Raises:
            TimeoutError: the turn came too late.
        """
        if not begins:
            await self._turns.take(identity, until=deadline)
        with self._turns.held():
            return await self._read(*place, deadline=deadline)

    async def _read(self, path: str, version: int, keys: frozenset[str] | None, *, deadline: float) -> Reading:
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
