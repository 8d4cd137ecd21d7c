"""A change of the KEK: the records of the keyring are wrapped anew, under the newest version of their policy's KEK.

No object is read or written. What was done stays done, so a run that was aborted is simply begun again. The engine's
own ``rewrap`` takes no associated data; so bucket keys are unwrapped and wrapped, in the memory of this process.
"""

import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from s3proxy.keys.kek import Cause, Kek, KeyNotAvailableError
from s3proxy.keys.keyring import WITNESS_ID
from s3proxy.store.listing import for_each
from strongroom.errors import StrongroomError, UnavailableError
from strongroom.sealed.header import ID_BYTES
from strongroom.sealed.keyring import KeyRecord
from strongroom.sealed.wrapping import BUCKET_KEY_BYTES, WrappedKey
from strongroom.secret import Secret

_AT_ONCE: Final = 8


class Records(Protocol):
    """What this module needs of ``s3proxy.keys.keyring.Keyring``."""

    async def read(self, name: str) -> KeyRecord | None:
        """Return the record of a name, or None."""

    async def write(self, record: KeyRecord) -> None:
        """Write a record, instead of what stands there."""

    def names(self, policy: str = "") -> AsyncIterator[str]:
        """Give the names of all records, or of those of one policy."""


class Guard(Protocol):
    """What this module needs of ``s3proxy.keys.guard.KeyGuard``."""

    async def lost(self, name: str) -> StrongroomError | None:
        """Return why the keyring lacks a record of a policy, None if it seems to lack none."""

    async def confirm_rewrap(self, name: str) -> None:
        """Return if the key that has just wrapped is the one of the keyring."""


@dataclass
class RewrapReport:
    """What became of the records.

    Attributes:
        newest: what bucket keys are wrapped as now, by policy: form and version of the KEK.
        current: records that were wrapped so before, by policy.
        rewrapped: records that are now; in a dry run: that would be.
        failed: why the others are not, by name.
        lost: why the keyring lacks records of a policy, by its name.
    """

    newest: dict[str, tuple[str, int]] = field(default_factory=dict)
    current: Counter[str] = field(default_factory=Counter)
    rewrapped: Counter[str] = field(default_factory=Counter)
    failed: dict[str, StrongroomError] = field(default_factory=dict)
    lost: dict[str, StrongroomError] = field(default_factory=dict)


class Rewrapper:
    """Goes through a keyring once."""

    def __init__(
        self,
        keyring: Records,
        keks: dict[str, Kek],
        *,
        guard: Guard,
        dry_run: bool,
        progress: Callable[[RewrapReport], None] = lambda _: None,
    ) -> None:
        """Take the records, the KEK of each policy, what knows the right KEK, and who is told after each record."""
        self._keyring = keyring
        self._keks = keks
        self._guard = guard
        self._dry_run = dry_run
        self._progress = progress
        self.report = RewrapReport()

    async def run(self) -> RewrapReport:
        """Rewrap every record that is not of the newest version.

        Raises:
            UnavailableError: store or KMS are away; what was done is done.
            KeyNotAvailableError: OpenBao refuses a key.
            StrongroomError: the store refuses to list the records.
        """
        for policy, kek in self._keks.items():
            trial = await kek.wrap(Secret(bytes(BUCKET_KEY_BYTES)), policy=policy, key_id=os.urandom(ID_BYTES))
            self.report.newest[policy] = _place(trial)
        await for_each(self._keyring.names(), self._one, at_once=_AT_ONCE)
        for policy in self._keks:
            # Records that the proxy has made since do not show that those of before are there.
            if lost := await self._guard.lost(policy):
                self.report.lost[policy] = lost
        return self.report

    async def _one(self, name: str) -> None:
        try:
            record = await self._keyring.read(name)
            if record is not None:  # deleted since it was listed
                await self._rewrap(record)
        except UnavailableError:
            raise
        except StrongroomError as error:
            self.report.failed[name] = error
        self._progress(self.report)

    async def _rewrap(self, record: KeyRecord) -> None:
        policy, kek = record.policy, self._keks.get(record.policy)
        if kek is None:
            msg = f"policy {policy} is not in the policy file"
            hint = (
                f'if it was renamed, add formerly = ["{policy}"] where its new name is; if not, name it again. Its'
                " records are worth keeping: without them what is sealed under it may never open again"
            )
            raise KeyNotAvailableError(Cause.NO_POLICY, msg, hint=hint)
        counts = record.key_id != WITNESS_ID  # which is rewrapped like all others, and is nobody's key
        secret = await kek.unwrap(record.wrapped, policy=policy, key_id=record.key_id)
        if _place(record.wrapped) == self.report.newest[policy]:
            self.report.current[policy] += counts
            return
        if not self._dry_run:
            fresh = await kek.wrap(secret, policy=policy, key_id=record.key_id)
            await self._guard.confirm_rewrap(policy)  # a key made anew meanwhile would be lost with the next restore
            await self._keyring.write(record.rewrapped(fresh))
        self.report.rewrapped[policy] += counts


def _place(wrapped: WrappedKey) -> tuple[str, int]:
    return wrapped.form.name.lower().replace("_", " "), wrapped.version
