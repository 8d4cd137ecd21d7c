"""Settings: what wins, what is refused and with which words."""

# ruff: noqa: RUF009 - setting() is dataclasses.field() with a rule

import enum
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from strongroom.errors import ConfigError
from strongroom.service.settings import (
    REQUIRED,
    Rule,
    describe_settings,
    load_settings,
    parse_arguments,
    setting,
    show_settings,
)

PREFIX = "STRONGROOM_TEST_"


class Mode(enum.Enum):
    FAST = "fast"
    SLOW = "slow"


@dataclass(frozen=True, kw_only=True)
class Example:
    name: str = setting(REQUIRED, Rule("a name"))
    wait_s: float = setting(1.5, Rule("a pause", unit="seconds", why="long enough", minimum=0, maximum=10))
    count: int = setting(3, Rule("a number", minimum=1))
    on: bool = setting(default=False, rule=Rule("a switch"))
    mode: Mode = setting(Mode.FAST, Rule("how"))
    file: Path | None = setting(None, Rule("a file"))
    pin: str = setting("0000", Rule("a private text", private=True))


def load(*arguments: str, environ: dict[str, str] | None = None) -> Example:
    given = parse_arguments(["--name=n", *arguments])
    return load_settings(Example, prefix=PREFIX, arguments=given, environ=environ or {})


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("count = 10\nwait_s = 2\nmode = 'slow'\n")
    environ = {PREFIX + "COUNT": "20", PREFIX + "WAIT_S": "3", "PATH": "/bin", "STRONGROOM_OTHER": "x"}
    settings = load("--config", str(file), "--count", "30", environ=environ)
    assert (settings.count, settings.wait_s, settings.mode, settings.on) == (30, 3.0, Mode.SLOW, False)
    assert load(environ={PREFIX + "CONFIG": str(file)}).count == 10


@pytest.mark.parametrize(
    ("flag", "name", "value"),
    [
        ("--on=true", "on", True),
        ("--on=0", "on", False),
        ("--wait-s=0", "wait_s", 0.0),
        ("--wait_s=10", "wait_s", 10.0),
        ("--mode=slow", "mode", Mode.SLOW),
        ("--file=/a", "file", Path("/a")),
        ("--file=", "file", None),
        ("--pin=", "pin", ""),
    ],
)
def test_values_of_each_type(flag: str, name: str, value: object) -> None:
    assert getattr(load(flag), name) == value


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--count=x"], "--count: 'x' must be a whole number"),
        (["--count=1.0"], "--count: '1.0' must be a whole number"),
        (["--count=0"], "--count: '0' must be at least 1"),
        (["--count=٣"], "--count: '٣' must be a whole number"),
        (["--wait-s=nan"], "--wait-s: 'nan' must be a number"),
        (["--wait-s=inf"], "--wait-s: 'inf' must be a number"),
        (["--wait-s=11"], "--wait-s: '11' must be from 0 to 10"),
        (["--on=maybe"], "--on: 'maybe' must be true or false"),
        (["--mode=x"], "--mode: 'x' must be one of fast, slow"),
        (["--colour=red"], "--colour: there is no such setting"),
        (["--count"], "--count: needs a value"),
        (["count=3"], "'count=3': is not an option"),
        (["--config=/no/file"], "/no/file: does not exist"),
    ],
)
def test_wrong_flags_are_refused_with_name_and_rule(flags: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(*flags)
    assert caught.value.message == message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("count = '3x'", ": count: '3x' must be a whole number"),
        ("count = true", ": count: True must be a whole number"),
        ("wait_s = nan", ": wait_s: nan must be from 0 to 10"),
        ("file = 3", ": file: 3 must be a string"),
        ("colour = 1", ": colour: there is no such setting"),
        ("[count]\nx = 1", ": count: {'x': 1} must be a whole number"),
        ("count = ", ": is not TOML: "),
    ],
)
def test_wrong_files_are_refused_with_name_and_rule(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(
            Example, prefix=PREFIX, arguments=parse_arguments([f"--config={file}"]), environ={PREFIX + "NAME": "n"}
        )
    assert caught.value.message.startswith(f"{file}{message}")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"name = '\xff'")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load(f"--config={tmp_path / 'latin'}")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(f"--config={tmp_path}")


def test_unknown_variables_are_refused_except_those_of_kubernetes() -> None:
    with pytest.raises(ConfigError, match=PREFIX + "COLOUR: there is no such setting"):
        load(environ={PREFIX + "COLOUR": "red"})
    links = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTPS", "PORT", "PORT_8443_TCP", "PORT_8443_TCP_PROTO"]
    load(environ={PREFIX + name: "tcp://10.96.3.7:8443" for name in links})
    load(environ={f"{PREFIX}INTERNAL_{name}": "tcp://10.96.3.7:8443" for name in links})
    with pytest.raises(ConfigError, match=PREFIX + "PORT: there is no such setting"):
        load(environ={PREFIX + "PORT": "8443"})  # a number is not what Kubernetes sets there: somebody means a setting


def test_a_required_setting_must_be_given() -> None:
    with pytest.raises(ConfigError, match="name: must be set") as caught:
        load_settings(Example, prefix=PREFIX, arguments=parse_arguments([]), environ={})
    assert caught.value.hint == f"give --name, {PREFIX}NAME or name in the file"


def test_a_private_value_is_never_shown(tmp_path: Path) -> None:
    assert 'pin = "***"' in show_settings(load("--pin=1234"))
    file = tmp_path / "c.toml"
    file.write_text("pin = 4321")
    with pytest.raises(ConfigError) as caught:
        load(f"--config={file}")
    assert "4321" not in caught.value.message


def test_what_is_shown_can_be_read_back(tmp_path: Path) -> None:
    settings = load('--name=quote " and \\ and \n\U0001f600', "--count=7", "--mode=slow", "--on=1", "--file=/x y")
    shown = show_settings(settings)
    assert tomllib.loads(shown)["name"] == settings.name
    (tmp_path / "c.toml").write_text(shown.replace("***", "0000"))
    given = parse_arguments(["--config", str(tmp_path / "c.toml")])
    assert load_settings(Example, prefix=PREFIX, arguments=given, environ={}) == settings
    assert "# file is not set" in show_settings(load())


def test_the_list_of_settings_says_default_meaning_and_reason() -> None:
    described = describe_settings(Example, prefix=PREFIX)
    assert f"--wait-s ({PREFIX}WAIT_S)\n      a pause (seconds; default 1.5; long enough)\n" in described
    assert "a name (required)" in described
    assert "a file (not set)" in described


def test_help_and_print_config_are_noticed() -> None:
    assert parse_arguments(["--help"]).help
    assert parse_arguments(["--print-config", "--a", "b"]).print_config


def test_a_mistyped_setting_is_told_what_it_resembles() -> None:
    for word, hint in {"--cuont=3": "did you mean count?", "--zzz=3": "--help lists the settings"}.items():
        with pytest.raises(ConfigError) as caught:
            load(word)
        assert caught.value.hint == hint
