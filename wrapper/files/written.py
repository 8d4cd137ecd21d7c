"""The two kinds of files that a launch writes, and how content gets into them: straight, past all Python objects.

``PlacedFile`` has a path, in a directory that is memory: it is written under a name of its own, then put in place at
once. ``MemoryFile`` has no name: a sealed memfd, which the application inherits and opens as ``/proc/self/fd/N``.
"""

import fcntl
import mmap
import os

from strongroom.errors import ConfigError
from wrapper.files.directory import open_directory
from wrapper.memory import to_high_descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wrapper.files.value import FileTarget
    from wrapper.memory import Body

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class MemoryFile:
    """A file without a name."""

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
            mapping = _reserve(self._descriptor, self._target, size)
        except OSError as error:
            raise _refusal(self._name, self._target, error) from None
        _fill(mapping, body)
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


class PlacedFile:
    """A file with a path."""

    __slots__ = ("_directory", "_inode", "_leaf", "_name", "_names", "_target")

    def __init__(self, name: str, target: "FileTarget") -> None:
        """Check and open the directory; there is no file yet.

        Raises:
            ConfigError: the directory is not memory, or others could put something instead of the file.
        """
        folder, _, self._leaf = target.path.rpartition("/")
        self._name = name
        self._target = target
        self._names: tuple[str, ...] = ()  # what the file may be called now
        self._inode = 0
        try:
            self._directory = open_directory(folder, owner=target.uid)
        except ConfigError as error:
            raise ConfigError(f"{name}: path={target.path}: {error.message}", hint=error.hint) from None

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
                mapping = _reserve(descriptor, self._target, size)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _refusal(self._name, self._target, error) from None
        _fill(mapping, body)

    def hand_over(self) -> str:
        """Return the value of the variable."""
        return self._target.path

    def put_in_place(self) -> None:
        """Give the file its name, instead of whatever had it; a symbolic link there is replaced, not followed.

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
            raise _refusal(self._name, self._target, error) from None
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


def _refusal(name: str, target: "FileTarget", error: OSError) -> ConfigError:
    """Return the error for a file that the kernel does not let us make."""
    where = target.path or "a file without a name"
    hint = "the directory must have room, and let the user of the wrapper write"
    if isinstance(error, PermissionError) and target.uid >= 0:
        hint = f"user {os.geteuid()} may not give files to {target.uid}; leave owner= out, or grant CAP_CHOWN"
    return ConfigError(f"{name}: {where}: {error.strerror or error}", hint=hint)


def _reserve(descriptor: int, target: "FileTarget", size: int) -> mmap.mmap | None:
    """Give an empty file its mode and owner, and only then room for its content.

    Returns:
        A mapping of the whole file, or None when it stays empty.

    Raises:
        OSError: the kernel refuses.
    """
    os.fchmod(descriptor, target.mode)  # first: it may be somebody else's then
    if target.uid >= 0 or target.gid >= 0:
        os.fchown(descriptor, target.uid, target.gid)
    if not size:
        return None
    os.posix_fallocate(descriptor, 0, size)  # or a file system without room would end this process by SIGBUS
    return mmap.mmap(descriptor, size)


def _fill(mapping: mmap.mmap | None, body: "Body") -> None:
    """Read what comes next of an answer into the file itself, so that no Python object ever holds it."""
    if mapping is None:
        return
    with memoryview(mapping) as view:
        body.read_into(view)
    mapping.close()
