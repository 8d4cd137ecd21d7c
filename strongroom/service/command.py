"""The command line of a service: ``--help``, ``--print-config``, or read the settings and run until a signal.

Highest first: flags (``--listen``), the environment (``STRONGROOM_BRIDGE_LISTEN``), a TOML file (``listen = ":8443"``),
defaults. Whatever is unknown or malformed stops the start with one line that names the setting, the rule and the fix.

Files that every user of the machine may read or write although they are for the service alone are warned of, and not
refused: the wrapper, which refuses such files, has a setting for those who know that nobody else is there.
"""

import enum
import logging
import os
import re
import stat
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from strongroom.errors import ConfigError
from strongroom.linux.process import keep_memory_private
from strongroom.names import is_service_link
from strongroom.service.logs import configure_logging, log_event
from strongroom.service.members import nearest, parse_toml
from strongroom.service.server import ServerSettings
from strongroom.service.settings import REQUIRED, Guard, Rule, Setting, SettingsT, make_settings, settings_in, values_in
from strongroom.terminal import tell

_log = logging.getLogger(__name__)
EXIT_OK, EXIT_CONFIG = 0, 2
CONFIG_FLAG = "config"  # the one flag that every component has besides its settings
PRINT_CONFIG_FLAG = "--print-config"

_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


class ServiceSettings(typing.Protocol):
    """The settings of a service."""

    @property
    def server(self) -> ServerSettings:
        """Those that every server has."""


ServiceT = typing.TypeVar("ServiceT", bound=ServiceSettings)


def run_command(
    arguments: Sequence[str], *, verb: str, kind: type[ServiceT], prefix: str, run: Callable[[ServiceT], None]
) -> int:
    """Read the settings and run a service, in a process that is out of reach of core dumps and of its user's others.

    Args:
        arguments: of the command line, without the program's name.
        verb: as it follows ``strongroom``.
        kind: the settings class.
        prefix: of its environment variables.
        run: serves until SIGTERM or SIGINT; may raise ConfigError.

    Returns:
        The exit status: 0 after a drain or an answered question, 2 when a setting is wrong.
    """
    keep_memory_private()
    try:
        given = parse_arguments(arguments)
        if given.help:
            sys.stdout.write(f"usage: strongroom {verb} [--config FILE] [--SETTING VALUE]...\n\n")
            sys.stdout.write(describe_settings(kind, prefix=prefix))
            return EXIT_OK
        settings = load_settings(kind, prefix=prefix, arguments=given, environ=os.environ)
        if given.print_config:
            sys.stdout.write(show_settings(settings))
            return EXIT_OK
        configure_logging(verb, level=settings.server.log_level)
        warn_of_open_files(settings)
        run(settings)
    except ConfigError as error:
        tell(error)
        return EXIT_CONFIG
    return EXIT_OK


def warn_of_open_files(settings: object) -> None:
    """Log each file with a guard in its rule that is open to everybody; those that are missing are passed over."""
    values = values_in(settings)
    for name, one in settings_in(type(settings)).items():
        path, guard = values[name], one.rule.guard
        if guard is None or not isinstance(path, Path):
            continue
        try:
            mode = path.stat().st_mode
            if not all(folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents):
                continue  # not everybody gets there
        except OSError:
            continue  # anyone who opens it says why it cannot be
        if stat.S_ISREG(mode) and mode & (stat.S_IWOTH | (stat.S_IROTH if guard is Guard.READ else 0)):
            what = "may be written by everybody" if mode & stat.S_IWOTH else "may be read by everybody"
            reason = f"{name}={path}: {what} (mode {stat.S_IMODE(mode):04o})"
            hint = f"chmod o= {path}; its group may read it, if that is the group of uid {os.geteuid()}"
            log_event(_log, logging.WARNING, "open_file", {"reason": reason, "hint": hint})


@dataclass(frozen=True)
class Arguments:
    """The flags of a command line, not yet checked against a settings class.

    Attributes:
        flags: texts by setting name.
        config_file: the TOML file, or "".
        print_config: whether only the effective settings are wanted.
        help: whether only the list of settings is wanted.
    """

    flags: Mapping[str, str]
    config_file: str = ""
    print_config: bool = False
    help: bool = False


def parse_arguments(arguments: Sequence[str]) -> Arguments:
    """Split ``--name value`` and ``--name=value``.

    Raises:
        ConfigError: a word is not a flag, or a flag has no value.
    """
    flags: dict[str, str] = {}
    print_config = show_help = False
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word in {"--help", "-h"}:
            show_help = True
        elif word == PRINT_CONFIG_FLAG:
            print_config = True
        elif word.startswith("--") and len(word) > len("--"):
            flags[setting_of(word)] = take_value(word, words)
        else:
            raise ConfigError(f"{word!r}: is not an option", hint="--help lists the options")
    return Arguments(flags, flags.pop(CONFIG_FLAG, ""), print_config, show_help)


def setting_of(flag: str) -> str:
    """Return the name of the setting that ``--name`` or ``--name=value`` is of."""
    return flag.removeprefix("--").partition("=")[0].replace("-", "_")


def take_value(flag: str, words: list[str]) -> str:
    """Return the value of a flag, which is in it or is taken from the words behind it.

    Raises:
        ConfigError: it has none.
    """
    _, equals, value = flag.partition("=")
    if equals:
        return value
    if not words:
        raise ConfigError(f"{flag}: needs a value", hint=f"write {flag} VALUE")
    return words.pop(0)


