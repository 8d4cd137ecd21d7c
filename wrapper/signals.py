"""SIGTERM and SIGINT from the beginning of a launch to exec, and what is undone when a launch ends otherwise.

Imported before anything else that takes time: on PID 1 a signal that nobody handles yet is lost.
"""

import _signal  # type: ignore[import-not-found]  # signal imports enum, which takes a launch 3 ms
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn, Self

_SIGNALLED = 128  # plus the number of the signal: an exit status, as of a shell


class Guard:
    """Watches over one launch: as a context manager, it undoes on leaving what a launch that failed has left.

    From its beginning on SIGTERM and SIGINT end this process, which PID 1 would otherwise ignore (signal(7)). What the
    parent has this process ignore stays ignored, as a shell's background jobs ignore SIGINT.
    """

    __slots__ = ("_undo",)

    def __init__(self) -> None:
        """Take the signals in hand."""
        self._undo: list[Callable[[], None]] = []
        self._catch()

    def __enter__(self) -> "Self":
        """Return the guard itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Undo what is left."""
        self._undo_all()

    def on_failure(self, undo: "Callable[[], None]") -> None:
        """Have something called if the launch ends otherwise than by exec."""
        self._undo.append(undo)

    def let_go(self, held: "Iterable[int]") -> "set[int]":
        """Give this process the signal state that it would have had without us, for exec.

        Args:
            held: signals that are to be blocked all the same.

        Returns:
            The mask of blocked signals as it was, for ``take_back``.
        """
        ours = ending_signals()
        restored = [*ours, _signal.SIGPIPE, _signal.SIGXFSZ]
        # A signal between the last look and exec would be lost on PID 1. So hold signals back, look, and only then let
        # go of the handlers; what arrives after that meets the application's own defaults.
        mask: set[int] = set(_signal.pthread_sigmask(_signal.SIG_BLOCK, restored))
        for number in _signal.sigpending().intersection(ours):
            self._end(number)
        for number in restored:  # CPython ignores the last two for itself, and ignored signals survive exec
            _signal.signal(number, _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask.union(held))
        return mask

    def take_back(self, mask: "Iterable[int]") -> None:
        """Take the signals in hand again, after an exec that failed."""
        self._catch()
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)

    def _catch(self) -> None:
        for number in ending_signals():
            _signal.signal(number, lambda received, _frame: self._end(received))

    def _end(self, number: int) -> "NoReturn":
        self._undo_all()
        os._exit(_SIGNALLED + number)

    def _undo_all(self) -> None:
        while self._undo:
            self._undo.pop()()


def ending_signals() -> list[int]:
    """Return which of SIGTERM and SIGINT are not ignored."""
    return [number for number in (_signal.SIGTERM, _signal.SIGINT) if _signal.getsignal(number) != _signal.SIG_IGN]
