"""Verbs and options as the programs themselves have them: from settings, settings classes and argparse's parsers.

Nothing of a command line is known here. A component that is not installed has no options.
"""

import argparse
import dataclasses
import enum
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Literal

from cli.main import VERBS
from wrapper.settings import REQUIREMENTS, SETTINGS, Setting
from wrapper.usage import SUPERVISION

Rest = Literal["", "command", "files"]

_FILES = ("FILE", "DIR", "OUT", "KEY")  # what stands for a path in a help text
_SHELLS = {"bash": "the Bourne-again shell", "zsh": "the Z shell", "fish": "the friendly interactive shell"}


@dataclasses.dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        flag: as it is typed.
        meaning: in a few words.
        takes_value: whether the next word is its value.
        takes_files: whether that value is a path.
        choices: what the value can be, if that is known.
    """

    flag: str
    meaning: str
    takes_value: bool = False
    takes_files: bool = False
    choices: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Verb:
    """What can stand behind a verb.

    Attributes:
        options: its options.
        verbs: words of which one comes next, with their meanings.
        rest: what the words behind its options are.
    """

    options: tuple[Option, ...] = ()
    verbs: "dict[str, str]" = dataclasses.field(default_factory=dict)
    rest: Rest = ""


_HELP = Option("--help", "tell more")


def find_verb(path: tuple[str, ...]) -> Verb:
    """Return what stands behind verbs, the empty one if there are none of these names.

    Args:
        path: the verbs, () for what stands behind ``strongroom`` itself.
    """
    if not path:
        return Verb((_HELP,), dict(VERBS))
    make = _VERBS.get(path[0])
    if make is None:
        return Verb((_HELP,) if path[0] in VERBS else ())
    try:
        found = make()
    except ModuleNotFoundError:  # an extra that is not installed
        return Verb()
    return found(path[1:]) if callable(found) else found if len(path) == 1 else Verb()


def _wrapper(own: Iterable[Option] = (), rest: Rest = "command") -> Verb:
    return Verb((_HELP, *own, *(_of_setting(setting) for setting in SETTINGS)), rest=rest)


def _of_setting(setting: Setting) -> Option:
    switch = setting.metavar == "[0|1]"  # it may stand alone
    choices = {"require": REQUIREMENTS, "children": ("inherit", "deny")}.get(setting.name, ())
    return Option(setting.flag, setting.meaning, not switch, setting.metavar in _FILES, choices)


def _run() -> Verb:
    supervision = []
    for flags, _, meaning in SUPERVISION:
        flag, _, metavar = flags.partition(",")[0].partition(" ")
        supervision.append(Option(flag, meaning, takes_value=bool(metavar)))
    return _wrapper(supervision)


_JSON = Option("-o", "print JSON", takes_value=True, choices=("json",))


def _plan() -> Verb:
    return _wrapper((_JSON, Option("--check", "have the bridge look whether each secret exists")))


def _exec() -> Verb:
    saved = Option("--saved-launch", "what `strongroom run --save-launch` wrote", takes_value=True, takes_files=True)
    return _wrapper((saved,))


def _doctor() -> Verb:
    return _wrapper((_JSON, Option("--attack", "attack a running process, or the command after --")))


def _bundle() -> Verb:
    return Verb((_HELP, Option("--force", "replace the bundle that DIR holds")), rest="files")


def _service(kind: type) -> Verb:
    """Return what stands behind the verb of a service, from its settings class."""
    from strongroom.service.settings import settings_in

    own = Option("--config", "TOML file with the settings", takes_value=True, takes_files=True)
    options = [_HELP, own, Option("--print-config", "print the effective settings and end")]
    for one in settings_in(kind).values():
        choices: tuple[str, ...] = ()
        if isinstance(one.kind, type) and issubclass(one.kind, enum.Enum):
            choices = tuple(str(member.value) for member in one.kind)
        elif one.kind is bool:
            choices = ("true", "false")
        options.append(Option(one.flag, one.rule.meaning, True, one.name.endswith("_file"), choices))
    return Verb(tuple(options))


def _bridge() -> Verb:
    from bridge.settings import BridgeSettings

    return _service(BridgeSettings)


def _s3proxy() -> Verb:
    from s3proxy.settings import ProxySettings

    return _service(ProxySettings)


Below = Callable[[tuple[str, ...]], Verb]


def _s3() -> Below:
    from cli.s3.main import parser

    def below(path: tuple[str, ...]) -> Verb:
        found = _of_parser(parser(), path)
        if not path or not found.options:
            return found
        own = {option.flag for option in found.options}
        settings = tuple(option for option in _s3proxy().options if option.flag not in {*own, "--print-config"})
        return dataclasses.replace(found, options=found.options + settings)

    return below


def _bench() -> Below:
    # By name, as cli.main finds it: it stands above this package.
    parser: Callable[[], argparse.ArgumentParser] = import_module("bench.main").parser
    return lambda path: _of_parser(parser(), path)


def _demo() -> Below:
    from cli.demo.main import parser

    return lambda path: _of_parser(parser(), path)


def _completion() -> Verb:
    return Verb((_HELP,), dict(_SHELLS))


_VERBS: "dict[str, Callable[[], Verb | Below]]" = {
    "run": _run,
    "exec": _exec,
    "plan": _plan,
    "bridge": _bridge,
    "s3proxy": _s3proxy,
    "s3": _s3,
    "demo": _demo,
    "doctor": _doctor,
    "bench": _bench,
    "bundle": _bundle,
    "completion": _completion,
}


def _of_parser(parser: argparse.ArgumentParser, path: tuple[str, ...]) -> Verb:
    """Return what stands behind a verb of argparse."""
    options: list[Option] = []
    verbs: dict[str, str] = {}
    rest: Rest = ""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to ask
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            if path:
                below = action.choices.get(path[0])
                return _of_parser(below, path[1:]) if below else Verb()
            verbs = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001
        elif action.option_strings:
            flag = action.option_strings[-1]
            takes_files = action.metavar in _FILES
            options.append(Option(flag, action.help or "", action.nargs != 0, takes_files))
        elif action.type is not None or action.metavar in _FILES:
            rest = "files"
    return Verb() if path else Verb(tuple(options), verbs, rest)
