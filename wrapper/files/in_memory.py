"""A file without a name: a sealed memfd, which the application inherits and opens as ``/proc/self/fd/N``."""

import fcntl
import os

from wrapper.files.file_fill import fill, refusal, reserve
from wrapper.memory import to_high_descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wrapper.files.value import FileTarget
    from wrapper.memory import Body

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class MemoryFile:
    """One such file."""

    __slots__ = ("_descriptor", "_name", "_target")

    def __init__(self, name: str, target: "FileTarget") -> None:
        """Take the name of the variable and what the file is to be; there is nothing yet."""
        self._name = name
        self._target = target
        self._descriptor = -1

    def receive(self, size: int, body: "Body") -> None:
        """Make the file with this content and freeze it. Called again, it starts afresh.

        Raises:
            ConfigError: the kernel refuses owner or size.
        """
        self.remove()
        try:
            self._descriptor = os.memfd_create("strongroom-file", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
            mapping = reserve(self._descriptor, self._target, size)
        except OSError as error:
            raise refusal(self._name, self._target, error) from None
        fill(mapping, body)
        fcntl.fcntl(self._descriptor, fcntl.F_ADD_SEALS, _SEALS)

    def hand_over(self) -> str:
        """Let the descriptor survive exec, and return the value of the variable.

        Raises:
            ProtectionError: there is no free descriptor.
        """
        self._descriptor = to_high_descriptor(self._descriptor)
        return f"/proc/self/fd/{self._descriptor}"

    def put_in_place(self) -> None:
        """There is no place to put it in."""

    def remove(self) -> None:
        """Forget the file, if there is one."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
