"""``strongroom doctor``: arguments in, report out."""

import json
import os
import shutil
import sys
from typing import Protocol

from doctor.page import Page
from strongroom.errors import ConfigError, StrongroomError
from wrapper.exit_status import report
from wrapper.main import given_environment
from wrapper.settings import load_settings, split_arguments

HELP = """\
usage: strongroom doctor [-o json] [OPTIONS]
       strongroom doctor --attack PID [-o json] [OPTIONS]
       strongroom doctor --attack [-o json] [OPTIONS] -- COMMAND [ARG...]

Without --attack: try out what `strongroom run` needs on this machine, and say which protection each kind of program
would get. Nothing is inferred from version numbers, nothing is changed, and no secret is read.

With --attack: carry out every attack that docs/threat-model.md speaks about, on a running program or on COMMAND,
started for this like with `strongroom run` and ended afterwards. Each is tried as root, if this is root, and as the
program's own user. A program that is attacked keeps running; it stands still for some milliseconds, or, while gdb
looks at it, for a second. PID 1 and the processes that started this one are never attacked.

References in the environment tell which values to look for; they are fetched into secret memory, and there is an audit
record for it. Without references root learns the values from the program itself, if it can.

Options:
  -o json         print JSON
  --attack [PID]  attack a running process, or the command after --
  the options of `strongroom run`, and its STRONGROOM_* variables; --require is the floor that is judged by

Exit status: 0 when everything is there, or every attack was stopped that is claimed to be; 1 when not; else
  111  an option or setting is wrong, or there is no such process
  112 and up, as for `strongroom run`: COMMAND, or what it refers to, cannot be had
"""


class _Report(Protocol):
    """What both forms of the verb make."""

    @property
    def is_good(self) -> bool: ...

    def document(self) -> dict[str, object]: ...

    def render(self, page: Page) -> str: ...


class _Arguments:
    """The words of one call, sorted."""

    def __init__(self, words: list[str]) -> None:
        """Sort them.

        Raises:
            ConfigError: one is not understood.
        """
        self.as_json = False
        self.attack = False
        self.pid: int | None = None
        rest: list[str] = []
        own = True
        words = list(words)
        while words:
            word = words.pop(0)
            own = own and word != "--"
            if own and word == "-o":
                self._take_output(words.pop(0) if words else "")
            elif own and word == "--attack":
                self.attack = True
                if words and words[0].isascii() and words[0].isdigit():
                    self.pid = int(words.pop(0))
            else:
                rest.append(word)
        self.flags, self.command = split_arguments(rest)
        self.flag_words = rest[: len(rest) - len(self.command) - ("--" in rest)]
        if self.attack and (self.pid is None) == (not self.command):
            msg = "--attack: name a process, or a command after --"
            raise ConfigError(msg, hint="strongroom doctor --help shows both")
        if self.command and not self.attack:
            msg = f"{self.command[0]}: unexpected without --attack"
            raise ConfigError(msg, hint="strongroom plan -- COMMAND says what one command would get")

    def _take_output(self, word: str) -> None:
        if word != "json":
            raise ConfigError(f"-o {word}: must be json", hint="leave -o out for a table")
        self.as_json = True


def main(words: list[str]) -> int:
    """Run the verb and return its exit status.

    Args:
        words: what follows ``strongroom doctor``.
    """
    if words[:1] in (["--help"], ["-h"]):
        sys.stdout.write(HELP)
        return 0
    try:
        arguments = _Arguments(words)
        made = _make(arguments)
    except StrongroomError as error:
        status = report(error)
        return int(getattr(error, "status", status))
    sys.stdout.write(json.dumps(made.document(), indent=2) + "\n" if arguments.as_json else made.render(_page()))
    return 0 if made.is_good else 1


def _make(arguments: _Arguments) -> _Report:
    environ = given_environment()
    settings = load_settings(arguments.flags, environ)
    if not arguments.attack:
        from doctor.check import diagnose

        return diagnose(settings)
    from doctor.attack.verb import attack_command, attack_process

    if arguments.pid is not None:
        return attack_process(arguments.pid, settings, environ)
    return attack_command(arguments.flag_words, arguments.command, settings, environ)


def _page() -> Page:
    """Return how to lay out for this stdout: colour for a terminal only, unless NO_COLOR (no-color.org) is set."""
    terminal = sys.stdout.isatty()
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    return Page(colour=colour, unicode=encoding == "utf8", width=shutil.get_terminal_size().columns if terminal else 0)
