"""Supervise mode: put ``strongroom-init`` in this process's place, with the launch itself as its child.

``strongroom run --supervise -g -- CMD`` execs ``strongroom-init -g -- python -m cli run -- CMD``; the child execs the
application in the end, so no Python stays. Decides from words and variables only; the values of init's own options are
checked by init. Imports next to nothing: what comes before init is the one stretch in which PID 1 loses signals.
"""

import os
import sys

from strongroom.isolation import with_given_locale
from strongroom.names import FOR_THE_CHILD, PIDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

SUPERVISE = "STRONGROOM_SUPERVISE"
SIGNAL_GROUP = "STRONGROOM_SIGNAL_GROUP"
REMAP = "STRONGROOM_REMAP"
STOP_TIMEOUT = "STRONGROOM_STOP_TIMEOUT"
STOP_SIGNAL = "STRONGROOM_STOP_SIGNAL"
VARIABLES = (SUPERVISE, SIGNAL_GROUP, REMAP, STOP_TIMEOUT, STOP_SIGNAL)

_SWITCHES = {"--supervise": SUPERVISE, "--signal-group": SIGNAL_GROUP, "-g": SIGNAL_GROUP}
_OTHER_SWITCHES = (
    "--quiet",
    "--require-yama",
    "--dumpable",
    "--new-privileges",
    "--shared-key",
)  # of `run`; may have one
_ON_AND_OFF = (["0"], ["1"], ["false"], ["true"])
_WITH_VALUE = {"--remap": REMAP, "--stop-timeout": STOP_TIMEOUT, "--stop-signal": STOP_SIGNAL}
_VALUES = {REMAP: "FROM:TO", STOP_TIMEOUT: "SECONDS", STOP_SIGNAL: "SIG"}


def command_for_init(
    arguments: "Sequence[str]", environ: "Mapping[str, str]", *, own: "Sequence[str]"
) -> list[str] | None:
    """Return the command line of init that puts a launch under supervision, or None when that is not asked for.

    Args:
        arguments: what follows ``strongroom run``.
        environ: the process environment; flags win over its variables.
        own: the words that start this program, up to and with ``run``.

    Raises:
        ConfigError: a flag lacks its value, a switch is neither 0 nor 1, or a flag that only makes sense under
            supervision stands without it.
    """
    flags, rest = _split(arguments)
    texts = {name: [environ[name]] for name in VARIABLES if environ.get(name)} | flags
    if not _is_on(texts, SUPERVISE):
        for word, name in (_SWITCHES | _WITH_VALUE).items():
            if name != SUPERVISE and name in flags:
                _refuse(f"{word}: needs --supervise")
        return None
    command = ["strongroom-init"]
    if _is_on(texts, SIGNAL_GROUP):
        command.append("--signal-group")
    for word, name in _WITH_VALUE.items():
        command += [f"{word}={value}" for text in texts.get(name, []) for value in text.split(",")]
    return [*command, "--", *own, *rest]


def environment_for_init(environ: "Mapping[str, str]") -> dict[str, str]:
    """Return the environment without the variables that are dealt with, so that the child does not start over.

    What was meant for this process is meant for the child then, whose number nobody knows yet (sd_listen_fds(3)).
    """
    own = str(os.getpid())
    return {
        name: FOR_THE_CHILD if name in PIDS and value == own else value
        for name, value in environ.items()
        if name not in VARIABLES
    }


def own_command(arguments: "Sequence[str]") -> list[str]:
    """Return the words that started this process, up to those ``arguments``: interpreter, its flags, program, verb."""
    words = sys.orig_argv[: len(sys.orig_argv) - len(arguments)]
    return [sys.executable or words[0], *words[1:]]


def start_init(arguments: "Sequence[str]") -> None:
    """Become ``strongroom-init`` when supervision is asked for; otherwise return at once.

    Args:
        arguments: what follows ``strongroom run``, as this process was given them.

    Raises:
        ConfigError: an option is wrong.
        CannotExecError: ``strongroom-init`` is missing or cannot be executed.
    """
    command = command_for_init(arguments, os.environ, own=own_command(arguments))
    if command is None:
        return
    from preload import LibraryError, init_path

    try:
        path = init_path()
        os.execve(path, command, environment_for_init(with_given_locale(os.environ)))  # noqa: S606 - it takes our place
    except (LibraryError, OSError) as error:
        from wrapper.program import CannotExecError

        reason = f"{path}: {error.strerror}" if isinstance(error, OSError) else str(error)
        raise CannotExecError(reason, hint="without --supervise the application itself becomes PID 1") from None


def _split(arguments: "Sequence[str]") -> tuple[dict[str, list[str]], list[str]]:
    """Take our flags out of the words in front of the command; return them by variable, and the words that are left."""
    flags: dict[str, list[str]] = {}
    rest: list[str] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        flag, equals, value = word.partition("=")
        if word == "--" or not word.startswith("-"):
            return flags, [*rest, word, *words]
        if flag in _SWITCHES:
            flags[_SWITCHES[flag]] = [value if equals else "1"]
        elif flag in _WITH_VALUE:
            name = _WITH_VALUE[flag]
            if not equals and not words:
                _refuse(f"{flag}: needs a value ({_VALUES[name]})")
            flags.setdefault(name, []).append(value if equals else words.pop(0))
        else:  # some other option of `run`, with its value
            rest.append(word)
            alone = flag in _OTHER_SWITCHES and words[:1] not in _ON_AND_OFF
            if not equals and not alone:
                rest += words[:1]
                del words[:1]
    return flags, rest


def _is_on(texts: "Mapping[str, Sequence[str]]", name: str) -> bool:
    text = texts.get(name, ["0"])[-1]
    if text not in {"0", "1", "true", "false"}:
        _refuse(f"{name}={text}: must be 0 or 1")
    return text in {"1", "true"}


def _refuse(message: str) -> "NoReturn":
    from strongroom.errors import ConfigError

    raise ConfigError(message, hint="`strongroom run --help` lists the options of supervision")
