"""Where the library that answers ``getenv()`` lies, and the native programs beside it.

On the path of every launch, so nothing is imported here but ``os``.
"""

import os

MACHINES = ("x86_64", "aarch64")


class LibraryError(Exception):
    """The library, or a program beside it, cannot be used here; the text says what to do about it."""


def native_path(name: str, what: str = "native program") -> str:
    """Return the absolute path of a file that is built for this machine.

    Args:
        name: of the file.
        what: it is, for messages.

    Raises:
        LibraryError: this machine is not supported, or the file is not built.

    """
    folder = os.path.dirname(os.path.abspath(__file__))
    machine = os.uname().machine
    if machine not in MACHINES:
        raise LibraryError(f"preload: no {what} for {machine}; there is one for {' and '.join(MACHINES)}")
    path = os.path.join(folder, "lib", machine, name)
    if not os.path.isfile(path):
        raise LibraryError(f"preload: {path}: not built; run make -C {folder}")
    return path


def library_path() -> str:
    """Return the absolute path of the library for this machine, as ``LD_PRELOAD`` takes it.

    Raises:
        LibraryError: this machine is not supported, the library is not built or may not be read, or its path cannot be
            in ``LD_PRELOAD``, whose entries end at a colon or a space (ld.so(8)).

    """
    path = native_path("libstrongroom.so", "library")
    if not os.access(path, os.R_OK):  # the loader would only warn
        raise LibraryError(f"preload: {path}: may not be read; check its mode")
    if ":" in path or any(character.isspace() for character in path):
        raise LibraryError(f"preload: {path}: LD_PRELOAD cannot carry a colon or a space; install to another directory")
    return path


def init_path() -> str:
    """Return the absolute path of ``strongroom-init`` for this machine.

    Raises:
        LibraryError: this machine is not supported, or the program is not built or may not be executed.

    """
    return _program_path("strongroom-init", "init program")


def tracer_path() -> str:
    """Return the absolute path of ``strongroom-tracer`` for this machine, which the library looks for beside itself.

    Raises:
        LibraryError: this machine is not supported, or the program is not built or may not be executed.

    """
    return _program_path("strongroom-tracer", "tracer")


def _program_path(name: str, what: str) -> str:
    path = native_path(name, what)
    if not os.access(path, os.X_OK):
        raise LibraryError(f"preload: {path}: may not be executed; check its mode and the mount options")
    return path
