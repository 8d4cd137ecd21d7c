"""A file with a path that a launch has put in place, as ``strongroom exec`` finds it.

It is the application's, so it stays as it is. Whether it still is what the references give is found out by having that
sent anew: if the two differ, the command gets the new one as a file of its own, so that it never has the file of one
version and the variables of another.
"""

import mmap
import os
import stat

from strongroom.terminal import say
from wrapper.files.written import MemoryFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wrapper.files.value import FileTarget

_CHUNK_BYTES = 1 << 16


class KeptFile(MemoryFile):
    """One such file, and its newest content in memory."""

    __slots__ = ("_path",)

    def __init__(self, name: str, target: "FileTarget") -> None:
        """Take the name of the variable and where its file is; there is no newest content yet."""
        super().__init__(name, target)
        self._path = target.kept

    def hand_over(self) -> str:
        """Return the path if the file there has the newest content, else the way to a file of the command's own.

        Raises:
            ProtectionError: there is no free descriptor.
        """
        different = self._difference()
        if not different:
            self.remove()
            return self._path
        say(f"warning: {self._name}: {self._path} {different}; the command gets the newest as a file of its own")
        return super().hand_over()

    def _difference(self) -> str:
        """Return how the file differs from the newest content, or ""."""
        try:
            there = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            return f"cannot be compared ({error.strerror})"
        try:
            if not stat.S_ISREG(os.fstat(there).st_mode):
                return "is not a file any longer"
            return "" if have_same_content(there, self._descriptor) else "is of another version of its secret"
        except OSError as error:
            return f"cannot be compared ({error.strerror})"
        finally:
            os.close(there)


def have_same_content(first: int, second: int) -> bool:
    """Return whether two files have the same bytes, without making Python objects of them.

    They are read, not mapped: one that is cut meanwhile would end this process by SIGBUS.
    """
    if os.fstat(first).st_size != os.fstat(second).st_size:
        return False
    both = memoryview(mmap.mmap(-1, 2 * _CHUNK_BYTES))
    one, other = both[:_CHUNK_BYTES], both[_CHUNK_BYTES:]
    position = 0
    while True:
        count = os.preadv(first, [one], position)
        if os.preadv(second, [other], position) != count or one[:count] != other[:count]:
            return False
        if not count:
            return True
        position += count
