"""What is known of the store, asked by one process for all processes of a proxy.

Whichever holds the lock in the directory that they share asks, and writes down what it finds; the others read that, so
that all of them answer alike. When it dies the kernel frees the lock, and another one takes over.
"""

import fcntl
import logging
import os
import time
from pathlib import Path
from typing import Final

from s3proxy.store.capabilities import Capabilities
from s3proxy.store.client import Store
from s3proxy.store.probe import StoreProbe, said_by
from s3proxy.store.settings import StoreSettings
from s3proxy.store.system_bucket import SystemBucket
from strongroom.errors import StrongroomError
from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)

_SHARED_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"  # which the supervisor sets for its workers
_LOCK, _FOUND = "store.lock", "store.json"
_LONGEST_PAUSE_S: Final = 10.0


class Findings:
    """Keeps ``Store.capabilities``. Call ``follow`` from time to time."""

    def __init__(self, settings: StoreSettings, store: Store, bucket: SystemBucket, *, retry_s: float) -> None:
        """Take the settings, which may say all of it, what is asked, and how soon it is asked again at first."""
        directory = os.environ.get(_SHARED_DIRECTORY)
        self._directory = Path(directory) if directory else None
        self._store = store
        self._probe = StoreProbe(store, bucket)
        self._lock_fd = -1
        self._pause_s = retry_s
        self._due = 0.0
        self._complaint = ""
        self._described = ""
        store.capabilities = said_by(settings)

    async def follow(self) -> StrongroomError | None:
        """Ask for what is not known, or read what another process has found. Never fails: it is tried again.

        Returns:
            Why something is still not known, None if all is, or the store was not asked.
        """
        if self._store.capabilities.are_known:
            return None
        if not self._is_ours_to_ask():
            self._read()
            return None
        if time.monotonic() < self._due:
            return None
        # At once, so that a probe that is given up in the middle is not begun again at full speed.
        self._due = time.monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        error = await self._probe.ask(self._store.capabilities, self._note)
        if error is not None and error.message != self._complaint:
            log_event(_log, logging.WARNING, "store_not_probed", {"reason": error.message, "hint": error.hint})
        self._complaint = error.message if error is not None else ""
        self._tell()
        return error

    def close(self) -> None:
        """Let another process ask."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _is_ours_to_ask(self) -> bool:
        if self._directory is None or self._lock_fd >= 0:
            return True
        fd = os.open(self._directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._lock_fd = fd
        self._read()  # what the one before had found out
        return True

    def _note(self, found: Capabilities) -> None:
        self._store.capabilities = found
        if self._directory is not None:
            fresh = self._directory / f"{_FOUND}.{os.getpid()}"
            fresh.write_text(found.to_json())
            fresh.replace(self._directory / _FOUND)

    def _read(self) -> None:
        if self._directory is None:
            return
        try:
            text = (self._directory / _FOUND).read_text()
        except FileNotFoundError:
            return
        self._store.capabilities = Capabilities.from_json(text)
        if self._store.capabilities.are_known:
            self._tell()

    def _tell(self) -> None:
        described = self._store.capabilities.describe()
        if described != self._described:
            log_event(_log, logging.INFO, "store_capabilities", {"found": described})
        self._described = described
