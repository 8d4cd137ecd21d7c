"""Bucket keys in use: one per policy for new objects, and those that were unwrapped to read.

Both are kept for a bounded time. Keys in use are confirmed ahead in the background (``follow``), so that no request
waits for it, and while the KMS is *unreachable* they serve for a grace longer. What it *refuses* is forgotten at once.
Callers that ask for the same key at the same time share one call of the KMS.

Each header carries its wrapped bucket key; the keyring has it, too, and that copy is what a change of the KEK replaces.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from s3proxy.keys.kek import REVOKED, Kek, KeyNotAvailableError
from s3proxy.keys.opened_keys import KeyLimits, KeyName, OpenedKeys
from s3proxy.keys.unwrapping import Records, foreign, no_policy, unwrap_key
from s3proxy.s3api.errors import S3Error
from strongroom.errors import StrongroomError, UnavailableError
from strongroom.openbao.login import LoginRefusedError
from strongroom.sealed.header import ID_BYTES, Header
from strongroom.sealed.keyring import record_name
from strongroom.sealed.refusal import RefusedError
from strongroom.sealed.wrapping import BUCKET_KEY_BYTES, BucketKey
from strongroom.secret import Secret
from strongroom.service.logs import log_event
from strongroom.service.single_flight import SingleFlight

_log = logging.getLogger(__name__)

RENEW_AT = 0.75  # of the ttl
RETRY_S = 5.0  # an unreachable KMS is asked again after it, in the background
AWAY_S = 60.0  # this long nobody else waits for a KMS that was unreachable; the background finds out sooner
_AT_ONCE = 4


class Guard(Protocol):
    """What this module needs of ``s3proxy.keys.guard.KeyGuard``."""

    async def require(self, name: str) -> None:
        """Return if something may be sealed under a policy."""

    async def confirm(self, name: str) -> None:
        """Return if the key that has just wrapped is the one of the keyring."""

    def doubt(self, name: str) -> None:
        """Have a policy tried anew before anything is sealed under it."""

    async def replaced(self, name: str) -> KeyNotAvailableError | None:
        """Return the refusal of what does not unwrap, if the policy's key is known to be another one by now."""


@dataclass(frozen=True)
class Seal:
    """A key that objects are sealed under, without itself: what each of these objects has in its header.

    Attributes:
        key_id: of the key.
        wrapped: the key.
        made: when, by the clock that all processes of a machine share.
    """

    key_id: bytes
    wrapped: bytes
    made: float


@dataclass
class _Current:
    key: BucketKey
    made: float
    uses: int = 0


