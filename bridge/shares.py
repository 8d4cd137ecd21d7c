"""How identities share what the bridge has: places, bytes of requests, bytes of answers. Pure.

However many identities there are, they leave something for another one: each may have three quarters of what the
others leave, and an eighth of all is for those who have nothing yet.
"""

import math
from dataclasses import dataclass

from strongroom.errors import UnavailableError

_SHARE_OF_ONE = 0.75  # of what the others leave: a rollout is one identity, and others must get in beside it
_KEPT_SHARE = 0.125  # for the first request of an identity, of whatever size


class BusyError(UnavailableError):
    """More is asked of the bridge than it takes at once."""


@dataclass(frozen=True)
class Capacity:
    """What all requests together may take.

    Attributes:
        requests: at work at once.
        body_bytes: of the body of one.
        bodies_bytes: of their bodies.
        answers_bytes: of what was read for them, and of their answers.
        answer_bytes: of these, for one request.
        room_s: seconds to wait for them.
        body_s: seconds for one body to arrive.
        retry_after_s: the pause asked of callers for whom there is no room.
    """

    requests: int
    body_bytes: int
    bodies_bytes: int
    answers_bytes: int
    answer_bytes: int
    room_s: float
    body_s: float
    retry_after_s: float


class Shares:
    """An amount of something that identities share."""

    def __init__(self, most: int, what: str, *, retry_after_s: float) -> None:
        """Begin with nothing taken.

        Args:
            most: that there is.
            what: it is, for messages.
            retry_after_s: the pause asked of callers for whom there is nothing.
        """
        self._most = most
        self._what = what
        self._retry_after_s = retry_after_s
        self._kept = math.ceil(most * _KEPT_SHARE)
        self._taken = 0
        self._of: dict[str, int] = {}

    def of(self, identity: str) -> int:
        """Return how much an identity has."""
        return self._of.get(identity, 0)

    def has(self, amount: int) -> bool:
        """Return whether there is so much left, whoever wants it."""
        return self._taken + amount <= self._most

    def require(self, identity: str, wanted: int, *, is_first: bool) -> None:
        """Return if an identity may have so much more; see ``refusal``.

        Raises:
            BusyError: there is not so much left, or the identity has its share.
        """
        refusal = self.refusal(identity, wanted, is_first=is_first)
        if refusal is not None:
            raise refusal

    def refusal(self, identity: str, wanted: int, *, is_first: bool) -> BusyError | None:
        """Return why an identity may not have so much more, or None if it may.

        Args:
            identity: that wants it.
            wanted: how much.
            is_first: whether it is for the only request of this identity.
        """
        if self.allows(identity, wanted, is_first=is_first):
            return None
        if not self.has(wanted):
            msg = f"the bridge is at work on {self._taken} {self._what}, and takes {self._most}"
            return BusyError(msg, hint="come back later", retry_after_s=self._retry_after_s)
        own, share = self.of(identity), self._share_of(identity)
        msg = f"the bridge is at work on {own} {self._what} of this identity, and takes {share}"
        return BusyError(msg, hint="come back later; the rest is kept for others", retry_after_s=self._retry_after_s)

    def allows(self, identity: str, wanted: int, *, is_first: bool) -> bool:
        """Return whether an identity may have so much more; see ``refusal``, which takes the time to say why not."""
        return self.has(wanted) and (is_first or self.of(identity) + wanted <= self._share_of(identity))

    def add(self, identity: str, amount: int) -> None:
        """Count an amount that was taken, or a negative one that was given back."""
        self._taken += amount
        self._of[identity] = self.of(identity) + amount
        if not self._of[identity]:
            del self._of[identity]

    def _share_of(self, identity: str) -> int:
        left = self._most - self._taken + self.of(identity)  # by the others
        return max(0, min(math.ceil(left * _SHARE_OF_ONE), left - self._kept))
