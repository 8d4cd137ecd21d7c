"""A file with a path, in a directory that is memory: written under a name of its own, then put in place at once."""

import os

from strongroom.errors import ConfigError
from wrapper.files.directory import open_directory
from wrapper.files.file_fill import fill, refusal, reserve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wrapper.files.value import FileTarget
    from wrapper.memory import Body


class PlacedFile:
    """One such file."""

    __slots__ = ("_directory", "_inode", "_leaf", "_name", "_names", "_target")

    def __init__(self, name: str, target: "FileTarget") -> None:
        """Check and open the directory; there is no file yet.

        Raises:
            ConfigError: the directory is not memory, or others could put something in the place of the file.
        """
        folder, _, self._leaf = target.path.rpartition("/")
        self._name = name
        self._target = target
        self._names: tuple[str, ...] = ()  # what the file may be called now
        self._inode = 0
        try:
            self._directory = open_directory(folder, owner=target.uid)
        except ConfigError as error:
            msg = f"{name}: path={target.path}: {error.message}"
            raise ConfigError(msg, hint=error.hint) from None

    def receive(self, size: int, body: "Body") -> None:
        """Write the content under a temporary name. Called again, it starts afresh.

        Raises:
            ConfigError: the kernel refuses owner or size.
        """
        self.remove()
        scratch = f".strongroom-{os.urandom(8).hex()}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._names = (scratch,)
        try:
            descriptor = os.open(scratch, flags, 0o600, dir_fd=self._directory)
            try:
                self._inode = os.fstat(descriptor).st_ino
                mapping = reserve(descriptor, self._target, size)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise refusal(self._name, self._target, error) from None
        fill(mapping, body)

    def hand_over(self) -> str:
        """Return the value of the variable."""
        return self._target.path

    def put_in_place(self) -> None:
        """Give the file its name, in the place of whatever had it; a symbolic link there is replaced, not followed.

        Raises:
            ConfigError: the kernel refuses, or the file is no longer the one that was written.
        """
        here = self._directory
        scratch = self._names[0]
        self._names = (scratch, self._leaf)
        try:
            os.rename(scratch, self._leaf, src_dir_fd=here, dst_dir_fd=here)
            found = os.stat(self._leaf, dir_fd=here, follow_symlinks=False).st_ino
        except OSError as error:
            raise refusal(self._name, self._target, error) from None
        if found != self._inode:
            msg = f"{self._name}: {self._target.path}: somebody else put another file there"
            raise ConfigError(msg, hint="use a directory that only this user may write to")

    def remove(self) -> None:
        """Remove the file, under whatever name it has now, but nothing that somebody else has put there."""
        for name in self._names:
            try:
                # Without its number it has just been made, under a name that nobody else has.
                if self._inode in {0, os.stat(name, dir_fd=self._directory, follow_symlinks=False).st_ino}:
                    os.unlink(name, dir_fd=self._directory)
            except OSError:  # there is nothing of that name
                continue
        self._names = ()
        self._inode = 0
