"""Keeps the application's settings, and signals that come early, away from Strongroom's own interpreter.

The wrapper runs in other people's images. Their ``PYTHONPATH`` may hold packages called ``cli`` or modules called
``resource``, and they would be imported instead of ours: by accident, or by anyone who can write there. ``python -I``
ignores all of it (https://docs.python.org/3/using/cmdline.html#cmdoption-I). The installed command starts its
interpreter so (``preload/src/launch/start.c``); for ``python -m wrapper`` it is made up for here, before anything
else is imported.
"""

import _signal  # type: ignore[import-not-found]  # signal imports enum, in 4 ms
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

_HELD = "--held="  # the signals that our starter holds back

# What our starter puts in front of variables that would act on the interpreter, and which they are: start.c has both.
_HIDDEN = "."
_HIDES = ("PYTHON", "LD_", "GLIBC_TUNABLES", "MALLOC_", "OPENSSL_", "SSLKEYLOGFILE")

_LOCALE = "LC_CTYPE"
_LOCALES_OF_PYTHON = ("C.UTF-8", "C.utf8", "UTF-8")  # what CPython may set it to


def start() -> int:
    """Run the ``strongroom`` command; what ``strongroom-start`` calls."""
    isolate("cli")
    if sys.flags.no_site:  # a launch
        from strongroom.quick_import import QuickImport

        sys.meta_path.insert(0, QuickImport(_home()))
    # By name, since the ground that everything stands on does not depend on the command; importlib imports warnings.
    status: int = __import__("cli.main", fromlist=["main"]).main()
    return status


def isolate(module: str) -> None:
    """Return when nobody else's modules are in the way; if need be, begin again as ``python -I -m module``.

    From now on SIGTERM and SIGINT end this process without a word.

    Args:
        module: what is being run.
    """
    _take_signals()
    if sys.flags.isolated:
        return
    if "PYTHONPATH" in os.environ:
        command = [sys.executable, "-I", "-m", module, *sys.argv[1:]]
        os.execve(sys.executable, command, with_given_locale(os.environ))  # noqa: S606 - ourselves
    if not sys.flags.safe_path and sys.path[0] != _home():
        del sys.path[0]  # the launcher's own directory, or with -m the current one


def _take_signals() -> None:
    """Take the signals that end a launch, and then let in those that our starter holds back.

    What the parent has this process ignore stays ignored.
    """
    held: list[int] = []
    if sys.argv[1:2] and sys.argv[1].startswith(_HELD):
        held = [int(number) for number in sys.argv.pop(1).removeprefix(_HELD).split(",") if number.isdigit()]
    for number in (_signal.SIGTERM, _signal.SIGINT):
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, _end)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, held)


def give_signals_back() -> None:
    """Let SIGTERM and SIGINT do again what they do in a Python program, for what goes on running as one."""
    for number, usual in ((_signal.SIGTERM, _signal.SIG_DFL), (_signal.SIGINT, _signal.default_int_handler)):
        if _signal.getsignal(number) is _end:
            _signal.signal(number, usual)


def _end(received: int, _frame: object) -> "NoReturn":
    os._exit(128 + received)


def starting_words() -> list[str]:
    """Return the words that started this process, up to the verb."""
    return sys.orig_argv[: len(sys.orig_argv) - len(sys.argv[1:])]


def unhidden(environ: "Mapping[str, str]", starting: "Sequence[str]") -> dict[str, str]:
    """Return the environment of a process as our starter was given it, or as it is if that has not started it.

    Args:
        environ: of the process.
        starting: the words that started it, up to the verb.
    """
    if not starting or not starting[-1].startswith(_HELD):
        return dict(environ)
    return {
        name[len(_HIDDEN) :] if name.startswith(_HIDDEN) and name.lstrip(_HIDDEN).startswith(_HIDES) else name: value
        for name, value in environ.items()
    }


def with_given_locale(environ: "Mapping[str, str]") -> dict[str, str]:
    """Return the environment of this process with the LC_CTYPE that it was started with, or without one.

    Where the locale is C, CPython sets LC_CTYPE for itself and its children (PEP 538). No application must inherit
    that; the block that the kernel keeps tells what was there before.
    """
    given = dict(environ)
    if given.get(_LOCALE) not in _LOCALES_OF_PYTHON:
        return given
    try:
        with open("/proc/self/environ", "rb") as file:  # noqa: PTH123 - pathlib is slow to import
            block = file.read()
    except OSError:  # no /proc here: nothing can be told, so nothing is taken away
        return given
    _, found, rest = (b"\0" + block).partition(b"\0" + _LOCALE.encode() + b"=")
    if found:
        given[_LOCALE] = os.fsdecode(rest.partition(b"\0")[0])
    else:
        del given[_LOCALE]
    return given


def _home() -> str:
    """Return the directory that this package was imported from: a checkout is run from there."""
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib is slow to import
