"""Whether the key of each policy is the one that its objects were sealed under: tried at load, and again and again.

Nothing may be sealed under a key that the older objects of a policy do not have: a transit key that was lost and made
anew wraps happily, and what it wraps is lost as soon as the right one is restored. So each policy has a witness in the
keyring: a record that nothing is sealed under. While the KEK opens the witness it is the right one.

What tells where there is no witness is the matter of ``evidence``; here is when it is asked for, and what follows.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from s3proxy.keys.evidence import Evidence, Seen
from s3proxy.keys.kek import REVOKED, Cause, Kek, KeyNotAvailableError
from s3proxy.keys.keyring import WITNESS_ID
from s3proxy.keys.policies import Policy, sealing_policies
from strongroom.errors import StrongroomError, UnavailableError
from strongroom.sealed.wrapping import BUCKET_KEY_BYTES, WrappedKey
from strongroom.secret import Secret
from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)
CHECK_EVERY_S: Final = 30.0
SEAL_FRESH_S: Final = 5.0  # what was found out this lately need not be asked again before a new bucket key is made
RETRY_S: Final = 2.0  # after a refusal, for a request that wants to seal: anyone who puts it right is served soon


class Witnesses(Protocol):
    """What this module needs of ``s3proxy.keys.keyring.Keyring``."""

    async def keep(self, policy: str, key_id: bytes, wrapped: WrappedKey) -> None:
        """Write a record."""


@dataclass(frozen=True)
class PolicyState:
    """What was last found out about the key of a policy.

    Attributes:
        checked: when, by the clock.
        opening: why objects cannot be opened, None while they can.
        sealing: why nothing can be sealed, None while it can.
        note: what is not well, though both can; "" for nothing.
    """

    checked: float
    opening: StrongroomError | None = None
    sealing: StrongroomError | None = None
    note: str = ""

    @property
    def is_well(self) -> bool:
        """Whether objects can be opened and sealed."""
        return self.opening is None and self.sealing is None

    @property
    def detail(self) -> str:
        """A line for a person."""
        errors = [error.message for error in (self.opening, self.sealing) if error is not None]
        return "; ".join(dict.fromkeys([*errors, self.note] if self.note else errors)) or "opens and seals"


class KeyGuard:
    """Looks after the keys of the policies in force.

    Attributes:
        states: of each policy that was tried, by its name.
    """

    def __init__(
        self,
        keyring: Witnesses,
        evidence: Evidence,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_revoked: Callable[[str], None] = lambda _: None,
        on_lost: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take where witnesses are kept.

        Args:
            keyring: the records.
            evidence: tells whether a key is the right one.
            clock: seconds.
            on_revoked: told the name of a policy whose key OpenBao refuses.
            on_lost: told the name of a policy whose keyring is lost, or on its way to it, and is begun anew.
        """
        self._keyring = keyring
        self._evidence = evidence
        self._clock = clock
        self._on_revoked = on_revoked
        self._on_lost = on_lost
        self._policies: dict[str, Policy] = {}
        self._keks: Mapping[str, Kek] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self.states: dict[str, PolicyState] = {}

    def use(self, policies: Iterable[Policy], keks: Mapping[str, Kek]) -> None:
        """Go on with other policies; what is known of keys that stay is kept."""
        wanted = sealing_policies(policies)
        kept = {name for name in wanted if self._keks.get(name) is keks[name]}
        self.states = {name: state for name, state in self.states.items() if name in kept}
        self._policies, self._keks = wanted, keks

    @property
    def names(self) -> list[str]:
        """The policies that something is sealed under."""
        return list(self._policies)

    def counts(self) -> dict[str, int]:
        """Return how many policies are well, and how many have a key that cannot be used."""
        well = sum(state.is_well for state in self.states.values())
        return {"well": well, "refused": len(self.states) - well}

    async def check(self) -> None:
        """Try each policy whose time it is. Never fails: what is found out is kept in ``states``, and logged."""
        for name in list(self._policies):
            state = self.states.get(name)
            if state is None or self._clock() >= state.checked + CHECK_EVERY_S:
                await self._refresh(name, older_than=self._clock())

    async def lost(self, name: str) -> KeyNotAvailableError | None:
        """Return why the keyring lacks a record of a policy, None if it seems to lack none.

        Raises:
            UnavailableError: the store cannot be reached.
        """
        policy = self._policies.get(name)
        return (
            await self._evidence.lost(policy) if policy else None
        )  # of a name that it had before nothing need be left

    async def require(self, name: str) -> None:
        """Return if something may be sealed under a policy.

        Raises:
            KeyNotAvailableError: its key is not there, or is not the one of its keyring.
            UnavailableError: that cannot be found out now.
            PeerError: the KMS answers nonsense.
        """
        state = self.states.get(name)
        now = self._clock()
        fresh_s = SEAL_FRESH_S if state is not None and state.is_well else RETRY_S
        if state is None or now >= state.checked + fresh_s:
            state = await self._refresh(name, older_than=now)
        error = state.opening or state.sealing
        if isinstance(error, KeyNotAvailableError):
            raise KeyNotAvailableError(error.cause, error.message, hint=error.hint)
        if error is not None:
            raise error.with_traceback(None)  # it is kept, and would keep the frames of all who were told

    async def confirm(self, name: str) -> None:
        """Return if the key of a policy is the one of its keyring, now that it has wrapped a bucket key.

        Between ``require`` and the wrapping it may have been deleted and made anew. What opens only under that key is
        lost when the right one is restored.

        Raises:
            KeyNotAvailableError: it is another one.
            StrongroomError: that cannot be found out now.
        """
        policy, kek = self._policies.get(name), self._keks.get(name)
        if policy is None or kek is None:
            raise _taken_out(name)
        try:
            await self._evidence.look(policy, kek)
        except StrongroomError:
            self.doubt(name)
            raise

    async def confirm_rewrap(self, name: str) -> None:
        """Return if what a policy's key has just wrapped may take the place of a record, by any name of the policy.

        Raises:
            StrongroomError: as ``confirm``.
        """
        owner = self._owner(name)
        if owner is not None:  # else nothing is sealed under it, and no witness is kept
            await self.confirm(owner)

    def doubt(self, name: str) -> None:
        """Find out about a policy anew before anything is sealed under it: the KMS has refused its key."""
        if state := self.states.get(name):
            self.states[name] = replace(state, checked=float("-inf"))

    async def replaced(self, name: str) -> KeyNotAvailableError | None:
        """Return the refusal of what does not unwrap, if the key of its policy is another one by now.

        Args:
            name: that the policy has or had.
        """
        owner = self._owner(name)
        if owner is None:
            return None
        state = self.states.get(owner)
        error = state.opening if state else await self._refusal(owner)
        if isinstance(error, KeyNotAvailableError) and error.cause is Cause.OTHER_KEY:
            return KeyNotAvailableError(Cause.OTHER_KEY, error.message, hint=error.hint)
        return None

    async def _refusal(self, name: str) -> StrongroomError | None:
        """Return why a key that was not tried yet is refused. Nothing is written: dry runs come here, too."""
        try:
            await self._evidence.look(self._policies[name], self._keks[name])
        except StrongroomError as error:
            return error
        return None

    def _owner(self, name: str) -> str | None:
        return next((policy.name for policy in self._policies.values() if name in policy.names), None)

    async def _refresh(self, name: str, *, older_than: float) -> PolicyState:
        """Try a policy, once for all who ask for it now."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            state = self.states.get(name)
            if state is not None and state.checked > older_than:
                return state
            policy, kek = self._policies.get(name), self._keks.get(name)
            if policy is None or kek is None:
                raise _taken_out(name)
            fresh = await self._try(policy, kek)
            if self._keks.get(name) is kek:  # else it was replaced meanwhile
                self._note(name, state, fresh)
            return fresh

    async def _try(self, policy: Policy, kek: Kek) -> PolicyState:
        opening: StrongroomError | None = None
        sealing: StrongroomError | None = None
        seen = Seen()
        try:
            seen = await self._evidence.look(policy, kek)
        except StrongroomError as error:
            opening = error
        if seen.is_lost:
            self._on_lost(policy.name)
        trial: WrappedKey | None = None
        try:
            trial = await kek.wrap(Secret(os.urandom(BUCKET_KEY_BYTES)), policy=policy.name, key_id=WITNESS_ID)
        except KeyNotAvailableError as error:
            hint = error.when_new if seen.is_new and error.when_new else error.hint
            sealing = KeyNotAvailableError(error.cause, error.message, hint=hint)
        except StrongroomError as error:
            sealing = error
        if trial is not None and opening is None and seen.wants(trial):
            try:
                await self._keyring.keep(policy.name, WITNESS_ID, trial)
            except StrongroomError as error:
                sealing = error
        return PolicyState(self._clock(), opening, sealing, seen.note)

    def _note(self, name: str, before: PolicyState | None, fresh: PolicyState) -> None:
        """Keep what was found out, and tell what has changed. An outage says nothing about a key."""
        outage = any(isinstance(error, UnavailableError) for error in (fresh.opening, fresh.sealing))
        if outage and before is not None:
            self.states[name] = replace(before, checked=fresh.checked)
            return
        self.states[name] = fresh
        if isinstance(fresh.opening, KeyNotAvailableError) and fresh.opening.cause in REVOKED:
            self._on_revoked(name)
            self.states[name] = fresh  # nothing to doubt
        if before is not None and before.detail == fresh.detail:
            return
        error = fresh.opening or fresh.sealing
        if error is not None:
            fields = {"policy": name, "reason": error.message, "hint": error.hint}
            log_event(_log, logging.ERROR, "policy_key_refused", fields)
        elif fresh.note:
            log_event(_log, logging.WARNING, "policy_key_noted", {"policy": name, "reason": fresh.note})
        else:
            log_event(_log, logging.INFO, "policy_key_works", {"policy": name})


def _taken_out(name: str) -> UnavailableError:
    return UnavailableError(
        f"policy {name} was taken out of the policy file just now", hint="the client may come again"
    )
