"""Whether objects have their records in the keyring: looked at now and then, on a few objects of each policy.

A keyring that was lost is begun anew by the next witness or bucket key, and looks whole from then on; so each process
looks for itself, and tells of a loss until it finds none. What a header says is not authentic: a store can have a loss
told that there is none of, and nothing is refused because of it.
"""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from s3proxy.keys.kek import KeyNotAvailableError
from s3proxy.keys.policies import Policy, sealing_policies
from strongroom.errors import StrongroomError, UnavailableError
from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)
EVERY_S: Final = 3600.0  # it costs the store some requests
STILL_LOST_EVERY_S: Final = 30.0  # while one is known: who has put it back waits to read that it is there
REFUSED_EVERY_S: Final = 300.0  # while the store refuses
RETRY_S: Final = 30.0  # after the store could not be reached


class Unrecorded(Protocol):
    """What this module needs of ``s3proxy.keys.evidence.Evidence``."""

    async def unrecorded(self, policy: Policy) -> KeyNotAvailableError | None:
        """Return why the keyring lacks a record of a policy, None if it seems to lack none."""


class LostRecords:
    """Looks for them.

    Attributes:
        reasons: by the names of policies, which record is missing, as far as it is known.
    """

    def __init__(self, evidence: Unrecorded, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Take what looks at objects and records."""
        self._evidence = evidence
        self._clock = clock
        self._due: dict[str, float] = {}
        self._doubted: set[str] = set()
        self.reasons: dict[str, str] = {}

    def look_again(self) -> None:
        """Look anew at the next ``follow``: the policy file was loaded."""
        self._due = {}

    def doubt(self, name: str) -> None:
        """Look at a policy at the next ``follow``: its keyring was found without what it began with.

        And once more a little later: records that are being removed one after the other may still be there then.
        """
        self._due.pop(name, None)
        self._doubted.add(name)

    async def follow(self, policies: Iterable[Policy]) -> None:
        """Look at each policy whose time it is. Never fails: it is tried again."""
        wanted = sealing_policies(policies)
        self.reasons = {name: reason for name, reason in self.reasons.items() if name in wanted}
        for name, policy in wanted.items():
            if self._clock() >= self._due.get(name, float("-inf")):
                self._due[name] = self._clock() + await self._look(policy)

    async def _look(self, policy: Policy) -> float:
        """Look at one, and return in how many seconds to look again."""
        try:
            lost = await self._evidence.unrecorded(policy)
        except UnavailableError:
            return RETRY_S  # what was known stays so
        except StrongroomError:
            return REFUSED_EVERY_S
        was_lost = self.reasons.pop(policy.name, None) is not None
        if lost is None:
            was_doubted = policy.name in self._doubted
            self._doubted.discard(policy.name)
            return STILL_LOST_EVERY_S if was_doubted else EVERY_S
        self.reasons[policy.name] = lost.message
        if not was_lost:
            fields = {"policy": policy.name, "reason": lost.message, "hint": lost.hint}
            log_event(_log, logging.ERROR, "keyring_lost", fields)
        return STILL_LOST_EVERY_S
