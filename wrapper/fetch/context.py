"""The TLS context of a launch, by the quickest way that is known; its files may be about to be written."""

import os
import stat
import sys
from time import monotonic, sleep, time

from strongroom.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ssl import SSLContext

    from wrapper.fetch.native_tls import Context
    from wrapper.fetch.retry import Notice
    from wrapper.settings import WrapperSettings

# Where tests compare ``native_tls`` with the ssl module, which all other interpreters use.
COMPARED = frozenset({("cpython", 3, 11), ("cpython", 3, 12), ("cpython", 3, 13)})

_FILES_PAUSE_S = 0.1
_JUST_CHANGED_S = 2.0


def own_context(settings: "WrapperSettings", notice: "Notice") -> "Context | SSLContext":
    """Return the context with our certificate, which a sidecar may be about to write.

    Waited for, as long as for a bridge that is not up yet, are files that are missing, and those that have just been
    changed: they are written one after the other, and key and certificate match when both are.

    Raises:
        ConfigError: a file is missing or wrong for good, or open to others.
    """
    deadline = monotonic() + min(settings.wait_s, settings.timeout_s)
    while True:
        try:
            context = _client_context(settings)
            refuse_open_files(settings)  # they are there now
        except ConfigError:
            if monotonic() >= deadline or not _may_be_coming((settings.ca, settings.cert, settings.key)):
                raise
            notice.look(monotonic())
            sleep(_FILES_PAUSE_S)
        else:
            return context


def _client_context(settings: "WrapperSettings") -> "Context | SSLContext":
    files = settings.ca, settings.cert, settings.key
    if (sys.implementation.name, *sys.version_info[:2]) in COMPARED:
        from wrapper.fetch.native_tls import client_context

        return client_context(*files)
    from strongroom import tls

    return tls.client_context(*files)


def _may_be_coming(paths: "tuple[str, ...]") -> bool:
    """Return whether one of the files is missing or was changed in the last few seconds."""
    now = time()
    for path in paths:
        try:
            if abs(now - os.stat(path).st_mtime) < _JUST_CHANGED_S:
                return True
        except FileNotFoundError:
            return True
        except OSError:
            return False
    return False


def refuse_open_files(settings: "WrapperSettings") -> None:
    """Refuse files of the wrapper that everybody may read or write; those that are missing are passed over.

    Raises:
        ConfigError: everybody may read the private key, or write to it or to the certificates.
    """
    if not settings.shared_key:
        for option, path in (("key", settings.key), ("cert", settings.cert), ("ca", settings.ca)):
            _refuse_open_file(option, path)


def _refuse_open_file(option: str, path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return  # anyone who opens it says why it cannot be
    if mode & stat.S_IWOTH:
        what = "may be written by everybody"
    elif option == "key" and mode & stat.S_IROTH:
        what = "may be read by everybody, and whoever has it gets the secrets"
    else:
        return
    msg = f"--{option} {path}: {what} (mode {stat.S_IMODE(mode):04o})"
    raise ConfigError(
        msg,
        hint="chmod o= it; in a pod, defaultMode: 0440 with fsGroup; or --shared-key where only the application lives",
    )
