"""Bucket keys in use: one per policy for new objects, and those that were unwrapped to read.

Both are kept for a bounded time, so that a lost KMS is not noticed within it. Callers that ask for the same key at the
same time share one call of the KMS. Each header carries its wrapped bucket key; the keyring has it, too, and that copy
is what a change of the KEK replaces.
"""

import asyncio
import contextlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from s3proxy.front.errors import S3Error
from s3proxy.keys.kek import Kek
from strongroom.errors import PeerError, UnavailableError
from strongroom.sealed.header import ID_BYTES, Header
from strongroom.sealed.keyring import KeyRecord
from strongroom.sealed.refusal import RefusedError, refuse
from strongroom.sealed.wrapping import BUCKET_KEY_BYTES, BucketKey, WrappedKey, parse_wrapped
from strongroom.secret import Secret

T = TypeVar("T")

RENEW_AT = 0.75  # of the ttl: the last quarter bridges an outage of the KMS
RETRY_S = 5.0  # after a failed renewal, while the old key may still be used


@dataclass(frozen=True, kw_only=True)
class KeyLimits:
    """How long and how often bucket keys are used.

    Attributes:
        seal_ttl_s: for new objects, since the key was made.
        seal_uses: for so many new objects.
        open_ttl_s: for reading, since the key was unwrapped.
        open_keys: so many unwrapped keys are kept.
        wait_s: that a request waits for a key; the work goes on for those who ask later.
    """

    seal_ttl_s: float = 3600.0
    seal_uses: int = 1 << 20
    open_ttl_s: float = 900.0
    open_keys: int = 10_000
    wait_s: float = 15.0  # three answers of a slow KMS


class Records(Protocol):
    """What this module needs of ``s3proxy.keys.keyring.Keyring``."""

    async def find(self, policy: str, key_id: bytes) -> KeyRecord | None:
        """Return the record of a bucket key, or None."""

    async def keep(self, policy: str, key_id: bytes, wrapped: WrappedKey) -> None:
        """Write the record of a new bucket key."""


@dataclass
class _Current:
    key: BucketKey
    made: float
    uses: int = 0
    retry_at: float = 0.0


