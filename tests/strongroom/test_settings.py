"""Settings: what wins, what is refused and with which words."""

import enum
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from strongroom.errors import ConfigError
from strongroom.service.command import describe_settings, load_settings, parse_arguments, show_settings
from strongroom.service.settings import REQUIRED, changed, group, seconds, setting, settings_in

PREFIX = "STRONGROOM_TEST_"


class Mode(enum.Enum):
    FAST = "fast"
    SLOW = "slow"


@dataclass(frozen=True, kw_only=True)
class Example:
    name: str = setting(REQUIRED, "a name")
    wait_s: float = setting(1.5, "a pause", "seconds", "long enough", minimum=0, maximum=10)
    count: int = setting(3, "a number", minimum=1)
    on: bool = setting(False, "a switch")
    mode: Mode = setting(Mode.FAST, "how")
    file: Path | None = setting(None, "a file")
    pin: str = setting("0000", "a private text", private=True)


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


@dataclass(frozen=True, kw_only=True)
class Login:
    user_file: Path | None = setting(None, "{whose} user")
    holder: str = "nobody"


@dataclass(frozen=True, kw_only=True)
class Place:
    address: str = setting(REQUIRED, "a place")
    login: Login = group(Login, behind="address")
    wait_s: float = seconds(2.0, "wait for it", maximum=10)
    log: str = setting("", "a log", last=True)

    def __post_init__(self) -> None:
        if self.wait_s == 3:
            raise ConfigError(f"place_wait_s={self.wait_s}: not 3", hint="take 2")


@dataclass(frozen=True, kw_only=True)
class Composed:
    place: Place = group(
        Place,
        "place_",
        whose="the test's",
        holder="test",
        wait_s=changed(5.0, why="near"),
        log=changed(meaning="its log"),
    )
    count: int = setting(3, "a number")
    late: int = setting(1, "a number", behind="place_wait_s")


def compose(*arguments: str, environ: dict[str, str] | None = None) -> Composed:
    return load_settings(Composed, prefix=PREFIX, arguments=parse_arguments(arguments), environ=environ or {})


def test_a_setting_of_a_group_is_given_behind_the_prefix_of_the_group(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("place_log = 'x'\n")
    settings = compose(
        f"--config={tmp_path / 'c.toml'}", "--place-address=a", environ={PREFIX + "PLACE_USER_FILE": "/u"}
    )
    assert settings.place == Place(address="a", wait_s=5.0, log="x", login=Login(user_file=Path("/u"), holder="test"))
    assert tomllib.loads(show_settings(settings)) == {
        "place_address": "a",
        "place_user_file": "/u",
        "place_wait_s": 5.0,
        "late": 1,
        "count": 3,
        "place_log": "x",
    }


def test_lists_have_the_settings_of_groups_where_their_rules_say() -> None:
    assert list(settings_in(Composed)) == [
        "place_address", "place_user_file", "place_wait_s", "late", "count", "place_log",
    ]  # fmt: skip


def test_a_component_says_what_is_different_about_the_settings_of_a_group() -> None:
    described = describe_settings(Composed, prefix=PREFIX)
    assert f"--place-wait-s ({PREFIX}PLACE_WAIT_S)\n      wait for it (seconds; default 5.0; near)\n" in described
    assert "the test's user (not set)" in described
    assert "its log (" in described


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--place-address=a", "--place-wait-s=11"], "--place-wait-s: '11' must be from 0.01 to 10"),
        (["--place-address=a", "--place-wait-s=3"], "place_wait_s=3.0: not 3"),
        (["--place-address=a", "--place=x"], "--place: there is no such setting"),
        (["--place-address=a", "--holder=x"], "--holder: there is no such setting"),
        ([], "place_address: must be set (a place)"),
    ],
)
def test_what_is_wrong_in_a_group_is_refused_by_its_whole_name(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(*arguments)
    assert caught.value.message == message


def test_a_change_of_what_a_group_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="Place has no wait"):
        group(Place, wait=changed(5.0))
