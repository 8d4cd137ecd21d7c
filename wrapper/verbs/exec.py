"""``strongroom exec``: another command in a running container, with the same secrets under the same policy.

For probes, cron jobs and ``kubectl exec``. It fetches anew, as ``strongroom run`` does; what differs is where it finds
out what to ask for: its own environment, a saved launch, or PID 1 when that is ``strongroom-init``.
"""

import gc
import os
from time import monotonic

from strongroom.errors import ConfigError, StrongroomError
from strongroom.isolation import unhidden
from wrapper.main import given_environment, is_within_a_launch, read_template, with_env_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from wrapper.plan import LaunchPlan
    from wrapper.saved_launch import SavedLaunch

USAGE = "usage: strongroom exec [--saved-launch FILE] [OPTIONS] [--] COMMAND [ARG...]"
_FLAG = "--saved-launch"
_INIT = "strongroom-init"


def main(arguments: list[str]) -> int:
    """Run a command with the container's secrets; returns only when that failed, with the exit status.

    Args:
        arguments: what follows ``strongroom exec``.
    """
    gc.disable()
    try:
        join(arguments, monotonic())
    except StrongroomError as error:
        from wrapper.exit_status import report

        return report(error)


def join(arguments: list[str], started: float) -> "NoReturn":
    """Find the launch, fetch its secrets and become the command.

    Raises:
        StrongroomError: whatever stopped it.
    """
    from wrapper.signals import Guard

    with Guard() as guard:
        from strongroom.linux import set_not_dumpable
        from wrapper.plan import plan_launch
        from wrapper.settings import SAVED_LAUNCH, load_settings, split_arguments

        named, rest = take_saved_launch(arguments)
        flags, command = split_arguments(rest)
        if not command:
            raise ConfigError("no command given", hint=USAGE)
        own = with_env_files(flags, given_environment())
        set_not_dumpable()
        if is_within_a_launch(own):
            # The application's secrets are in this very process already.
            msg = "this is started by an application that has its secrets, and passes on what it may"
            hint = "start the command itself; or `env -i strongroom exec -- ...`, to fetch anew from a saved launch"
            raise ConfigError(msg, hint=hint)
        named = named or own.pop(SAVED_LAUNCH, "")
        found = _find(own, flags, named)
        environ = found.environment | own
        settings = load_settings({"quiet": environ.get("STRONGROOM_QUIET", "1")} | flags, environ)
        plan = plan_launch(environ, read_template, exclude=found.exclude)
        keep_placed_files(plan)
        from wrapper.launch import Launch

        Launch(command, environ, settings, plan).start(guard, started)


def take_saved_launch(arguments: list[str]) -> tuple[str, list[str]]:
    """Take ``--saved-launch FILE`` out of the options that stand first; return the file, or "", and the rest.

    Raises:
        ConfigError: there is no file behind it.
    """
    flag, equals, value = arguments[0].partition("=") if arguments else ("", "", "")
    if flag != _FLAG:
        return "", arguments
    taken = 1 if equals else 2
    if not equals:
        value = arguments[1] if len(arguments) > 1 else ""
    if not value:
        raise ConfigError(f"{_FLAG}: needs a value (FILE)", hint="name what `strongroom run --save-launch FILE` wrote")
    return value, arguments[taken:]


def _find(own: "Mapping[str, str]", flags: "Mapping[str, str]", named: str) -> "SavedLaunch":
    """Return what to ask for besides what this process's environment says itself.

    Raises:
        ConfigError: there is nothing to ask for.
    """
    from strongroom.names import PREFIX
    from wrapper.plan import plan_launch
    from wrapper.saved_launch import DEFAULT_FILE, SavedLaunch, read_launch
    from wrapper.settings import FROM_PATH

    asks_itself = plan_launch(own, read_template).needs_bridge
    if asks_itself and ("bridge" in flags or {"STRONGROOM_BRIDGE", "STRONGROOM_CONFIG"} & own.keys()):
        return SavedLaunch({}, frozenset())
    path = named or own.get("STRONGROOM_SAVE_LAUNCH") or DEFAULT_FILE
    found = read_launch(path)
    if found is None and named:
        msg = f"saved launch {path}: no such file"
        raise ConfigError(msg, hint=f"start the container with `strongroom run --save-launch {path}`")
    found = found or launch_of_init()
    if asks_itself:
        # Its own references, with the settings that the launch was given as flags.
        settings = found.environment if found else {}
        kept = {name: text for name, text in settings.items() if name.startswith(PREFIX) and name != FROM_PATH}
        return SavedLaunch(kept, frozenset())
    if found is None:
        msg = f"nothing says which secrets: no reference in the environment, no {path}, and PID 1 is not {_INIT}"
        raise ConfigError(
            msg, hint=f"start the container with `strongroom run --save-launch {path}`, or with --supervise"
        )
    return found


def launch_of_init(process: str = "/proc/1") -> "SavedLaunch | None":
    """Return what the launch under ``strongroom-init`` was given, or None when PID 1 is something else.

    Args:
        process: the directory of PID 1.

    Raises:
        ConfigError: it is of another user.
    """
    from wrapper.plan import plan_launch
    from wrapper.saved_launch import launch_to_save
    from wrapper.settings import split_arguments

    try:
        if _read(f"{process}/comm").strip() != _INIT:
            return None
        pairs = _read(f"{process}/environ").split("\0")
        words = _read(f"{process}/cmdline").split("\0")[:-1]
    except PermissionError:
        msg = f"PID 1 is {_INIT}, and this user may not read its environment"
        raise ConfigError(msg, hint="run this as the user that the container runs as, or use --saved-launch") from None
    except OSError:
        return None
    verb = words.index("run") if "run" in words else len(words)
    behind = words[verb + 1 :]
    environ = unhidden(dict(pair.split("=", 1) for pair in pairs if "=" in pair), words[:verb])
    try:
        flags, _ = split_arguments(behind)
    except ConfigError:  # not the command line of a launch
        flags = {}
    environ = with_env_files(flags, environ, f"{process}/cwd")
    return launch_to_save(flags, environ, plan_launch(environ, read_template))


def _read(path: str) -> str:
    with open(path, "rb") as file:
        return os.fsdecode(file.read())


def keep_placed_files(plan: "LaunchPlan") -> None:
    """Leave the files that the launch has put in place already as they are.

    They are the application's; writing them anew would change them under its hands.
    """
    for target in plan.files.values():
        if target.path and os.path.lexists(target.path):
            target.keep()
