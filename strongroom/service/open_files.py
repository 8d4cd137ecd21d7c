"""Files of a service that every user of its machine may read or write although they are for it alone.

They are warned of at the start and not refused: the wrapper, which refuses such files, has a setting for those who know
that nobody else is there.
"""

import logging
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)


def warn_of_open_files(secret: Mapping[str, Path | None], believed: Mapping[str, Path | None]) -> None:
    """Log each file that is open to everybody; those that are missing are passed over.

    Args:
        secret: what nobody else may read or write, by the names of the settings.
        believed: what nobody else may write.
    """
    for name, path in [*_set(secret), *_set(believed)]:
        try:
            mode = path.stat().st_mode
            if not all(folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents):
                continue  # not everybody gets there
        except OSError:
            continue  # anyone who opens it says why it cannot be
        if stat.S_ISREG(mode) and mode & (stat.S_IWOTH | (stat.S_IROTH if name in secret else 0)):
            what = "may be written by everybody" if mode & stat.S_IWOTH else "may be read by everybody"
            reason = f"{name}={path}: {what} (mode {stat.S_IMODE(mode):04o})"
            hint = f"chmod o= {path}; its group may read it, if that is the group of uid {os.geteuid()}"
            log_event(_log, logging.WARNING, "open_file", {"reason": reason, "hint": hint})


def _set(files: Mapping[str, Path | None]) -> Iterable[tuple[str, Path]]:
    return ((name, path) for name, path in files.items() if path is not None)
