"""What tells whether a key is the one that a policy's objects were sealed under: a witness, other records, an object.

A policy without a witness is new, or older than witnesses, or its keyring is lost. Other records of it tell, and where
there is none an object does. Only when there is nothing at all is a policy taken for new.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from s3proxy.keys.kek import Cause, Kek, KeyNotAvailableError
from s3proxy.keys.keyring import PREFIX, WITNESS_ID
from s3proxy.keys.policies import Policy
from strongroom.errors import IntegrityError, StrongroomError, UnavailableError
from strongroom.sealed.header import Header
from strongroom.sealed.keyring import KeyRecord, record_name
from strongroom.sealed.wrapping import WrappedKey, parse_wrapped

_SOME_RECORDS: Final = 8
_RESTORE: Final = (
    "restore keyring/{name}/ in the system bucket from a backup, and retire no version of the key before that; without"
    " a backup strongroom s3 reseal --all makes new records, while the objects still open (docs/recovery.md)"
)


class Records(Protocol):
    """What this module needs of ``s3proxy.keys.keyring.Keyring``."""

    async def read(self, name: str) -> KeyRecord | None:
        """Return the record of a name, or None."""

    def names(self, policy: str = "") -> AsyncIterator[str]:
        """Give the names of the records of a policy."""


Fits = Callable[[Header], Awaitable[bool]]


class Samples(Protocol):
    """What this module needs of ``s3proxy.keys.sample.Sampler``."""

    async def find(self, policy: Policy, *, fits: Fits | None = None) -> tuple[str, Header] | None:
        """Return the name and the header of an object that was sealed under a policy, and whose header fits."""


@dataclass(frozen=True)
class Seen:
    """What tells that a key is the right one.

    Attributes:
        witness: as it was opened, None if other things tell.
        is_kept: whether a witness that may be there is left as it is.
        is_new: whether nothing was ever sealed under the policy.
        is_lost: whether its keyring is about to be begun anew although something was sealed under it.
        note: what is not well.
    """

    witness: WrappedKey | None = None
    is_kept: bool = False
    is_new: bool = False
    is_lost: bool = False
    note: str = ""

    def wants(self, trial: WrappedKey) -> bool:
        """Whether what the KEK has just wrapped is to be the witness, which is to be of the newest version."""
        if self.witness is None:
            return not self.is_kept
        return self.witness.form is not trial.form or self.witness.version < trial.version


class Evidence:
    """Looks for it."""

    def __init__(self, keyring: Records, samples: Samples) -> None:
        """Take the records, and what finds objects of a policy."""
        self._keyring = keyring
        self._samples = samples

    async def look(self, policy: Policy, kek: Kek) -> Seen:
        """Find out whether the KEK opens what it wrapped before.

        Raises:
            KeyNotAvailableError: it does not.
            StrongroomError: that cannot be found out now.
        """
        for former in policy.formerly:
            await self._look_at_records(policy, kek, former)
        found = await self._look_at_records(policy, kek, policy.name)
        return found or await self._look_at_objects(policy, kek)

    async def _look_at_records(self, policy: Policy, kek: Kek, owner: str) -> Seen | None:
        """Find out the same from the records of a name that the policy has or had, None if there are none.

        Raises:
            StrongroomError: as ``look``.
        """
        notes: list[str] = []
        refusals: list[str] = []
        async for name, record in self._records(owner):
            if record is None:
                continue
            note, refusal = await _complaint(kek, owner, name, record)
            is_witness = record.key_id == WITNESS_ID
            if not note and not refusal:  # a keyring begins with its witness: it is gone where others tell
                return Seen(record.wrapped) if is_witness else Seen(is_lost=True)
            if refusal and is_witness:  # other records may be of the wrong key
                raise _other_key(policy, refusal)
            notes += filter(None, [note])
            refusals += filter(None, [refusal])
        if notes:
            return Seen(is_kept=True, note=f"{notes[0]}; run strongroom s3 rewrap")
        if refusals:
            raise _other_key(policy, refusals[0])
        return None

    async def _look_at_objects(self, policy: Policy, kek: Kek) -> Seen:
        """Find out whether a policy without any record is new."""
        try:
            found = await self._samples.find(policy)
        except UnavailableError:
            raise
        except StrongroomError as error:
            note = f"whether anything is sealed under {policy.name} is not known: the store answers: {error.message}"
            return Seen(note=note)
        if found is None:
            return Seen(is_new=True)
        where, header = found
        lost = f"the keyring has no record of {policy.name}, under which {where} is sealed"
        if not header.wrapped_key:
            raise KeyNotAvailableError(Cause.NO_RECORD, lost, hint=_RESTORE.format(name=policy.name))
        try:
            await kek.unwrap(parse_wrapped(header.wrapped_key), policy=policy.name, key_id=header.key_id)
        except KeyNotAvailableError as error:
            if error.cause is not Cause.RETIRED:
                raise
            lost = f"{lost}; {error.message}"
        except IntegrityError as error:
            raise _other_key(policy, f"{where}: {error.message}") from error
        return Seen(is_lost=True, note=lost)

    async def _records(self, policy: str) -> AsyncIterator[tuple[str, KeyRecord | None]]:
        """Give the witness, and a few other records behind it; what is not a record raises when it is reached."""
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

    async def lost(self, policy: Policy) -> KeyNotAvailableError | None:
        """Return why the keyring lacks a record of a policy, None if a few objects that it has are recorded.

        Raises:
            UnavailableError: the store cannot be reached.
        """
        try:
            return await self.unrecorded(policy)
        except UnavailableError:
            raise
        except StrongroomError as error:
            msg = f"whether the keyring lacks a record of {policy.name} is not known, as the store does not tell"
            return KeyNotAvailableError(Cause.NO_RECORD, f"{msg}: {error.message}", hint=error.hint)

    async def unrecorded(self, policy: Policy) -> KeyNotAvailableError | None:
        """Return the same as ``lost``, but for a store that does not tell.

        Raises:
            StrongroomError: it does not, or cannot be reached.
        """
        name = policy.name

        async def fits(header: Header) -> bool:
            return await self._read(record_name(name, header.key_id)) is None

        found = await self._samples.find(policy, fits=fits)
        if found is None:
            return None
        record = f"{PREFIX}{record_name(name, found[1].key_id)}"
        msg = f"the keyring has no record of {name}, under which {found[0]} is sealed: {record} is missing or damaged"
        return KeyNotAvailableError(Cause.NO_RECORD, msg, hint=_RESTORE.format(name=name))


async def _complaint(kek: Kek, owner: str, name: str, record: KeyRecord) -> tuple[str, str]:
    """Return what is not well with a record of the right key, and why it is none; "" for both if it opens.

    Raises:
        StrongroomError: that cannot be found out now, or the KMS refuses the key as such.
    """
    try:
        await kek.unwrap(record.wrapped, policy=owner, key_id=record.key_id)
    except KeyNotAvailableError as error:
        if error.cause is Cause.RETIRED:  # only the right key has versions that were retired
            return error.message, ""
        if error.cause is Cause.TOO_NEW:
            return "", error.message
        raise
    except IntegrityError as error:
        return "", f"{PREFIX}{name}: {error.message}"
    return "", ""


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
