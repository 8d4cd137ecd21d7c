"""Keeping up with the policy file. A broken edit leaves the old policies in force and says so."""

import logging
from collections.abc import Callable
from pathlib import Path

from s3proxy.keys.policies import Policies, read_policies
from strongroom.errors import ConfigError
from strongroom.filestamp import stamp_of
from strongroom.logs import log_event

_log = logging.getLogger(__name__)


class PolicyFile(Policies):
    """The policies in force; call ``reload_if_changed`` from time to time.

    Attributes:
        error: why the newest file could not be used, or "".
    """

    def __init__(self, path: Path, *, observe: Callable[[bool], None] = lambda _: None) -> None:
        """Read the file.

        Args:
            path: the policy file.
            observe: told after each reload whether it succeeded.

        Raises:
            ConfigError: it is missing or broken; at the start there are no older policies to keep.
        """
        self._path = path
        self._observe = observe
        self._stamp = stamp_of(path)
        self.error = ""
        super().__init__(tuple(read_policies(path)))

    def reload_if_changed(self, accept: Callable[[Policies], None]) -> None:
        """Read the file again if it has changed; keep the old policies if the new ones are broken or not accepted.

        Args:
            accept: raises ConfigError when new policies cannot be put in force; else they are, from now on.
        """
        stamp = stamp_of(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            fresh = read_policies(self._path)
            accept(fresh)
        except ConfigError as error:
            self.error = error.message
            log_event(_log, logging.ERROR, "policy_reload_failed", {"reason": error.message, "hint": error.hint})
            self._observe(False)  # noqa: FBT003 - the one argument of an observer
        else:
            self._policies = tuple(fresh)
            self.error = ""
            log_event(_log, logging.INFO, "policy_reloaded", {"policies": len(self._policies)})
            self._observe(True)  # noqa: FBT003 - the one argument of an observer
