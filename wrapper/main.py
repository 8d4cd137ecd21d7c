"""``strongroom run [OPTIONS] [--] COMMAND [ARG...]``: what it is given, until there is a plan."""

import gc
import os
import sys
from time import monotonic

from strongroom.errors import ConfigError, StrongroomError
from strongroom.isolation import starting_words, unhidden, with_given_locale
from strongroom.names import FOR_THE_CHILD, PIDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn


_MAX_TEMPLATE_BYTES = 1 << 20  # of a file with references; what is longer is hardly a configuration

# Seen before anything of supervise mode is imported: most launches do without it.
_SUPERVISE = "STRONGROOM_SUPERVISE"
_SUPERVISE_FLAGS = ("--supervise", "--signal-group", "-g", "--remap", "--stop-")

# What a launch hands over with secrets. A program that may not have them finds neither.
_HANDED_OVER = ("STRONGROOM_REGION", "STRONGROOM_PADDING")

_ENV_FILE = "STRONGROOM_ENV_FILE"

USAGE = "usage: strongroom run [OPTIONS] [--] COMMAND [ARG...]"


def main(arguments: list[str]) -> int:
    """Launch a command with its secrets; returns only when that failed, with the exit status.

    Args:
        arguments: what follows ``strongroom run``.
    """
    started = monotonic()
    gc.disable()  # nothing lives long enough here to be worth a collection; they take 2 ms of the imports below
    if arguments[:1] in (["--help"], ["-h"]):
        from wrapper.usage import run_help

        sys.stdout.write(run_help())
        return 0
    try:
        refuse_within_a_launch(os.environ)
        if _SUPERVISE in os.environ or any(word.startswith(_SUPERVISE_FLAGS) for word in arguments):
            from wrapper.supervise import start_init

            start_init(arguments)
        run(arguments, started)
    except StrongroomError as error:
        from wrapper.exit_status import report

        return report(error)


def run(arguments: list[str], started: float) -> "NoReturn":
    """Carry out one launch.

    Raises:
        StrongroomError: whatever stopped it; nothing of the application has run.
    """
    # Imported here and in this order, so that the signals are in hand before the slow imports begin.
    from wrapper.signals import Guard

    with Guard() as guard:
        from strongroom.linux import set_not_dumpable
        from wrapper.plan import plan_launch
        from wrapper.settings import load_settings, split_arguments

        flags, command = split_arguments(arguments)
        if not command:
            raise ConfigError("no command given", hint=USAGE)
        environ = with_env_files(flags, given_environment())
        set_not_dumpable()  # before anything is known that others could be after
        settings = load_settings(flags, environ)
        for name in settings.passed_over:
            if not settings.quiet:
                from strongroom.terminal import say

                say(f"warning: {name}: no setting of `strongroom run`; passed over, as of another component")
        plan = plan_launch(environ, read_template)
        if settings.save_launch:
            from wrapper.saved_launch import launch_to_save, write_launch

            write_launch(settings.save_launch, launch_to_save(flags, environ, plan))
        from wrapper.launch import Launch

        Launch(command, environ, settings, plan).start(guard, started)


def is_within_a_launch(environ: "Mapping[str, str]") -> bool:
    """Return whether this process was started with secrets."""
    return any(name in environ for name in _HANDED_OVER)


def refuse_within_a_launch(environ: "Mapping[str, str]") -> None:
    """Refuse to start a command from a program that has secrets: it would find them in plain variables, as all would.

    Raises:
        ConfigError: this process was started with secrets.
    """
    if is_within_a_launch(environ):
        msg = "this process already runs under strongroom, and a launch within another would show its secrets"
        raise ConfigError(
            msg, hint="start the command itself, which gets what it may have; more references go to the outer launch"
        )


def given_environment() -> dict[str, str]:
    """Return the environment as this process was given it."""
    environ = unhidden(with_given_locale(os.environ), starting_words())
    for name in PIDS:
        if environ.get(name) == FOR_THE_CHILD:
            environ[name] = str(os.getpid())
    return environ


def with_env_files(flags: "Mapping[str, str]", environ: dict[str, str], folder: str = "") -> dict[str, str]:
    """Return the environment with what is read from files, if there are any (``--env-file``).

    Raises:
        ConfigError: one cannot be read, or a line of it is not clear.
    """
    paths = flags.get("env-file") or environ.get(_ENV_FILE)
    if not paths:
        return environ
    from wrapper.env_file import read_env_files

    return read_env_files(paths, environ, folder)


def read_template(path: str) -> str:
    """Return the text of a file that holds references.

    Raises:
        ConfigError: it cannot be read, is too long or is not UTF-8.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_TEMPLATE_BYTES + 1)
        if len(content) <= _MAX_TEMPLATE_BYTES:
            return content.decode()
        reason = f"is longer than {_MAX_TEMPLATE_BYTES} bytes"
    except OSError as error:
        reason = error.strerror or "cannot be read"
    except UnicodeDecodeError:
        reason = "is not UTF-8"
    msg = f"template={path}: {reason}"
    raise ConfigError(
        msg, hint="name a UTF-8 file of the image that the user of the wrapper can read, of 1 MiB at most"
    )
