"""When to ask the bridge again. Pure: the clock and the dice come in as arguments."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

NOT_UP = "not up"  # nobody answered: refused, unknown host, unreachable
BUSY = "busy"  # somebody answered, or began to: 503, a timeout, a connection lost half way

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
_MAX_DOUBLINGS = 6  # 50 ms to beyond 2 s; more would only make numbers that no float holds


class RetryPolicy:
    """Decides after each failed attempt whether and when to try again.

    A bridge that is not up yet is waited for by the clock; one that is up and busy is asked a limited number of times.
    Pauses double from 50 ms to 2 s, each cut by a random factor of 0.5 … 1, so that pods that start together do not
    stay together; a ``Retry-After`` of the bridge is a lower bound.
    """

    __slots__ = ("_attempts", "_busy", "_deadline", "_random", "_retries", "_up_by")

    def __init__(
        self, *, now: float, timeout_s: float, wait_s: float, retries: int, random: "Callable[[], float]"
    ) -> None:
        """Start the clock.

        Args:
            now: the monotonic time, s.
            timeout_s: how long all attempts and pauses may take together.
            wait_s: how long to wait for a bridge that is not up.
            retries: how often to ask again after a busy answer.
            random: gives numbers from 0 to 1.
        """
        self._deadline = now + timeout_s
        self._up_by = now + wait_s
        self._retries = retries
        self._random = random
        self._attempts = 0
        self._busy = 0

    def remaining(self, now: float) -> float:
        """Return the seconds that are left for everything."""
        return self._deadline - now

    def pause(self, kind: str, now: float, at_least_s: float = 0.0) -> float | None:
        """Return how long to sleep before the next attempt, or None to give up.

        Args:
            kind: NOT_UP or BUSY.
            now: the monotonic time, s.
            at_least_s: what the bridge asked for.
        """
        if kind == BUSY:
            self._busy += 1
            if self._busy > self._retries:
                return None
        elif now >= self._up_by:
            return None
        backoff = min(_FIRST_PAUSE_S * 2 ** min(self._attempts, _MAX_DOUBLINGS), _LONGEST_PAUSE_S)
        self._attempts += 1
        pause = max(at_least_s, backoff * (0.5 + self._random() / 2))
        if kind == NOT_UP:
            pause = min(pause, max(self._up_by - now, _FIRST_PAUSE_S))
        return pause if now + pause < self._deadline else None


class Notice:
    """What is said once, when a wait has lasted longer than a moment."""

    __slots__ = ("_say", "at")

    def __init__(self, at: float, say: "Callable[[], None]") -> None:
        """Take the monotonic time, s, and what to call then."""
        self.at = at
        self._say = say

    def look(self, now: float) -> None:
        """Say it if it is time and has not been said."""
        if now >= self.at:
            self.at = float("inf")
            self._say()