def load_settings(kind: type[SettingsT], *, prefix: str, arguments: Arguments, environ: Mapping[str, str]) -> SettingsT:
    """Merge flags, environment, file and defaults into a settings object.

    Args:
        kind: the settings class; its ``__post_init__`` may check settings against each other.
        prefix: of the environment variables, for example ``STRONGROOM_BRIDGE_``.
        arguments: the command line.
        environ: the process environment.

    Raises:
        ConfigError: a setting is unknown, malformed or not given, or the file cannot be read.
    """
    known = settings_in(kind)
    variables = {
        name.removeprefix(prefix).lower(): (value, name)
        for name, value in environ.items()
        if name.startswith(prefix) and not is_service_link(name, value)
    }
    config_file = arguments.config_file or variables.pop(CONFIG_FLAG, ("", ""))[0]
    variables.pop(CONFIG_FLAG, None)
    given: dict[str, tuple[object, str]] = {}
    if config_file:
        given.update((name, (value, f"{config_file}: {name}")) for name, value in _read_file(config_file).items())
    given.update(variables)
    given.update((name, (value, "--" + name.replace("_", "-"))) for name, value in arguments.flags.items())
    for name, (_, origin) in given.items():
        if name not in known:
            msg = f"{origin}: there is no such setting"
            near = nearest(name, known)
            raise ConfigError(msg, hint=f"did you mean {near}?" if near else "--help lists the settings")
    values = {name: one.default for name, one in known.items()}
    values |= {name: _convert(value, known[name], origin) for name, (value, origin) in given.items()}
    for name, one in known.items():
        if values[name] is REQUIRED:
            msg = f"{name}: must be set ({one.rule.meaning})"
            raise ConfigError(msg, hint=f"give {one.flag}, {prefix}{name.upper()} or {name} in the file")
    return make_settings(kind, values)


def show_settings(settings: object) -> str:
    """Return the effective settings as TOML; a private one is shown as ``"***"``."""
    lines = []
    values = values_in(settings)
    for name, one in settings_in(type(settings)).items():
        shown = "***" if one.rule.private else values[name]
        lines.append(f"# {name} is not set" if values[name] is None else f"{name} = {_toml(shown)}")
    return "\n".join(lines) + "\n"


def describe_settings(kind: type[object], *, prefix: str) -> str:
    """Return the list of settings for ``--help``: flag, variable, default, meaning and reason."""
    lines = [
        f"  --{CONFIG_FLAG} FILE\n      TOML file with the settings below; also {prefix}{CONFIG_FLAG.upper()}",
        f"  {PRINT_CONFIG_FLAG}\n      print the effective settings and end",
    ]
    for name, one in settings_in(kind).items():
        rule = one.rule
        default = "not set" if one.default is None else f"default {_toml(one.default)}"
        notes = "; ".join(text for text in (rule.unit, "required" if one.is_required else default, rule.why) if text)
        lines.append(f"  {one.flag} ({prefix}{name.upper()})\n      {rule.meaning} ({notes})")
    return "\n".join(lines) + "\n"


def _read_file(path: str) -> dict[str, object]:
    try:
        return parse_toml(Path(path).read_bytes(), path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: does not exist", hint="name an existing settings file") from None
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror})"
        raise ConfigError(msg, hint="make it readable for the user of this process") from None


def _convert(value: object, setting: Setting, origin: str) -> object:
    """Turn a string or a TOML value into the type of the setting."""
    hint, rule = setting.kind, setting.rule
    if isinstance(hint, types.UnionType):  # X | None
        if value == "":
            return None
        hint = next(part for part in typing.get_args(hint) if part is not types.NoneType)
    try:
        converted = _CONVERTERS[hint](value) if hint in _CONVERTERS else _choose(value, typing.cast("typing.Any", hint))
    except ValueError as error:
        msg = f"{origin}: {_quote(value, rule)}{error}"
        raise ConfigError(msg, hint=f"it is {rule.meaning}" + (f" ({rule.unit})" if rule.unit else "")) from None
    if isinstance(converted, int | float) and not isinstance(converted, bool):
        too_small = rule.minimum is not None and not converted >= rule.minimum  # not: nan is refused, too
        if too_small or (rule.maximum is not None and not converted <= rule.maximum):
            msg = f"{origin}: {_quote(value, rule)}must be {_range(rule)}"
            raise ConfigError(msg, hint=f"it is {rule.meaning}" + (f" ({rule.unit})" if rule.unit else ""))
    return converted


def _quote(value: object, rule: Rule) -> str:
    return "" if rule.private else f"{value!r} "


def _range(rule: Rule) -> str:
    if rule.minimum is None or rule.maximum is None:
        return f"at least {rule.minimum:g}" if rule.minimum is not None else f"at most {rule.maximum:g}"
    return f"from {rule.minimum:g} to {rule.maximum:g}"


def _to_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004 - _convert turns ValueError into ConfigError
    return value


def _to_path(value: object) -> Path:
    text = _to_text(value)
    if not text:
        raise ValueError("must name a file")
    return Path(text)


def _to_int(value: object) -> int:
    if type(value) is int:
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    raise ValueError("must be a whole number")


def _to_float(value: object) -> float:
    if type(value) in {int, float}:
        return float(typing.cast("float", value))
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", value):
        return float(value)
    raise ValueError("must be a number")


def _to_bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _TRUE + _FALSE:
        return value.lower() in _TRUE
    raise ValueError("must be true or false")


_CONVERTERS: dict[object, Callable[[object], object]] = {
    str: _to_text,
    Path: _to_path,
    int: _to_int,
    float: _to_float,
    bool: _to_bool,
}


def _choose(value: object, kind: type[enum.Enum]) -> enum.Enum:
    for member in kind:
        if member.value == value:
            return member
    raise ValueError(f"must be one of {', '.join(str(member.value) for member in kind)}")


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    text = str(value.value if isinstance(value, enum.Enum) else value)
    escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return f'"{escaped}"'
