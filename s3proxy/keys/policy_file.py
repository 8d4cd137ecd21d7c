"""Keeping up with the policy file. A broken edit leaves the old policies in force and says so."""

import logging
from collections.abc import Callable
from pathlib import Path

from s3proxy.keys.policies import Policies, parse_policies
from strongroom.errors import ConfigError
from strongroom.service.filestamp import Changes, stamp_of
from strongroom.service.kept_files import KeptFiles, Read
from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)


class PolicyFile(Policies):
    """The policies in force; call ``reload_if_changed`` from time to time.

    Attributes:
        error: why the newest file could not be used, or "".
    """

    def __init__(
        self,
        path: Path,
        *,
        check: Callable[[Policies], object] = lambda _: None,
        kept: KeptFiles | None = None,
        observe: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """Read the file.

        Args:
            path: the policy file.
            check: raises ConfigError when policies cannot be put in force.
            kept: what was in force in the process that this one replaces.
            observe: told after each reload whether it succeeded.

        Raises:
            ConfigError: it is missing or broken, and there are no older policies to keep.
        """
        self._path = path
        self._check = check
        self._kept = kept or KeptFiles()
        self._observe = observe
        self._changes = Changes(stamp_of(path))
        policies, self.error = self._kept.start(self._read)
        super().__init__(tuple(policies))
        self._advise()

    def reload_if_changed(self) -> bool:
        """Read the file again if it has changed; keep the old policies if the new ones are broken.

        Returns whether new ones are in force.
        """
        if not self._changes.are_due(stamp_of(self._path)):
            return False
        try:
            fresh = self._kept.load(self._read)
        except ConfigError as error:
            self.error = error.message
            log_event(_log, logging.ERROR, "policy_reload_failed", {"reason": error.message, "hint": error.hint})
            self._observe(False)  # noqa: FBT003 - the one argument of an observer
            return False
        self._policies = tuple(fresh)
        self.error = ""
        log_event(_log, logging.INFO, "policy_reloaded", {"policies": len(self._policies)})
        self._advise()
        self._observe(True)  # noqa: FBT003 - the one argument of an observer
        return True

    def _read(self, read: Read) -> Policies:
        try:
            content = read(self._path)
        except OSError as error:
            msg = f"{self._path}: cannot be read ({error.strerror})"
            raise ConfigError(msg, hint="policy_file names a readable TOML file") from None
        policies = parse_policies(content, origin=str(self._path))
        self._check(policies)
        return policies

    def _advise(self) -> None:
        for policy in self._policies:
            if policy.advice:
                fields = {"policy": policy.name, "reason": policy.advice, "hint": "say etag, and leave list_etag out"}
                log_event(_log, logging.WARNING, "policy_outdated", fields)
