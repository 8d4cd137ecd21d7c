"""``strongroom run [OPTIONS] [--] COMMAND [ARG...]``: the way of one launch, step by step."""

import gc
import os
import sys
from time import monotonic, time

from strongroom.errors import ConfigError, StrongroomError
from strongroom.isolation import starting_words, unhidden, with_given_locale
from strongroom.names import FOR_THE_CHILD, PIDS
from wrapper.exit_status import status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from wrapper.plan import LaunchPlan
    from wrapper.program import Program
    from wrapper.settings import WrapperSettings

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
        launch(arguments, started)
    except StrongroomError as error:
        return report(error)
    finally:
        clean_up()


def clean_up() -> None:
    """Remove what a launch that failed has left."""
    handoff = sys.modules.get("wrapper.handoff")
    if handoff:
        handoff.remove_leavings()


def report(error: StrongroomError) -> int:
    """Print an error as every verb does and return its exit status."""
    say(f"error: {error.message}")
    if error.hint:
        say(f"hint: {error.hint}")
    return status_of(error)


def say(text: str) -> None:
    """Write a line to stderr. That nobody reads it, or that it is closed, must not stop a launch or change a status."""
    try:  # contextlib would be one more import
        os.write(2, f"strongroom: {text}\n".encode(errors="backslashreplace"))
    except OSError:
        return


def launch(arguments: list[str], started: float) -> "NoReturn":
    """Carry out one launch.

    Raises:
        StrongroomError: whatever stopped it; nothing of the application has run.
    """
    # Imported here and in this order, so that the signals are in hand before the slow imports begin.
    from wrapper.handoff import end_on_signal

    end_on_signal()
    from strongroom.linux import set_not_dumpable
    from wrapper.plan import plan_launch
    from wrapper.settings import load_settings, split_arguments

    flags, command = split_arguments(arguments)
    if not command:
        msg = "no command given"
        raise ConfigError(msg, hint=USAGE)
    environ = with_env_files(flags, given_environment())
    set_not_dumpable()  # before anything is known that others could be after
    settings = load_settings(flags, environ)
    for name in settings.passed_over:
        if not settings.quiet:
            say(f"warning: {name}: no setting of `strongroom run`; passed over, as of another component")
    plan = plan_launch(environ, read_template)
    if settings.save_launch:
        from wrapper.saved_launch import launch_to_save, write_launch

        write_launch(settings.save_launch, launch_to_save(flags, environ, plan))
    start(command, environ, settings, plan, started)


def start(
    command: list[str], environ: "Mapping[str, str]", settings: "WrapperSettings", plan: "LaunchPlan", started: float
) -> "NoReturn":
    """Fetch what a plan asks for and become the command.

    Args:
        command: the words of the command.
        environ: the environment that the plan was made from.
        settings: of this launch.
        plan: what to ask for and pass on.
        started: when the launch began, on the monotonic clock.

    Raises:
        StrongroomError: whatever stopped it; nothing of the application has run.
    """
    from wrapper.handoff import ADDED, RUNG_PTRACE, become, build_environment, choose_rung, harden, remove_on_failure
    from wrapper.program import find_program

    program = find_program(command, environ)
    _look_at(command, program, settings, plan, environ.get("PATH", ""))
    if not plan.needs_bridge:
        harden(settings)
        become(program, dict(plan.plain))
    _refuse_to_fetch(settings)
    rung = choose_rung(program, new_privileges=settings.new_privileges)
    files = None
    if plan.files:
        from wrapper.files.launch_files import Files

        files = Files(plan.files)  # looks at the directories, before anything is fetched
        remove_on_failure(files.remove)
    tracer = None
    if rung == RUNG_PTRACE:
        from strongroom.linux import set_dumpable
        from wrapper.static.start import start_tracer

        set_dumpable()  # its own child could not attach otherwise; there is no secret yet
        tracer = start_tracer()  # gets ready during the imports

    from strongroom.launch.bundle import BUNDLE_URL_PATH
    from strongroom.linux import set_not_dumpable
    from wrapper.fetch.bridge import Bridge
    from wrapper.memory import SecretMemory

    if tracer:
        tracer.wait_attached()
    set_not_dumpable()
    harden(settings)
    memory = SecretMemory(settings.require)
    bridge = Bridge(settings)
    _warn_of_end(settings)
    if files:
        bridge.fetch_with_files(BUNDLE_URL_PATH, plan.request, files.receiver(memory.allocate))
    else:
        bridge.fetch_region(BUNDLE_URL_PATH, plan.request, memory.allocate)
    file_values = files.hand_over() if files else {}
    environment = build_environment(plan, memory, settings, rung, file_values)
    held = tracer.instruct(memory, settings) if tracer else ()
    if files:
        files.put_in_place()
    if tracer and settings.children != "inherit" and not settings.quiet:
        # Nothing wraps what such a program calls, so it passes its environment on as it is.
        say(f"warning: {program.binary} loads no library: --children {settings.children} ends where it starts others")
    if not settings.quiet:
        count = len(environment.keys() - plan.plain.keys() - file_values.keys() - ADDED)
        placed = _where(count, f"{memory.rung} memory by {rung}", len(file_values))
        say(f"{placed}, {(monotonic() - started) * 1000:.0f} ms")
    _look_again(program, rung, environ, settings)
    become(program, environment, held)