class BucketKeys:
    """The bucket keys of one process."""

    def __init__(
        self,
        keks: Mapping[str, Kek],
        limits: KeyLimits,
        *,
        keyring: Records,
        clock: Callable[[], float] = time.monotonic,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take the KEK of each policy.

        Args:
            keks: by name of the policy.
            limits: of time and use.
            keyring: where records of bucket keys are kept.
            clock: seconds.
            count: told ``hit``, ``miss`` or ``shared`` for each key that is asked for.
        """
        self._keks = keks
        self._limits = limits
        self._keyring = keyring
        self._clock = clock
        self._count = count
        self._current: dict[str, _Current] = {}
        self._opened: OrderedDict[tuple[str, bytes, bytes], tuple[float, Secret]] = OrderedDict()
        self._calls: dict[object, asyncio.Task[Any]] = {}

    def use(self, keks: Mapping[str, Kek]) -> None:
        """Go on with other KEKs: keys of a policy whose KEK is another one now are forgotten."""
        kept = {name for name, kek in keks.items() if self._keks.get(name) is kek}
        self._keks = keks
        self._current = {name: current for name, current in self._current.items() if name in kept}
        for name in [name for name in self._opened if name[0] not in kept]:
            del self._opened[name]

    async def to_seal(self, policy: str) -> BucketKey:
        """Return the key that new objects of a policy are sealed under.

        Raises:
            UnavailableError: there is none, and the KMS cannot wrap another or the keyring cannot take it.
        """
        now = self._clock()
        current = self._current.get(policy)
        if current is None or self._spent(current, now, self._limits.seal_ttl_s):
            self._count("miss")
            current = await self._shared(("seal", policy), lambda: self._make(policy))
        elif self._spent(current, now, self._limits.seal_ttl_s * RENEW_AT) and now >= current.retry_at:
            current.retry_at = now + RETRY_S
            self._count("miss")
            with contextlib.suppress(PeerError, S3Error):  # the old key serves until it is spent
                current = await self._shared(("seal", policy), lambda: self._make(policy))
        else:
            self._count("hit")
        current.uses += 1
        return current.key

    async def to_open(self, header: Header, readable: frozenset[str]) -> Secret:
        """Return the key that a header names.

        Args:
            header: not authentic yet.
            readable: names of the policies that are configured for the object's name.

        Raises:
            UnavailableError: the KMS cannot unwrap it now.
            RefusedError: rule 6.
        """
        if header.policy not in readable or header.policy not in self._keks:
            refuse(6, f"policy {header.policy} is not configured for this name")
        name = header.policy, header.key_id, header.wrapped_key
        found = self._opened.get(name)
        if found is not None and self._clock() < found[0]:
            self._opened.move_to_end(name)
            self._count("hit")
            return found[1]
        self._count("miss")
        return await self._shared(name, lambda: self._unwrap(name))

    def _spent(self, current: _Current, now: float, ttl_s: float) -> bool:
        return now - current.made >= ttl_s or current.uses >= self._limits.seal_uses

    async def _make(self, policy: str) -> _Current:
        secret, key_id = Secret(os.urandom(BUCKET_KEY_BYTES)), os.urandom(ID_BYTES)
        kek = self._keks.get(policy)
        if kek is None:
            msg = f"policy {policy} was taken out of the policy file just now"
            raise UnavailableError(msg)
        fresh = await kek.wrap(secret, policy=policy, key_id=key_id)
        await self._keyring.keep(policy, key_id, fresh)  # before anything is sealed under it
        wrapped = fresh.encode()
        current = _Current(BucketKey(key_id, policy, secret, wrapped), self._clock())
        if self._keks.get(policy) is kek:  # else it was replaced meanwhile, and this key serves its request only
            self._current[policy] = current
            self._keep((policy, key_id, wrapped), secret)
        return current

    async def _unwrap(self, name: tuple[str, bytes, bytes]) -> Secret:
        policy, key_id, wrapped = name
        try:
            if not wrapped:
                refuse(6, f"its bucket key {key_id.hex()} stands in the keyring only, and is not there")
            secret = await self._keks[policy].unwrap(parse_wrapped(wrapped), policy=policy, key_id=key_id)
        except RefusedError:
            # Of an older KEK, perhaps: then it was rewrapped since, and the record has it as it is opened now.
            record = await self._keyring.find(policy, key_id)
            if record is None or record.wrapped.encode() == wrapped:
                raise
            secret = await self._keks[policy].unwrap(record.wrapped, policy=policy, key_id=key_id)
        self._keep(name, secret)
        return secret

    def _keep(self, name: tuple[str, bytes, bytes], secret: Secret) -> None:
        self._opened[name] = self._clock() + self._limits.open_ttl_s, secret
        self._opened.move_to_end(name)
        while len(self._opened) > self._limits.open_keys:
            self._opened.popitem(last=False)

    async def _shared(self, name: object, work: Callable[[], Coroutine[None, None, T]]) -> T:
        """Do the work once for all who ask for it now; one who goes away does not take it from the others."""
        task: asyncio.Task[T] | None = self._calls.get(name)
        if task is None:
            task = asyncio.create_task(work())
            self._calls[name] = task
            task.add_done_callback(lambda done: self._forget(name, done))
        try:
            async with asyncio.timeout(self._limits.wait_s):
                return await asyncio.shield(task)
        except TimeoutError:
            if task.done() and not task.cancelled():
                raise
            msg = f"no bucket key within {self._limits.wait_s:g} s"
            raise UnavailableError(msg, hint="KMS or keyring is slow; see their own log") from None

    def _forget(self, name: object, done: "asyncio.Task[Any]") -> None:
        del self._calls[name]
        if not done.cancelled():
            done.exception()  # whoever still waits gets it; if nobody does, it is no event
