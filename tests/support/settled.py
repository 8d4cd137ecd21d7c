"""Servers that have done what they do by themselves after they were started."""

import time
from collections.abc import Callable

_STILL_S = 0.5
_PATIENCE_S = 30.0


def until_settled(count: Callable[[], int]) -> None:
    """Return when a number has stood still for a while, such as that of requests that a server makes at its start."""
    deadline = time.monotonic() + _PATIENCE_S
    last, since = count(), time.monotonic()
    while time.monotonic() - since < _STILL_S:
        assert time.monotonic() < deadline, f"still counting, at {last}"
        time.sleep(0.05)
        if (now := count()) != last:
            last, since = now, time.monotonic()
