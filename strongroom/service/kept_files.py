"""What files held when they were last good, so that a process that is begun again can start from it.

One of several processes reads its files when it starts. If an edit has broken them meanwhile, the others go on with
what they read before, and it must begin with the same. The contents are in memory only, since some are secret keys.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from strongroom.errors import ConfigError

Read = Callable[[Path], bytes]
Value = TypeVar("Value")


class KeptFiles:
    """Contents by path: of what is in force in this process, or was in the one that it replaces."""

    def __init__(
        self, contents: Mapping[str, bytes] | None = None, *, changed: Callable[[dict[str, bytes]], None] | None = None
    ) -> None:
        """Begin.

        Args:
            contents: what an earlier process had in force.
            changed: told contents that are new, and no others: another process may have read newer ones of those.
        """
        self._contents = dict(contents or {})
        self._changed = changed

    def load(self, make: Callable[[Read], Value]) -> Value:
        """Return what a function makes of files as they are, and keep what it has read.

        Raises:
            ConfigError: the function refuses them; what was kept before stays.
            OSError: a file cannot be read, and the function has not said so in its own words.
        """
        taken: dict[str, bytes] = {}

        def read(path: Path) -> bytes:
            taken[str(path)] = content = path.read_bytes()
            return content

        value = make(read)
        if self._contents.items() >= taken.items():
            return value
        self._contents |= taken
        if self._changed is not None:
            self._changed(taken)
        return value

    def start(self, make: Callable[[Read], Value]) -> tuple[Value, str]:
        """Return the same with "", or, where the files are refused, what was made of those kept, with the reason.

        Raises:
            ConfigError: nothing was kept.
        """
        try:
            return self.load(make), ""
        except ConfigError as error:
            if not self._contents:
                raise
            return make(self._kept), error.message

    def _kept(self, path: Path) -> bytes:
        try:
            return self._contents[str(path)]
        except KeyError:
            return path.read_bytes()
