"""Keeping up with the file of client credentials; ``credentials_table`` says what it holds.

A broken edit leaves the old credentials in force and says so. Files of secret keys are watched, too.
"""

import logging
from collections.abc import Callable
from pathlib import Path

from s3proxy.s3api.credentials import Credentials
from s3proxy.s3api.credentials_table import parse_credentials
from strongroom.errors import ConfigError
from strongroom.service.filestamp import Changes, Stamp, stamp_of
from strongroom.service.kept_files import KeptFiles, Read
from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)


class CredentialsFile:
    """The credentials in force; call ``reload_if_changed`` from time to time.

    Attributes:
        table: the newest credentials that could be read.
        error: why the newest file could not be used, or "".
    """

    def __init__(
        self,
        path: Path,
        *,
        kept: KeptFiles | None = None,
        observe: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """Read the file.

        Args:
            path: the credentials file.
            kept: what was in force in the process that this one replaces.
            observe: told after each reload whether it succeeded.

        Raises:
            ConfigError: it is missing or broken, and there are no older credentials to keep.
        """
        self._path = path
        self._kept = kept or KeptFiles()
        self._observe = observe
        # Of the file and those of secret keys, from before they were first read: an edit between two readings is seen.
        self._stamps: dict[Path, Stamp] = {}
        self.table, self.error = self._kept.start(self._read)
        self._changes = Changes(tuple(self._stamps.values()))

    def reload_if_changed(self) -> None:
        """Read the file again if it or a secret key has changed; keep the old table if something is broken."""
        if not self._changes.are_due(tuple(stamp_of(path) for path in self._stamps)):
            return
        self._stamps = {}
        try:
            self.table = self._kept.load(self._read)
        except ConfigError as error:
            self.error = error.message
            log_event(_log, logging.ERROR, "credentials_reload_failed", {"reason": error.message, "hint": error.hint})
            self._observe(False)  # noqa: FBT003 - the one argument of an observer
        else:
            self.error = ""
            log_event(_log, logging.INFO, "credentials_reloaded", {"credentials": len(self.table.by_id)})
            self._observe(True)  # noqa: FBT003 - the one argument of an observer
        self._changes = Changes(tuple(self._stamps.values()))

    def _read(self, read: Read) -> Credentials:
        def read_secret(name: str) -> bytes:
            return self._read_file(self._path.parent / name, "secret key", read)

        content = self._read_file(self._path, "credentials file", read)
        try:
            text = content.decode()
        except UnicodeDecodeError:
            msg = f"{self._path}: is not UTF-8"
            raise ConfigError(msg, hint="save it as a text file") from None
        return parse_credentials(text, origin=str(self._path), read_secret=read_secret)

    def _read_file(self, path: Path, what: str, read: Read) -> bytes:
        if path not in self._stamps:
            self._stamps[path] = stamp_of(path)
        try:
            return read(path)
        except FileNotFoundError:
            msg = f"{path}: does not exist"
            raise ConfigError(msg, hint=f"name an existing {what}") from None
        except OSError as error:
            msg = f"{path}: cannot be read ({error.strerror})"
            raise ConfigError(msg, hint="make it readable for the user of the proxy") from None
