"""Policies that have a keyring and are not in the policy file: renamed or taken out, while objects depend on them.

A name is bound into every object that was sealed under it, so an edit of it makes them unreadable. It is said at each
load, by name, until the name is back: as a policy, or as one that a policy had before.
"""

import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

from s3proxy.keys.policies import Policies
from strongroom.errors import StrongroomError
from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)
_RETRY_S: Final = 30.0
_NAMED: Final = 100  # the store tells how many there are, and nobody reads more
_HINT: Final = (
    'if it was renamed, add formerly = ["{name}"] where its new name is; if it was taken out, put it back, unless no'
    " object that is needed is sealed under it; if another proxy has it, give each its own system_bucket"
)


class Owners(Protocol):
    """What this module needs of ``s3proxy.keys.keyring.Keyring``."""

    async def policies(self) -> set[str]:
        """Return the names of the policies that have records."""


class MissingPolicies:
    """Compares the keyring with the policy file.

    Attributes:
        names: of the policies that are missing, as far as it is known.
    """

    def __init__(self, keyring: Owners, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the keyring."""
        self._keyring = keyring
        self._clock = clock
        self._due: float | None = 0.0
        self.names: list[str] = []

    def look_again(self) -> None:
        """Compare anew at the next ``follow``: the policy file was loaded."""
        self._due = 0.0

    async def follow(self, policies: Policies) -> None:
        """Compare if it is time. Never fails: it is tried again."""
        if self._due is None or self._clock() < self._due:
            return
        self._due = None
        try:
            owners = await self._keyring.policies()
        except StrongroomError as error:
            self._due = self._clock() + _RETRY_S
            log_event(_log, logging.DEBUG, "keyring_not_listed", {"reason": error.message, "hint": error.hint})
            return
        self.names = sorted(owners - {name for policy in policies for name in policy.names})
        for name in self.names[:_NAMED]:
            reason = f"objects may be sealed under policy {name}, which the policy file does not have"
            fields = {"policy": name, "reason": reason, "hint": _HINT.format(name=name)}
            log_event(_log, logging.WARNING, "policy_missing", fields)
        if len(self.names) > _NAMED:
            log_event(_log, logging.WARNING, "policies_missing", {"count": len(self.names) - _NAMED})

    @property
    def detail(self) -> str:
        """A line for a person, "" if none is missing."""
        if not self.names:
            return ""
        more = len(self.names) - _NAMED
        named = ", ".join(self.names[:_NAMED]) + (f", and {more} more" if more > 0 else "")
        return f"in the keyring, and not in the policy file: {named}"