class BucketKeys:
    """The bucket keys of one process."""

    def __init__(  # noqa: PLR0913 - what there is to know
        self,
        keks: Mapping[str, Kek],
        limits: KeyLimits,
        *,
        keyring: Records,
        guard: Guard,
        clock: Callable[[], float] = time.monotonic,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take the KEK of each policy.

        Args:
            keks: by name of the policy.
            limits: of time and use.
            keyring: where records of bucket keys are kept.
            guard: asked before a new bucket key is made.
            clock: seconds.
            count: told ``hit``, ``miss`` or ``kept`` (used while the KMS was unreachable) for each key asked for.
        """
        self._keks, self._limits = keks, limits
        self._keyring, self._guard = keyring, guard
        self._clock, self._count = clock, count
        self._current: dict[str, _Current] = {}
        self._opened = OpenedKeys(limits)
        self._lent: dict[str, Seal] = {}
        self._calls = SingleFlight(
            limits.wait_s,
            (f"no bucket key within {limits.wait_s:g} s", "KMS or keyring is slow; see their own log"),
        )
        self._away_until = self._retry_at = float("-inf")

    def use(self, keks: Mapping[str, Kek]) -> None:
        """Go on with other KEKs: keys of a policy whose KEK is another one now are forgotten."""
        gone = {name for name, kek in self._keks.items() if keks.get(name) is not kek}
        self._keks = keks
        self._forget(gone)

    def revoke(self, policy: str) -> None:
        """Forget what was unwrapped by the KEK of a policy: the KMS refuses it."""
        kek = self._keks.get(policy)
        self._guard.doubt(policy)
        self._forget({name for name, other in self._keks.items() if other is kek})

    def _forget(self, policies: set[str]) -> None:
        self._current = {name: current for name, current in self._current.items() if name not in policies}
        self._lent = {name: seal for name, seal in self._lent.items() if name not in policies}
        self._opened.forget(policies)

    async def to_seal(self, policy: str) -> BucketKey:
        """Return the key that new objects of a policy are sealed under.

        Raises:
            UnavailableError: there is none, and the KMS cannot be reached, or the keyring.
            KeyNotAvailableError: the policy's key is refused, or is not the one of its keyring.
        """
        if (key := self.seals_now(policy)) is not None:
            self.note_sealed(policy)
            return key
        current = self._current.get(policy)
        if current is not None and self._is_away and self._may_outlive(current, self._clock()):
            self._count("kept")
        else:
            self._count("miss")
            current = await self._replaced(policy, current)
        current.uses += 1
        return current.key

    def seals_now(self, policy: str) -> BucketKey | None:
        """Return what ``to_seal`` returns without asking anybody, else None; ``note_sealed`` counts its use."""
        current = self._current.get(policy)
        if current is None or self._spent(current, self._clock(), self._limits.bucket_key_ttl_s):
            return None
        return current.key

    def note_sealed(self, policy: str) -> None:
        """Count the use of what ``seals_now`` has returned just now."""
        self._count("hit")
        self._current[policy].uses += 1

    def opens_now(self, header: Header, readable: frozenset[str]) -> Secret | None:
        """Return what ``to_open`` returns without asking anybody, else None; ``note_opened`` counts its use."""
        if header.policy not in readable or header.policy not in self._keks:
            return None
        return self._opened.fresh((header.policy, header.key_id), self._clock())

    def note_opened(self) -> None:
        """Count the use of what ``opens_now`` has returned."""
        self._count("hit")

    async def to_open(self, header: Header, readable: frozenset[str]) -> Secret:
        """Return the key that a header names.

        Args:
            header: not authentic yet.
            readable: names of the policies that are configured for the object's name.

        Raises:
            UnavailableError: the KMS cannot be reached.
            KeyNotAvailableError: the key cannot be had until somebody brings it back.
            RefusedError: rule 6.
        """
        policy, name = header.policy, (header.policy, header.key_id)
        if policy not in readable or policy not in self._keks:
            raise await foreign(self._keyring, name)
        if (found := self.opens_now(header, readable)) is not None:
            self.note_opened()
            return found
        if self._is_away and (kept := self._opened.kept(name, self._clock())):
            self._count("kept")
            return kept
        self._count("miss")
        try:
            return await self._calls.share(name, lambda: self._unwrap(name, header.wrapped_key))
        except UnavailableError as error:
            self._note_outage(error)
            if self._is_away and (kept := self._opened.kept(name, self._clock())):
                return kept
            raise

    @property
    def without_kms_s(self) -> float:
        """For how long keys that are here may be used while the KMS is unreachable; 0 if there are none."""
        now, limits = self._clock(), self._limits
        seal_s = limits.bucket_key_ttl_s + limits.unwrap_grace_s if limits.bucket_key_ttl_s else 0.0
        seals = (current.made + seal_s - now for current in self._current.values())
        return max([0.0, self._opened.left_s(now), *seals])

    @property
    def held(self) -> int:
        """How many unwrapped keys are here."""
        return len(self._opened)

    @property
    def _is_away(self) -> bool:
        """Whether the KMS was unreachable when it was last asked."""
        return self._clock() < self._away_until

    async def follow(self) -> None:
        """Replace and confirm the keys in use whose time it is; call it every second or so. Never fails."""
        if self._clock() < self._retry_at:
            return
        try:
            for policy, current in list(self._current.items()):
                renew_s = self._limits.bucket_key_ttl_s * RENEW_AT
                if renew_s and current.uses and self._clock() >= current.made + renew_s:
                    await self._confirm_seal(policy)
            await self._confirm(self._opened.due(self._clock()))
        except UnavailableError as error:
            self._note_outage(error)

    async def warm(self, keys: Mapping[KeyName, bytes]) -> bool:
        """Unwrap keys that others use and that are not here, and take all of them for in use.

        Args:
            keys: each with what it is unwrapped from.

        Returns:
            Whether that is done; else the KMS is unreachable.
        """
        if self._clock() < self._retry_at:
            return False
        missing = [item for item in keys.items() if item[0] not in self._opened and item[0][0] in self._keks]
        try:
            await self._confirm(missing[: self._opened.room])
        except UnavailableError as error:
            self._note_outage(error)
            return False
        self._opened.want(keys, self._clock())
        return True

    def lend(self, seals: Mapping[str, Seal]) -> None:
        """Take keys that another process seals under, by policy: for an outage that finds this one without."""
        for policy, seal in seals.items():
            if policy not in self._lent or self._lent[policy].made < seal.made:
                self._lent[policy] = seal

    def in_use(self) -> tuple[dict[KeyName, bytes], dict[str, Seal]]:
        """Return the keys that requests have used, each with what it was unwrapped from, and what is sealed under.

        No secret is among it: every header has the same.
        """
        seals = {
            policy: Seal(current.key.key_id, current.key.wrapped, current.made)
            for policy, current in self._current.items()
            if current.uses
        }
        return dict(self._opened.in_use(self._clock())), seals

    async def _confirm(self, names: list[tuple[KeyName, bytes]]) -> None:
        """Unwrap keys again; what is refused is forgotten.

        Raises:
            UnavailableError: the KMS, or the keyring, cannot be reached; the rest waits.
        """
        for at in range(0, len(names), _AT_ONCE):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._confirm_one(*item)) for item in names[at : at + _AT_ONCE]]
            for task in tasks:
                if error := task.result():
                    raise error

    async def _confirm_one(self, name: KeyName, wrapped: bytes) -> UnavailableError | None:
        """Unwrap a key again; return the outage that kept it from being confirmed."""
        try:
            await self._calls.share(name, lambda: self._unwrap(name, wrapped, used=False))
        except UnavailableError as error:
            return error
        except StrongroomError as error:
            self._opened.drop(name)
            fields = {"key": record_name(*name), "reason": error.message, "hint": error.hint}
            log_event(_log, logging.WARNING, "bucket_key_refused", fields)
        return None

    async def _confirm_seal(self, policy: str) -> None:
        try:
            await self._calls.share(("seal", policy), lambda: self._make(policy))
        except UnavailableError:
            raise
        except StrongroomError as error:  # the present key serves until it is spent, unless it was revoked
            self._retry_at = self._clock() + RETRY_S
            fields = {"policy": policy, "reason": error.message, "hint": error.hint}
            log_event(_log, logging.WARNING, "bucket_key_not_replaced", fields)

    def _spent(self, current: _Current, now: float, ttl_s: float) -> bool:
        return now - current.made >= ttl_s or current.uses >= self._limits.bucket_key_uses

    def _may_outlive(self, current: _Current, now: float) -> bool:
        """Whether a spent key may be used while the KMS is unreachable."""
        ttl_s = self._limits.bucket_key_ttl_s
        return bool(ttl_s) and not self._spent(current, now, ttl_s + self._limits.unwrap_grace_s)

    async def _replaced(self, policy: str, current: _Current | None) -> _Current:
        """Return a new key, or the spent one while the KMS is unreachable.

        Raises:
            StrongroomError: there is none.
        """
        try:
            return await self._calls.share(("seal", policy), lambda: self._make(policy))
        except UnavailableError as error:
            self._note_outage(error)
            current = current or self._borrowed(policy)
            if current is not None and self._is_away and self._may_outlive(current, self._clock()):
                self._current[policy] = current
                return current
            raise

    def _borrowed(self, policy: str) -> _Current | None:
        """Return the key that another process seals under, if it was unwrapped here."""
        seal = self._lent.get(policy)
        secret = self._opened.kept((policy, seal.key_id), self._clock()) if seal else None
        if seal is None or secret is None:
            return None
        return _Current(BucketKey(seal.key_id, policy, secret, seal.wrapped), seal.made)

    def _note_outage(self, error: UnavailableError) -> None:
        """Remember that the KMS is unreachable. A refused login is an answer: nothing is kept longer for it."""
        now = self._clock()
        self._retry_at = now + RETRY_S
        if isinstance(error, LoginRefusedError):
            self._away_until = float("-inf")
            return
        if not self._is_away:
            fields: dict[str, str | int] = {"reason": error.message, "hint": error.hint}
            log_event(_log, logging.WARNING, "key_service_away", fields | {"keys_kept_s": round(self.without_kms_s)})
        self._away_until = now + AWAY_S

    def _note_answer(self) -> None:
        if self._is_away:
            log_event(_log, logging.INFO, "key_service_back")
        self._away_until = self._retry_at = float("-inf")

    async def _make(self, policy: str) -> _Current:
        secret, key_id = Secret(os.urandom(BUCKET_KEY_BYTES)), os.urandom(ID_BYTES)
        kek = self._keks.get(policy)
        if kek is None:
            msg = f"policy {policy} was taken out of the policy file just now"
            raise UnavailableError(msg, hint="the client may come again")
        await self._guard.require(policy)
        try:
            fresh = await kek.wrap(secret, policy=policy, key_id=key_id)
        except KeyNotAvailableError:
            self._guard.doubt(policy)
            raise
        await self._guard.confirm(policy)
        try:
            await self._keyring.keep(policy, key_id, fresh)  # before anything is sealed under it
        except S3Error as error:
            raise UnavailableError(error.message, hint=error.hint) from error
        self._note_answer()
        wrapped = fresh.encode()
        current = _Current(BucketKey(key_id, policy, secret, wrapped), self._clock())
        if self._keks.get(policy) is kek:  # else it was replaced meanwhile, and this key serves its request only
            self._current[policy] = current
            self._opened.keep((policy, key_id), secret, wrapped, now=self._clock())
        return current

    async def _unwrap(self, name: KeyName, wrapped: bytes, *, used: bool = True) -> Secret:
        policy, _ = name
        kek = self._keks.get(policy)
        if kek is None:
            raise no_policy(policy)
        try:
            secret, opened = await unwrap_key(self._keyring, kek, name, wrapped)
        except KeyNotAvailableError as error:
            if error.cause in REVOKED and self._keks.get(policy) is kek:
                self.revoke(policy)
            raise
        except RefusedError as error:
            raise await self._guard.replaced(policy) or error from error
        self._note_answer()
        if self._keks.get(policy) is kek:
            self._opened.keep(name, secret, opened, now=self._clock(), used=used)
        return secret
