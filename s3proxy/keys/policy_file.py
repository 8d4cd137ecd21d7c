"""Keeping up with the policy file. A broken edit leaves the old policies in force and says so."""

import logging
from collections.abc import Callable
from pathlib import Path

from s3proxy.keys.policies import Policies, parse_policies
from strongroom.errors import ConfigError
from strongroom.service.following import FollowedFile
from strongroom.service.kept_files import KeptFiles, Read
from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)


class PolicyFile(Policies):
    """The policies in force; call ``poll`` from time to time."""

    def __init__(
        self,
        path: Path,
        *,
        check: Callable[[Policies], object] = lambda _: None,
        kept: KeptFiles | None = None,
    ) -> None:
        """Read the file.

        Args:
            path: the policy file.
            check: raises ConfigError when policies cannot be put in force.
            kept: what was in force in the process that this one replaces.

        Raises:
            ConfigError: it is missing or broken, and there are no older policies to keep.
        """
        self._path = path
        self._check = check
        self._file = FollowedFile("policy", self._read, on_new=self._use, kept=kept)
        super().__init__(tuple(self._file.value))
        self._advise()

    @property
    def error(self) -> str:
        """Why the newest file could not be used, or ""."""
        return self._file.error

    def poll(self) -> bool:
        """Read the file again if it has changed; keep the old policies if the new ones are broken.

        Returns whether new ones are in force.
        """
        return self._file.poll()

    def _use(self, policies: Policies) -> None:
        self._policies = tuple(policies)
        log_event(_log, logging.INFO, "policy_reloaded", {"policies": len(self._policies)})
        self._advise()

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
