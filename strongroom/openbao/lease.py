"""When a token must be renewed. Pure: the clock comes in as an argument."""

import enum
from dataclasses import dataclass


class Step(enum.Enum):
    """What to do about a token now."""

    KEEP = "keep"
    RENEW = "renew"
    LOGIN = "login"


RENEW_AT = 2 / 3  # of the ttl: what Vault Agent does; leaves a third for trying again
SHRUNK = 1 / 2  # a renewal that gives less than this part of what there was before has met the token's max_ttl


@dataclass(frozen=True)
class Lease:
    """How long a token lives.

    Attributes:
        begin: when it was issued or renewed, seconds of ``time.monotonic``.
        ttl_s: how long it lives from then; 0 means for ever.
        renewable: whether it can be renewed.
        first_ttl_s: the most that this process has seen it live.
    """

    begin: float
    ttl_s: float
    renewable: bool
    first_ttl_s: float

    def left_s(self, now: float) -> float:
        """Return the seconds that the token still lives; infinite for one without end."""
        return self.begin + self.ttl_s - now if self.ttl_s else float("inf")


def next_step(lease: Lease, now: float) -> Step:
    """Say what to do about a token at ``now``, seconds of ``time.monotonic``."""
    if not lease.ttl_s or now < lease.begin + RENEW_AT * lease.ttl_s:
        return Step.KEEP
    if not lease.renewable or lease.ttl_s < SHRUNK * lease.first_ttl_s:
        return Step.LOGIN
    return Step.RENEW
