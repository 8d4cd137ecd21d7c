"""What a launch asked for, kept so that ``strongroom exec`` can ask again: references and settings, no secret.

    {"strongroom_launch": 1,
     "environment": {"DB_PASSWORD": "bao:kv/shop/db#password", "STRONGROOM_BRIDGE": "https://bridge:8443"},
     "exclude": ["HOME", "PATH"]}

``exclude`` are the names that the launch's environment had, which a whole path does not set. Values of variables
without references are not kept: nobody knows what they are.
"""

import json
import os
import stat

from strongroom.errors import ConfigError
from strongroom.launch.reference import holds_reference, is_env_name
from strongroom.names import PREFIX
from wrapper.settings import FROM_PATH, SETTINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from wrapper.plan import LaunchPlan

DEFAULT_FILE = "/run/strongroom/launch.json"

_FORMAT = "strongroom_launch"
_MAX_BYTES = 8 << 20
_NOT_KEPT = ("quiet", "save-launch", "env-file")  # about one process, not about what it asks for


class SavedLaunch:
    """What is kept of a launch.

    Attributes:
        environment: variables with references, and settings as ``STRONGROOM_*`` variables.
        exclude: names of variables that a whole path does not set.
    """

    __slots__ = ("environment", "exclude")

    def __init__(self, environment: dict[str, str], exclude: frozenset[str]) -> None:
        self.environment = environment
        self.exclude = exclude


def launch_to_save(flags: "Mapping[str, str]", environ: "Mapping[str, str]", plan: "LaunchPlan") -> SavedLaunch:
    """Return what is kept of a launch; flags become variables, and paths of files absolute."""
    environment = {entry.name: environ[entry.name] for entry in plan.request.entries}
    if FROM_PATH in environ:
        environment[FROM_PATH] = environ[FROM_PATH]
    for setting in SETTINGS:
        text = flags.get(setting.name) or environ.get(setting.variable)
        if text and setting.name not in _NOT_KEPT:
            environment[setting.variable] = os.path.abspath(text) if setting.metavar == "FILE" else text
    return SavedLaunch(environment, frozenset(plan.plain))


def write_launch(path: str, launch: SavedLaunch) -> None:
    """Write a launch to a file of mode 0600, at once.

    Raises:
        ConfigError: it cannot be written.
    """
    document = {_FORMAT: 1, "environment": launch.environment, "exclude": sorted(launch.exclude)}
    scratch = f"{path}.{os.urandom(4).hex()}"
    try:
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(json.dumps(document, indent=1).encode())
            os.rename(scratch, path)
        except OSError:
            os.unlink(scratch)
            raise
    except OSError as error:
        msg = f"--save-launch {path}: {error.strerror}"
        raise ConfigError(msg, hint="name a file in a directory that this user may write to") from None


def read_launch(path: str) -> SavedLaunch | None:
    """Read what ``write_launch`` wrote; None when there is no such file.

    Raises:
        ConfigError: it cannot be read, is not such a file, or somebody else could have written it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        msg = f"saved launch {path}: {error.strerror}"
        raise ConfigError(msg, hint="run this as the user that the container runs as") from None
    try:
        found = os.fstat(descriptor)
        foreign = found.st_uid not in {0, os.geteuid()} or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if not stat.S_ISREG(found.st_mode) or foreign:
            # It decides which bridge is believed.
            msg = f"saved launch {path}: is not a file that only root or user {os.geteuid()} can write to"
            raise ConfigError(msg, hint="run this as the user that the container runs as")
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(_MAX_BYTES)
    finally:
        os.close(descriptor)
    return decode_launch(content, path)


def decode_launch(content: bytes, path: str) -> SavedLaunch:
    """Read the content of a saved launch.

    Raises:
        ConfigError: it is not of the form above.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict) and document.keys() == {_FORMAT, "environment", "exclude"}:
        environment, exclude = document["environment"], document["exclude"]
        legal = document[_FORMAT] == 1 and isinstance(environment, dict) and isinstance(exclude, list)
        if legal and all(map(_is_kept, environment.items())) and all(isinstance(name, str) for name in exclude):
            return SavedLaunch(environment, frozenset(exclude))
    msg = f"saved launch {path}: is not what `strongroom run --save-launch` writes"
    raise ConfigError(msg, hint="start the container again with the same version of strongroom")


def _is_kept(variable: "tuple[str, object]") -> bool:
    """Return whether a saved variable is one that ``launch_to_save`` keeps: a setting or a reference."""
    name, text = variable
    if not isinstance(text, str) or not is_env_name(name) or "\0" in text:
        return False
    return name.startswith(PREFIX) or holds_reference(text) or text.startswith("file(")
