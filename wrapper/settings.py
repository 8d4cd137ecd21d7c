"""The wrapper's settings: flags, then ``STRONGROOM_*`` variables, then a TOML file, then defaults.

Parsed by hand and held in a plain class: argparse and dataclasses would cost each launch more than the TLS handshake.
``docs/operations.md`` lists the same settings; a test compares the two.
"""

from strongroom.errors import ConfigError
from strongroom.names import PADDING, PREFIX, is_of_component, is_service_link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Variables that are ours but no settings: references, and what an enclosing launch handed to this process.
FROM_PATH = "STRONGROOM_FROM_PATH"
REGION = "STRONGROOM_REGION"
SAVED_LAUNCH = "STRONGROOM_SAVED_LAUNCH"  # of `strongroom exec`
ENV_FILE = "env-file"  # read by wrapper.env_file, before the other settings are
_NOT_SETTINGS = (FROM_PATH, REGION, SAVED_LAUNCH, PADDING)

# Read by wrapper.supervise, before these settings are.
SUPERVISION_FLAGS = ("--supervise", "--signal-group", "-g", "--remap", "--stop-timeout", "--stop-signal")
_SUPERVISION = tuple(PREFIX + name for name in ("SUPERVISE", "SIGNAL_GROUP", "REMAP", "STOP_TIMEOUT", "STOP_SIGNAL"))

REQUIRE_MEMFD_SECRET = "memfd-secret"  # noqa: S105 - the name of a system call
REQUIRE_LOCKED = "locked"
REQUIRE_ANY = "any"
REQUIREMENTS = (REQUIRE_MEMFD_SECRET, REQUIRE_LOCKED, REQUIRE_ANY)


class Setting:
    """One setting: its name (flag ``--name``, variable ``STRONGROOM_NAME``), default, parser and meaning."""

    __slots__ = ("default", "meaning", "metavar", "name", "parse")

    def __init__(self, name: str, metavar: str, default: str, parse: "Callable[[str], object]", meaning: str) -> None:
        """Take the fields as they are; ``parse`` raises ValueError with the rule that a string breaks."""
        self.name = name
        self.metavar = metavar
        self.default = default
        self.parse = parse
        self.meaning = meaning

    @property
    def flag(self) -> str:
        """The flag."""
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper().replace("-", "_")


