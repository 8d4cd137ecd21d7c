"""What both kinds of files have in common: room, and content that goes straight into it."""

import mmap
import os

from strongroom.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wrapper.files.value import FileTarget
    from wrapper.memory import Body


def refusal(name: str, target: "FileTarget", error: OSError) -> ConfigError:
    """Return the error for a file that the kernel does not let us make."""
    where = target.path or "a file without a name"
    hint = "the directory must have room, and let the user of the wrapper write"
    if isinstance(error, PermissionError) and target.uid >= 0:
        hint = f"user {os.geteuid()} may not give files to {target.uid}; leave owner= out, or grant CAP_CHOWN"
    return ConfigError(f"{name}: {where}: {error.strerror or error}", hint=hint)


def reserve(descriptor: int, target: "FileTarget", size: int) -> mmap.mmap | None:
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


def fill(mapping: mmap.mmap | None, body: "Body") -> None:
    """Read what comes next of an answer into the file itself, so that no Python object ever holds it."""
    if mapping is None:
        return
    with memoryview(mapping) as view:
        body.read_into(view)
    mapping.close()