def _look_at(
    command: list[str], program: "Program", settings: "WrapperSettings", plan: "LaunchPlan", search_path: str
) -> None:
    """Refuse or warn of what would not go as its owner thinks.

    Raises:
        ConfigError: programs are to have secrets, and a variable is named.
    """
    if settings.children.startswith("allow:"):
        from wrapper.children import check_allowed

        check_allowed(settings, plan.names, search_path)
    if not settings.quiet:
        _warn_of_privileges(program, settings)
    if os.getpid() == 1 and not settings.quiet:
        from wrapper.pid_one import warn_of_shell

        warn_of_shell(program, command)


def _where(count: int, memory: str, in_files: int) -> str:
    """Return how many secrets are where."""
    first, behind = (count, f"in {memory}") if count or not in_files else (in_files, "in files")
    more = f", {in_files} in files" if count and in_files else ""
    return f"{first} secret{'' if first == 1 else 's'} {behind}{more}"


def _warn_of_privileges(program: "Program", settings: "WrapperSettings") -> None:
    """Say beforehand what the program itself can only report as a failure of its own."""
    if settings.new_privileges:
        return
    from wrapper.handoff import without_effect

    what = without_effect(program.binary)
    if what:
        way = "give ambient ones (setpriv --ambient-caps)" if what == "file capabilities" else "see --new-privileges"
        say(f"warning: {program.binary}: its {what} will have no effect, since nothing gains privileges here; {way}")


def _warn_of_end(settings: "WrapperSettings") -> None:
    """Say that our certificate ends soon, while launches still succeed."""
    if settings.quiet:
        return
    from strongroom.validity import read_validity

    validity = read_validity(settings.cert)
    if validity and validity.ends_soon(time()):
        from wrapper.fetch.own_certificate import warning_of_end

        say(f"warning: {warning_of_end(settings.cert, validity)}")


def _look_again(program: "Program", rung: str, environ: "Mapping[str, str]", settings: "WrapperSettings") -> None:
    """Refuse what replaced the program while its secrets were fetched if they do not reach it by this rung."""
    from wrapper.exit_status import ProtectionError
    from wrapper.handoff import choose_rung
    from wrapper.program import find_program

    if choose_rung(find_program([program.path], environ), new_privileges=settings.new_privileges) != rung:
        msg = f"{program.path}: was replaced by a program of another kind while its secrets were fetched"
        raise ProtectionError(msg, hint="start it again when it is complete")


def _refuse_to_fetch(settings: "WrapperSettings") -> None:
    """Refuse what would make it wrong to ask for a secret.

    Raises:
        StrongroomError: there is no bridge to ask, or others could learn the secrets.
    """
    from wrapper.exposure import refuse_exposed

    if not settings.bridge:
        msg = "STRONGROOM_BRIDGE is not set, and the environment refers to secrets"
        raise ConfigError(msg, hint="set it to the address of the bridge, for example https://bridge:8443")

    refuse_exposed(settings)


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
