"""Whether the key of each policy is the one that its objects were sealed under: tried at load, and again and again.

Nothing may be sealed under a key that the older objects of a policy do not have: a transit key that was lost and made
anew wraps happily, and what it wraps is lost as soon as the right one is restored. So each policy has a witness in the
keyring: a record that nothing is sealed under. While the KEK opens the witness it is the right one.

A policy without a witness is new, or older than witnesses, or its keyring is lost. Other records of it tell, and where
there is none an object does. Only when there is nothing at all is a policy taken for new.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from s3proxy.keys.kek import Kek
from s3proxy.keys.keyring import PREFIX, WITNESS_ID
from s3proxy.keys.not_available import REVOKED, Cause, KeyNotAvailableError
from s3proxy.keys.policies import Mode, Policy
from strongroom.errors import IntegrityError, StrongroomError, UnavailableError
from strongroom.logs import log_event
from strongroom.sealed.header import Header
from strongroom.sealed.keyring import KeyRecord, record_name
from strongroom.sealed.wrapping import BUCKET_KEY_BYTES, WrappedKey, parse_wrapped
from strongroom.secret import Secret

_log = logging.getLogger(__name__)
CHECK_EVERY_S: Final = 30.0
SEAL_FRESH_S: Final = 5.0  # what was found out this lately need not be asked again before a new bucket key is made
RETRY_S: Final = 2.0  # after a refusal, for a request that wants to seal: whoever puts it right is served soon
_SOME_RECORDS: Final = 8
_RESTORE: Final = (
    "restore keyring/{name}/ in the system bucket from a backup, and retire no version of the key before that; without"
    " a backup strongroom s3 reseal --all makes new records, while the objects still open"
)


class Witnesses(Protocol):
    """What this module needs of ``s3proxy.keys.keyring.Keyring``."""

    async def read(self, name: str) -> KeyRecord | None:
        """Return the record of a name, or None."""

    async def keep(self, policy: str, key_id: bytes, wrapped: WrappedKey) -> None:
        """Write a record."""

    def names(self, policy: str = "") -> AsyncIterator[str]:
        """Give the names of the records of a policy."""


class Samples(Protocol):
    """What this module needs of ``s3proxy.keys.sample.Sampler``."""

    async def find(self, policy: Policy) -> tuple[str, Header] | None:
        """Return the name and the header of an object that was sealed under a policy."""


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
        samples: Samples,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_revoked: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take where witnesses are kept.

        Args:
            keyring: the records.
            samples: finds objects of a policy.
            clock: seconds.
            on_revoked: told the name of a policy whose key OpenBao refuses.
        """
        self._keyring = keyring
        self._samples = samples
        self._clock = clock
        self._on_revoked = on_revoked
        self._policies: dict[str, Policy] = {}
        self._keks: Mapping[str, Kek] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self.states: dict[str, PolicyState] = {}

    def use(self, policies: Mapping[str, Policy], keks: Mapping[str, Kek]) -> None:
        """Go on with other policies; what is known of keys that stay is kept."""
        wanted = {name: policy for name, policy in policies.items() if policy.mode is not Mode.PASSTHROUGH}
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
        """Return why a policy that has no record should have some, None if nothing was ever sealed under it.

        Raises:
            UnavailableError: the store cannot be reached.
        """
        policy = self._policies.get(name)
        if policy is None:  # of a name that it had before nothing need be left
            return None
        try:
            found = await self._samples.find(policy)
        except UnavailableError:
            raise
        except StrongroomError as error:
            msg = f"the keyring has no record of {name}, and the store does not tell whether it should"
            return KeyNotAvailableError(Cause.NO_RECORD, f"{msg}: {error.message}", hint=error.hint)
        if found is None:
            return None
        msg = f"the keyring has no record of {name}, under which {found[0]} is sealed"
        return KeyNotAvailableError(Cause.NO_RECORD, msg, hint=_RESTORE.format(name=name))

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
            raise error

    def doubt(self, name: str) -> None:
        """Find out about a policy anew before anything is sealed under it: the KMS has refused its key."""
        if state := self.states.get(name):
            self.states[name] = replace(state, checked=float("-inf"))

    async def replaced(self, name: str) -> KeyNotAvailableError | None:
        """Return the refusal of what does not unwrap, if the key of its policy is another one by now.

        Args:
            name: that the policy has or had.
        """
        owner = next((policy.name for policy in self._policies.values() if name in policy.names), None)
        if owner is None:
            return None
        state = self.states.get(owner) or await self._refresh(owner, older_than=self._clock())
        error = state.opening
        if isinstance(error, KeyNotAvailableError) and error.cause is Cause.OTHER_KEY:
            return KeyNotAvailableError(Cause.OTHER_KEY, error.message, hint=error.hint)
        return None

    async def _refresh(self, name: str, *, older_than: float) -> PolicyState:
        """Try a policy, once for all who ask for it now."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            state = self.states.get(name)
            if state is not None and state.checked > older_than:
                return state
            policy, kek = self._policies.get(name), self._keks.get(name)
            if policy is None or kek is None:
                msg = f"policy {name} was taken out of the policy file just now"
                raise UnavailableError(msg, hint="the client may come again")
            fresh = await self._try(policy, kek)
            if self._keks.get(name) is kek:  # else it was replaced meanwhile
                self._note(name, state, fresh)
            return fresh

    async def _try(self, policy: Policy, kek: Kek) -> PolicyState:
        opening: StrongroomError | None = None
        sealing: StrongroomError | None = None
        note, is_new, has_witness = "", False, False
        try:
            has_witness, is_new, note = await self._look(policy, kek)
        except StrongroomError as error:
            opening = error
        trial: WrappedKey | None = None
        try:
            trial = await kek.wrap(Secret(os.urandom(BUCKET_KEY_BYTES)), policy=policy.name, key_id=WITNESS_ID)
        except KeyNotAvailableError as error:
            hint = error.when_new if is_new and error.when_new else error.hint
            sealing = KeyNotAvailableError(error.cause, error.message, hint=hint)
        except StrongroomError as error:
            sealing = error
        if trial is not None and opening is None and not has_witness:
            try:
                await self._keyring.keep(policy.name, WITNESS_ID, trial)
            except StrongroomError as error:
                sealing = error
        return PolicyState(self._clock(), opening, sealing, note)

    async def _look(self, policy: Policy, kek: Kek) -> tuple[bool, bool, str]:
        """Find out whether the KEK opens what it wrapped before.

        Returns:
            Whether there is a witness; whether nothing was ever sealed under the policy; what is not well.

        Raises:
            KeyNotAvailableError: it does not.
            StrongroomError: that cannot be found out now.
        """
        for former in policy.formerly:
            await self._look_at_records(policy, kek, former)
        found = await self._look_at_records(policy, kek, policy.name)
        return found or await self._look_at_objects(policy, kek)

    async def _look_at_records(self, policy: Policy, kek: Kek, owner: str) -> tuple[bool, bool, str] | None:
        """Find out the same from the records of a name that the policy has or had, None if there are none.

        Raises:
            StrongroomError: as ``_look``.
        """
        has_witness = False
        notes: list[str] = []
        refusals: list[str] = []
        async for name, record in self._records(owner):
            try:
                if record is None:
                    continue
                has_witness = has_witness or record.key_id == WITNESS_ID
                await kek.unwrap(record.wrapped, policy=owner, key_id=record.key_id)
            except KeyNotAvailableError as error:
                if error.cause not in {Cause.RETIRED, Cause.TOO_NEW}:
                    raise
                if error.cause is Cause.RETIRED:  # which says that the key is the one it was
                    notes.append(error.message)
                else:
                    refusals.append(error.message)
            except IntegrityError as error:
                refusals.append(f"{PREFIX}{name}: {error.message}")
            else:
                return has_witness, False, ""
        if notes:
            return has_witness, False, f"{notes[0]}; run strongroom s3 rewrap"
        if refusals:
            raise _other_key(policy, refusals[0])
        return None

    async def _look_at_objects(self, policy: Policy, kek: Kek) -> tuple[bool, bool, str]:
        """Find out whether a policy without any record is new."""
        try:
            found = await self._samples.find(policy)
        except UnavailableError:
            raise
        except StrongroomError as error:
            note = f"whether anything is sealed under {policy.name} is not known: the store answers: {error.message}"
            return False, False, note
        if found is None:
            return False, True, ""
        where, header = found
        lost = f"the keyring has no record of {policy.name}, under which {where} is sealed"
        hint = _RESTORE.format(name=policy.name)
        if not header.wrapped_key:
            raise KeyNotAvailableError(Cause.NO_RECORD, lost, hint=hint)
        try:
            await kek.unwrap(parse_wrapped(header.wrapped_key), policy=policy.name, key_id=header.key_id)
        except KeyNotAvailableError as error:
            if error.cause is not Cause.RETIRED:
                raise
            lost = f"{lost}; {error.message}"
        except IntegrityError as error:
            raise _other_key(policy, f"{where}: {error.message}") from error
        fields = {"policy": policy.name, "reason": lost, "hint": hint}
        log_event(_log, logging.ERROR, "keyring_lost", fields)
        return False, False, lost

    async def _records(self, policy: str) -> AsyncIterator[tuple[str, KeyRecord | None]]:
        """Give the witness, and a few other records behind it; what is no record raises when it is reached."""
        witness = record_name(policy, WITNESS_ID)
        yield witness, await self._read(witness)
        left = _SOME_RECORDS
        async for name in self._keyring.names(policy):
            if not left:
                return
            if name != witness:
                left -= 1
                yield name, await self._read(name)

    async def _read(self, name: str) -> KeyRecord | None:
        try:
            return await self._keyring.read(name)
        except IntegrityError:
            return None

    def _note(self, name: str, before: PolicyState | None, fresh: PolicyState) -> None:
        """Keep what was found out, and tell what has changed. An outage says nothing about a key."""
        outage = any(isinstance(error, UnavailableError) for error in (fresh.opening, fresh.sealing))
        if outage and before is not None:
            self.states[name] = replace(before, checked=fresh.checked)
            return
        self.states[name] = fresh
        if isinstance(fresh.opening, KeyNotAvailableError) and fresh.opening.cause in REVOKED:
            self._on_revoked(name)
            self.states[name] = fresh  # which is no news to be doubted
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


def _other_key(policy: Policy, reason: str) -> KeyNotAvailableError:
    msg = (
        f"the key of policy {policy.name} ({policy.kek}) is not the one that its keyring was wrapped under, and nothing"
        f" is sealed under it: {reason}"
    )
    hint = (
        "restore the key from the backup of OpenBao or of kek_file, or name the right one in kek; a new key needs a"
        " policy of a new name"
    )
    return KeyNotAvailableError(Cause.OTHER_KEY, msg, hint=hint)