def _text(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _absolute(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError("must be an absolute path")
    return text


def _url(text: str) -> str:
    if not text.startswith("https://") or len(text) == len("https://"):
        raise ValueError("must be https://HOST[:PORT]")
    return text


def _seconds(text: str) -> float:
    msg = "must be a number of seconds from 0 to 86400"
    try:
        value = float(text)
    except ValueError:
        raise ValueError(msg) from None
    if not 0 <= value <= 86_400:  # noqa: PLR2004 - a day; also refuses nan
        raise ValueError(msg)
    return value


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and int(text) <= 1000):  # noqa: PLR2004 - plenty
        raise ValueError("must be a whole number from 0 to 1000")
    return int(text)


def _requirement(text: str) -> str:
    if text not in REQUIREMENTS:
        raise ValueError(f"must be one of {', '.join(REQUIREMENTS)}")
    return text


SWITCH_TEXTS = ("0", "1", "true", "false")


def _switch(text: str) -> bool:
    if text not in SWITCH_TEXTS:
        raise ValueError("must be 0 or 1")
    return text in {"1", "true"}


def _children(text: str) -> str:
    if text not in {"inherit", "deny"} and not (text.startswith("allow:") and all(text[len("allow:") :].split(","))):
        raise ValueError("must be inherit, deny or allow:PROGRAM[,PROGRAM...]")
    return text


SETTINGS = (
    Setting("bridge", "URL", "", _url, "the bridge, https://HOST[:PORT]; port 8443 if none is given"),
    Setting(
        "ca", "FILE", "/run/strongroom/tls/ca.crt", _text, "authorities that may sign the bridge's certificate, PEM"
    ),
    Setting("cert", "FILE", "/run/strongroom/tls/tls.crt", _text, "the wrapper's certificate with its chain, PEM"),
    Setting("key", "FILE", "/run/strongroom/tls/tls.key", _text, "the private key of that certificate, PEM"),
    Setting(
        "require",
        "LEVEL",
        REQUIRE_MEMFD_SECRET,
        _requirement,
        "the least protection that will do: memfd-secret, locked or any",
    ),
    Setting(
        "children",
        "POLICY",
        "inherit",
        _children,
        "which programs that the application starts get its secrets: inherit (all), deny (none) or "
        "allow:PROGRAM[,PROGRAM...], by name or path",
    ),
    Setting("timeout", "SECONDS", "30", _seconds, "how long fetching may take, with all attempts and pauses"),
    Setting("attempt-timeout", "SECONDS", "10", _seconds, "how long one request may take"),
    Setting(
        "wait",
        "SECONDS",
        "10",
        _seconds,
        "how long to wait for a bridge or certificates that are not there yet; 0 does not",
    ),
    Setting("retries", "COUNT", "4", _count, "how often to ask again when the bridge is busy or an answer is lost"),
    Setting("save-launch", "FILE", "", _absolute, "write references and settings there, for `strongroom exec`"),
    Setting(
        "require-yama",
        "[0|1]",
        "0",
        _switch,
        "start only where Yama and memfd_secret keep this user's other programs out",
    ),
    Setting(
        "dumpable", "[0|1]", "0", _switch, "leave the application open to debuggers and jobs of its own user in /proc"
    ),
    Setting("new-privileges", "[0|1]", "0", _switch, "let set-id programs and file capabilities take effect"),
    Setting(
        "shared-key", "[0|1]", "0", _switch, "take a private key or certificates that every user here may read or write"
    ),
    Setting("quiet", "[0|1]", "0", _switch, "say nothing unless something is wrong"),
    Setting("env-file", "FILE", "", _text, "variables from a file, for those that the environment does not have"),
    Setting("config", "FILE", "", _text, "a TOML file with any of these settings by name"),
)
_BY_FLAG = {setting.flag: setting for setting in SETTINGS}
_BY_VARIABLE = {setting.variable: setting for setting in SETTINGS}
_BY_NAME = {setting.name: setting for setting in SETTINGS}


class WrapperSettings:
    """The effective settings of one launch; the fields are those of ``SETTINGS``, times in seconds.

    ``passed_over`` are variables with our prefix that can only belong to a component unknown to this version.
    """

    def __init__(self, values: "Mapping[str, object]", passed_over: list[str]) -> None:
        """Take parsed values by the name of their setting."""
        self.passed_over = passed_over
        self.bridge = str(values["bridge"])
        self.ca = str(values["ca"])
        self.cert = str(values["cert"])
        self.key = str(values["key"])
        self.require_yama = bool(values["require-yama"])
        # Other memory can be opened by /proc/PID/fd while the launch execs, whatever Yama says.
        self.require = REQUIRE_MEMFD_SECRET if self.require_yama else str(values["require"])
        self.children = str(values["children"])
        self.timeout_s = _as_float(values["timeout"])
        self.attempt_timeout_s = _as_float(values["attempt-timeout"])
        self.wait_s = _as_float(values["wait"])
        self.retries = int(_as_float(values["retries"]))
        self.save_launch = str(values["save-launch"])
        self.dumpable = bool(values["dumpable"])
        self.new_privileges = bool(values["new-privileges"])
        self.shared_key = bool(values["shared-key"])
        self.quiet = bool(values["quiet"])


def _as_float(value: object) -> float:
    assert isinstance(value, int | float)  # noqa: S101 - what the parsers above return
    return value


def split_arguments(
    arguments: list[str], *, also: "Mapping[str, str] | None" = None
) -> tuple[dict[str, str], list[str]]:
    """Split ``[--flag value | --flag=value | --switch]... [--] COMMAND ARG...``.

    Args:
        arguments: the words.
        also: flags of one verb, with what stands behind them, or "" for nothing; they are returned under these names.

    Returns:
        Flags by setting name, and the command.

    Raises:
        ConfigError: a flag is unknown or has no value.
    """
    flags: dict[str, str] = {}
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word == "--":
            break
        if also and word in also:
            flags[word] = _behind(rest, word, also[word]) if also[word] else "1"
            continue
        flag, equals, value = word.partition("=")
        setting = _BY_FLAG.get(flag)
        if setting is None:
            msg = f"{flag}: unknown option"
            raise ConfigError(
                msg,
                hint=f"the options are {' '.join([*(also or ()), *_BY_FLAG, *SUPERVISION_FLAGS])}; a command that "
                "begins with - goes after --",
            )
        if not equals and setting.parse is _switch:  # it may stand alone
            value = rest.pop(0) if rest and rest[0] in SWITCH_TEXTS else "1"
        elif not equals:
            value = _behind(rest, flag, setting.metavar)
        if not value and not setting.default:  # the others have parsers that refuse it
            msg = f"{flag}: needs a value ({setting.metavar}), and has an empty one"
            raise ConfigError(msg, hint=f"is a variable of the command line not set? Leave {flag} out for none")
        again = setting.name == ENV_FILE and setting.name in flags  # the only one that may stand several times
        flags[setting.name] = f"{flags[setting.name]},{value}" if again else value
    return flags, rest


def _behind(rest: list[str], flag: str, metavar: str) -> str:
    if not rest:
        raise ConfigError(f"{flag}: needs a value ({metavar})", hint=f"write {flag} {metavar}")
    return rest.pop(0)


def load_settings(flags: "Mapping[str, str]", environ: "Mapping[str, str]") -> WrapperSettings:
    """Merge flags, environment, file and defaults.

    Args:
        flags: texts by setting name, as ``split_arguments`` gives them.
        environ: the process environment.

    Raises:
        ConfigError: a string breaks its rule, or a ``STRONGROOM_*`` variable or a key of the file is unknown.
    """
    texts: dict[str, tuple[str, str]] = {setting.name: (setting.default, setting.flag) for setting in SETTINGS}
    passed_over: list[str] = []
    variables = {name: value for name, value in environ.items() if _is_setting(name, value, passed_over)}
    config_file = flags.get("config") or variables.get(PREFIX + "CONFIG")
    if config_file:
        texts.update(_read_file(config_file))
    texts.update({_BY_VARIABLE[name].name: (value, name) for name, value in variables.items()})
    texts.update({name: (value, _BY_NAME[name].flag) for name, value in flags.items()})
    values: dict[str, object] = {}
    for setting in SETTINGS:
        text, origin = texts[setting.name]
        if text == setting.default == "":
            values[setting.name] = ""
            continue
        try:
            values[setting.name] = setting.parse(text)
        except ValueError as error:
            raise ConfigError(f"{origin}={text}: {error}", hint=f"it is {setting.meaning}") from None
    return WrapperSettings(values, passed_over)


def _is_setting(name: str, value: str, passed_over: list[str]) -> bool:
    if not name.startswith(PREFIX) or name in (*_NOT_SETTINGS, *_SUPERVISION):
        return False
    if name in _BY_VARIABLE:
        return True
    if is_of_component(name) or is_service_link(name, value):
        return False
    _refuse_unless_foreign(name)
    passed_over.append(name)
    return False


def _refuse_unless_foreign(name: str) -> None:
    """Return when a name can only be a setting of a component that this version does not know.

    A mistyped setting must not be ignored: the launch would protect less than its owner asked for.

    Raises:
        ConfigError: it is one word, begins with a word of ours, or resembles one of our names.
    """
    from difflib import get_close_matches

    text = name.removeprefix(PREFIX)
    first, mark, _ = text.partition("_")
    known = [known.removeprefix(PREFIX) for known in (*_BY_VARIABLE, *_NOT_SETTINGS, *_SUPERVISION)]
    ours = {word.partition("_")[0] for word in known}
    if mark and first not in ours and not get_close_matches(text, known, n=1, cutoff=0.84):
        return
    near = get_close_matches(text, known, n=1)
    msg = f"{name}: unknown setting"
    raise ConfigError(
        msg, hint=f"did you mean {PREFIX}{near[0]}?" if near else "names that begin with STRONGROOM_ are reserved"
    )


def _read_file(path: str) -> dict[str, tuple[str, str]]:
    import tomllib

    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        msg = f"config file {path}: {error.strerror}"
        raise ConfigError(
            msg, hint="name an existing TOML file that the user of the wrapper can read, or leave --config out"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"config file {path}: {error}", hint="see https://toml.io") from None
    texts: dict[str, tuple[str, str]] = {}
    for name, value in document.items():
        if name not in _BY_NAME or name in {"config", ENV_FILE}:
            msg = f"config file {path}: unknown setting {name!r}"
            raise ConfigError(msg, hint=f"the settings are {', '.join(sorted(_BY_NAME.keys() - {'config', ENV_FILE}))}")
        if not isinstance(value, str | int | float):
            msg = f"config file {path}: {name} must be a string, a number or true or false"
            raise ConfigError(msg, hint="write it as on the command line, in quotes")
        texts[name] = (str(value).lower() if isinstance(value, bool) else str(value), f"{path}: {name}")
    return texts
