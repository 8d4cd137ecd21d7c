"""Directories in which a secret may be put: memory, and nobody else's.

Anyone who may rename files in a directory, or in one above it, decides what a path means. So each step of the path is
looked at, from the root down, by descriptors that no later rename can change.
"""

import os
import stat

from strongroom import linux
from strongroom.errors import ConfigError

_MEMORY = {0x0102_1994: "tmpfs", 0x8584_58F6: "ramfs"}  # statfs(2)
_STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_directory(path: str, *, owner: int = -1) -> int:
    """Open a directory and return its descriptor, which is good for the ``*at`` calls.

    Args:
        path: absolute; "" is the root.
        owner: a user who may own parts of it, besides root and this process's own.

    Raises:
        ConfigError: it is missing, is not memory, has a symbolic link in it, or belongs to others.
    """
    trusted = {0, os.geteuid(), owner}
    descriptor = os.open("/", _STEP)
    above = os.fstat(descriptor)
    walked = ""
    for segment in path.split("/")[1:]:
        walked += f"/{segment}"
        inner = _step(segment, descriptor, walked)
        os.close(descriptor)
        descriptor = inner
        here = os.fstat(inner)
        _refuse_foreign(walked, here, trusted=trusted, is_mount=here.st_dev != above.st_dev)
        above = here
    if linux.filesystem_type(descriptor) not in _MEMORY:
        msg = f"{path or '/'} is not memory, and files on a disk outlive the launch"
        raise ConfigError(
            msg, hint="mount a tmpfs there: an emptyDir with medium: Memory, or --tmpfs; or leave path= out"
        )
    return descriptor


def _step(segment: str, parent: int, walked: str) -> int:
    try:
        return os.open(segment, _STEP, dir_fd=parent)
    except OSError as error:
        try:
            is_link = stat.S_ISLNK(os.stat(segment, dir_fd=parent, follow_symlinks=False).st_mode)
        except OSError:
            is_link = False
        if is_link:
            msg = f"{walked} is a symbolic link"
            raise ConfigError(msg, hint=f"write the path that it leads to: {os.path.realpath(walked)}") from None
        msg = f"{walked}: {error.strerror}"
        raise ConfigError(
            msg, hint="make the directory in the image or mount a tmpfs there, for the user of the wrapper"
        ) from None


def _refuse_foreign(path: str, found: os.stat_result, *, trusted: set[int], is_mount: bool) -> None:
    if found.st_uid not in trusted:
        msg = f"{path} belongs to user {found.st_uid}, who could put another file there"
        raise ConfigError(msg, hint="use a directory of root or of the user that this runs as")
    # A volume that is shared on purpose, such as an emptyDir, is open to all whom the pod gives it to.
    if is_mount or found.st_mode & stat.S_ISVTX:
        return
    for bit, who, change in ((stat.S_IWOTH, "everybody", "o-w"), (stat.S_IWGRP, f"group {found.st_gid}", "g-w")):
        if found.st_mode & bit:
            raise ConfigError(f"{who} may put another file into {path}", hint=f"chmod {change} {path}")
