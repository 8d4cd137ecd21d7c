"""A login that was refused, told to the other processes of a service, whose files are the same.

Each of them would try the same ids once, and OpenBao counts them together: five processes lock the role. So they try
one at a time, and whoever is refused says so in a file of their private directory. It names the files that held the ids
by their stamps, so nothing of the ids is in it.
"""

import asyncio
import contextlib
import fcntl
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from strongroom.service.following import Stamp

_POLL_S: Final = 0.02


class SharedRefusals:
    """What the processes know of each other."""

    def __init__(self, directory: Path, *, wait_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the private directory.

        Args:
            directory: of these processes alone.
            wait_s: for a turn; anyone who does not get one in time goes on without.
            clock: seconds, the same for all processes of the machine.
        """
        self._lock = directory / "login-lock"
        self._told = directory / "login-refused"
        self._wait_s = wait_s
        self._clock = clock

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold the turn to try a login."""
        with contextlib.ExitStack() as held:
            with contextlib.suppress(OSError):  # without it they try side by side, as processes of two machines do
                file = held.enter_context(self._lock.open("ab"))
                await self._acquire(file.fileno())
            yield

    async def _acquire(self, descriptor: int) -> None:
        deadline = self._clock() + self._wait_s
        while self._clock() < deadline:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await asyncio.sleep(_POLL_S)
            else:
                return

    def tell(self, stamp: Stamp, message: str, hint: str, *, pause_s: float) -> None:
        """Tell that what the files hold was refused, and for how long it is not to be tried."""
        told = {"stamp": stamp, "message": message, "hint": hint, "until": self._clock() + pause_s}
        with contextlib.suppress(OSError):
            scratch = self._told.with_suffix(".part")
            scratch.write_text(json.dumps(told))
            scratch.replace(self._told)

    def find(self, stamp: Stamp) -> tuple[str, str, float] | None:
        """Return message, hint and the seconds that are left, if another process was refused what the files hold."""
        try:
            told = json.loads(self._told.read_text())
            same = told["stamp"] == json.loads(json.dumps(stamp))
            left_s = float(told["until"]) - self._clock()
            return (str(told["message"]), str(told["hint"]), left_s) if same and left_s > 0 else None
        except (OSError, ValueError, KeyError, TypeError):
            return None
