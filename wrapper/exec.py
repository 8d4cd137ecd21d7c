"""The last steps of a launch: the library, the privileges that are given up, and exec."""

import errno
import os
import resource

from strongroom import linux
from wrapper.program import CannotExecError, Program, ProtectionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn

    from wrapper.settings import WrapperSettings
    from wrapper.signals import Guard


def usable_library() -> str:
    """Return the path of the library, checked for what would make the dynamic loader skip it.

    The loader only warns and goes on without the library (ld.so(8)); the application would then find empty variables.
    What the application starts may need the tracer beside it.

    Raises:
        ProtectionError: the loader would not load it, or there is no tracer.
    """
    from preload import LibraryError, library_path, tracer_path

    try:
        path = library_path()
        tracer_path()
    except LibraryError as error:
        raise ProtectionError(
            str(error),
            hint="install the wheel or the bundle for this kind of machine; it has the tracer beside the wrapper",
        ) from None
    if os.statvfs(path).f_flag & os.ST_NOEXEC:
        msg = f"{path}: lies on a filesystem mounted noexec"
        raise ProtectionError(msg, hint="mount it exec, or install Strongroom elsewhere")
    return path


def harden(settings: "WrapperSettings") -> None:
    """Give up core dumps and the gaining of privileges, as far as the settings say; both survive exec."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not settings.new_privileges:
        linux.set_no_new_privileges()


def become(program: Program, environment: dict[str, str], guard: "Guard", held: "Iterable[int]" = ()) -> "NoReturn":
    """Exec the application with the signal state that it would have had without us.

    Args:
        program: what to become.
        environment: its environment.
        guard: of the launch, which ends here.
        held: signals that are to be blocked at exec all the same; the tracer lets them in (``wrapper.static``).

    Raises:
        CannotExecError: the kernel refuses.
    """
    mask = guard.let_go(held)
    try:
        os.execve(program.path, program.argv, environment)  # noqa: S606 - it is what a wrapper is for
    except OSError as error:
        guard.take_back(mask)
        raise CannotExecError(f"{program.path}: {error.strerror}", hint=_hint_on_exec(error.errno)) from None


def _hint_on_exec(number: int | None) -> str:
    """Return what is behind an error of execve(2) for a program that is there and has an interpreter that is there."""
    if number == errno.ENOENT:
        return "its dynamic loader is not there (readelf -l names it): programs for glibc do not start on plain Alpine"
    if number == errno.E2BIG:
        return "arguments and environment, with as much room as the secrets take, do not fit; raise ulimit -s"
    return ""
