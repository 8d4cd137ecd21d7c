"""Reading secrets off the event loop: one read in flight per path, version and wanted keys, deadlines.

Where there are more reads than threads, identities take turns, and share no read that has to wait: nobody stands in
another one's row.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from bridge.turns import Turns
from strongroom.errors import DeniedError
from strongroom.openbao.kv import Reading, keep_keys
from strongroom.openbao.pool import Pool
from strongroom.openbao.secrets import SecretStore
from strongroom.secret import Secret
from strongroom.service.single_flight import SingleFlight

_Place = tuple[str, int, frozenset[str] | None]  # path, version, and the keys that are wanted, or None for all
_ALL = ""  # instead of an identity: of a read that has not to wait


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
        self._turns = Turns(pool.threads)
        late = (
            f"OpenBao did not answer within {timeout_s:g} s",
            "it is overloaded, stopped, or the network drops packets",
        )
        self.in_flight = SingleFlight(timeout_s, late, on_shared=on_shared)  # by whose turn a read needs, and place

    async def read(self, path: str, version: int, keys: frozenset[str] | None = None, *, identity: str = "") -> Reading:
        """Read some keys of a path; see ``bridge.gather.SecretSource``."""
        place = (path, version, keys)
        joined = next((name for name in ((_ALL, place), (identity, place)) if name in self.in_flight), None)
        begins = joined is None and self._turns.take_now()
        deadline = time.monotonic() + self._timeout_s
        return await self.in_flight.share(
            joined or (_ALL if begins else identity, place),
            lambda: self._read_in_turn(place, identity, begins=begins, deadline=deadline),
        )

    async def _read_in_turn(self, place: _Place, identity: str, *, begins: bool, deadline: float) -> Reading:
        """Read when it is the turn of this identity; when that comes too late, nobody waits for it any longer.

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
