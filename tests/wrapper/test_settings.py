from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import ConfigError
from wrapper.settings import SETTINGS, Setting, WrapperSettings, load_settings, split_arguments
from wrapper.supervise import _SWITCHES as SWITCHED
from wrapper.supervise import _WITH_VALUE as VALUED
from wrapper.supervise import command_for_init

# Three legal texts for each setting, one for each place it can be set in, none of them the default.
TEXTS = {
    "bridge": ("https://flag", "https://env", "https://file"),
    "ca": ("/flag", "/env", "/file"),
    "cert": ("/flag", "/env", "/file"),
    "key": ("/flag", "/env", "/file"),
    "require": ("locked", "any", "locked"),
    "children": ("deny", "allow:a", "allow:b,c"),
    "timeout": ("1.5", "2", "3"),
    "attempt-timeout": ("1", "2.5", "3"),
    "wait": ("1", "2", "0"),
    "retries": ("1", "2", "0"),
    "save-launch": ("/flag", "/env", "/file"),
    "require-yama": ("1", "true", "1"),
    "dumpable": ("1", "true", "1"),
    "new-privileges": ("1", "true", "1"),
    "shared-key": ("1", "true", "1"),
    "quiet": ("1", "true", "1"),
}
SETTABLE = [setting for setting in SETTINGS if setting.name not in {"config", "env-file"}]
# The one text that has no rule to break is that of a file name; only an empty one is wrong.
WRONG = {
    "bridge": ["http://bridge", "bridge", "https://", "HTTPS://bridge"],
    "ca": [""],
    "cert": [""],
    "key": [""],
    "require": ["", "none", "memfd_secret", "Locked"],
    "children": ["", "allow", "allow:", "allow:a,", "allow:,a", "no"],
    "timeout": ["", "x", "-1", "86401", "nan", "inf", "1s"],
    "attempt-timeout": ["", "x", "-1", "86401", "nan"],
    "wait": ["", "x", "-1", "86401", "-inf"],
    "retries": ["", "x", "-1", "1001", "1.5", "²", "+1", "9" * 5000],
    "save-launch": ["launch.json", "./x"],
    "require-yama": ["", "yes", "TRUE", "2"],
    "dumpable": ["", "yes", "TRUE", "2"],
    "new-privileges": ["", "yes", "TRUE", "2"],
    "shared-key": ["", "yes", "TRUE", "2"],
    "quiet": ["", "yes", "TRUE", "2"],
}


def effective(settings: WrapperSettings, name: str) -> object:
    seconds = {"timeout": "timeout_s", "attempt-timeout": "attempt_timeout_s", "wait": "wait_s"}
    return getattr(settings, seconds.get(name, name).replace("-", "_"))


SWITCHES = [setting.flag for setting in SETTINGS if setting.metavar == "[0|1]"]


@pytest.mark.parametrize("flag", SWITCHES)
def test_a_switch_needs_no_value(flag: str) -> None:
    name = flag.removeprefix("--")
    assert split_arguments([flag, "--", "env"]) == ({name: "1"}, ["env"])
    assert split_arguments([flag, "env", "1"]) == ({name: "1"}, ["env", "1"])
    assert split_arguments([flag, "0", "env"]) == ({name: "0"}, ["env"])
    assert split_arguments([f"{flag}=0", "env"]) == ({name: "0"}, ["env"])
    assert split_arguments([flag, "--wait", "3", "env"]) == ({name: "1", "wait": "3"}, ["env"])


@pytest.mark.parametrize("flag", SWITCHES)
def test_supervision_knows_the_switches(flag: str) -> None:
    words = [flag, "--supervise", "--", "env"]
    command = command_for_init(words, {}, own=["strongroom", "run"])
    assert command is not None
    assert command[-4:] == ["run", flag, "--", "env"]
    assert command_for_init([flag, "1", "--supervise", "env"], {}, own=["run"]) is not None
    assert command_for_init([flag, "env", "--supervise"], {}, own=["run"]) is None


def test_the_hint_about_an_unknown_option_names_those_of_supervision_too() -> None:
    with pytest.raises(ConfigError) as caught:
        split_arguments(["--verbose", "--", "env"])
    assert all(flag in caught.value.hint for flag in ("--quiet", *VALUED, *SWITCHED))


def by_name(name: str) -> Setting:
    return next(setting for setting in SETTINGS if setting.name == name)


@pytest.fixture
def write_file(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "wrapper.toml"
        path.write_text(text)
        return str(path)

    return write


def test_the_tables_of_this_test_cover_every_setting() -> None:
    names = {setting.name for setting in SETTABLE}

    assert TEXTS.keys() == WRONG.keys() == names
    assert not [name for name in names if by_name(name).default in TEXTS[name]]


@pytest.mark.parametrize("setting", SETTABLE, ids=lambda setting: setting.name)
def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(
    setting: Setting, write_file: Callable[[str], str]
) -> None:
    flag, variable, file = TEXTS[setting.name]
    path = write_file(f'{setting.name} = "{file}"')
    environ = {"STRONGROOM_CONFIG": path, setting.variable: variable}

    def load(flags: dict[str, str], environ: dict[str, str]) -> object:
        return effective(load_settings(flags, environ), setting.name)

    default = setting.parse(setting.default) if setting.default else ""
    assert load({setting.name: flag}, environ) == setting.parse(flag)
    assert load({}, environ) == setting.parse(variable)
    assert load({}, {"STRONGROOM_CONFIG": path}) == setting.parse(file)
    assert load({}, {}) == default
    assert load({setting.name: flag}, {setting.variable: WRONG[setting.name][-1] or "x"}) == setting.parse(flag)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in WRONG.items() for text in texts])
def test_a_wrong_text_stops_the_start_and_the_line_names_place_and_rule(
    name: str, text: str, write_file: Callable[[str], str]
) -> None:
    setting = by_name(name)
    path = write_file(f'{name} = "{text}"')

    for flags, environ, place in (
        ({name: text}, {}, setting.flag),
        ({}, {setting.variable: text}, setting.variable),
        ({}, {"STRONGROOM_CONFIG": path}, f"{path}: {name}"),
    ):
        with pytest.raises(ConfigError, match="must") as caught:
            load_settings(flags, environ)
        assert caught.value.message.startswith(f"{place}=")


def test_an_empty_bridge_is_no_bridge() -> None:
    assert load_settings({}, {"STRONGROOM_BRIDGE": ""}).bridge == ""


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("STRONGROOM_TIMEOUTS", "STRONGROOM_TIMEOUT"),
        ("STRONGROOM_REQIURE", "STRONGROOM_REQUIRE"),
        ("STRONGROOM_FROMPATH", "STRONGROOM_FROM_PATH"),
        ("STRONGROOM_BRIDGES", "STRONGROOM_BRIDGE"),
        ("STRONGROOM_ATTEMPT-TIMEOUT", "STRONGROOM_ATTEMPT_TIMEOUT"),
    ],
)
def test_an_unknown_variable_of_ours_is_refused_with_the_nearest_name(name: str, near: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: unknown") as caught:
        load_settings({}, {name: "1"})

    assert near in caught.value.hint


def test_an_unknown_variable_that_is_near_to_none_is_refused_all_the_same() -> None:
    with pytest.raises(ConfigError, match="STRONGROOM_QQQQQQQQQQ: unknown"):
        load_settings({}, {"STRONGROOM_QQQQQQQQQQ": "1"})


def test_the_value_of_an_unknown_variable_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings({}, {"STRONGROOM_PASSWORD": "canary-Gh51xQ"})

    assert "canary" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    "name",
    [
        "STRONGROOM_FROM_PATH",
        "STRONGROOM_REGION",
        "STRONGROOM_PADDING",
        "STRONGROOM_BRIDGE_LISTEN",
        "STRONGROOM_S3PROXY_X",
        "STRONGROOM_DEV_X",
    ],
)
def test_variables_that_are_no_settings_of_the_wrapper_pass(name: str) -> None:
    assert load_settings({}, {name: "anything"}).retries == 4


@pytest.mark.parametrize("name", ["strongroom_timeout", "XSTRONGROOM_TIMEOUT", "STRONGROOM", "TIMEOUT"])
def test_other_variables_mean_nothing(name: str) -> None:
    assert load_settings({}, {name: "1"}).timeout_s == 30


def test_a_flag_names_the_config_file_before_the_environment_does(write_file: Callable[[str], str]) -> None:
    path = write_file("retries = 9")

    assert load_settings({"config": path}, {"STRONGROOM_CONFIG": "/missing"}).retries == 9


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("timeout = 5", "timeout", 5),
        ("timeout = 2.5", "timeout", 2.5),
        ("quiet = true", "quiet", True),
        ("quiet = false", "quiet", False),
        ("retries = 0", "retries", 0),
        ('bridge = ""', "bridge", ""),
    ],
)
def test_the_file_may_use_the_types_of_toml(
    line: str, name: str, value: object, write_file: Callable[[str], str]
) -> None:
    assert effective(load_settings({"config": write_file(line)}, {}), name) == value


@pytest.mark.parametrize(
    "text",
    [
        "timeouts = 1",
        "Timeout = 1",
        "attempt_timeout = 1",
        'config = "other.toml"',
        "[wrapper]\ntimeout = 1",
        "timeout = [1]",
        "timeout = {s = 1}",
        "timeout = 1979-05-27",
        "timeout = true",
        "timeout = nan",
        "retries = 1.0",
        "quiet = 2",
        "timeout",
        "timeout = 1\ntimeout = 2",
        "\x00",
        "retries = " + "9" * 5000,
    ],
)
def test_a_file_that_is_wrong_stops_the_start_and_the_line_names_it(
    text: str, write_file: Callable[[str], str]
) -> None:
    path = write_file(text)

    with pytest.raises(ConfigError) as caught:
        load_settings({"config": path}, {})

    assert path in caught.value.message


def test_a_file_that_is_not_utf8_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "wrapper.toml"
    path.write_bytes(b'ca = "\xff"')

    with pytest.raises(ConfigError, match=str(path)):
        load_settings({"config": str(path)}, {})


@pytest.mark.parametrize(("place", "cause"), [("missing.toml", "No such file"), ("", "Is a directory")])
def test_a_file_that_cannot_be_read_stops_the_start(tmp_path: Path, place: str, cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        load_settings({"config": str(tmp_path / place)}, {})


@pytest.mark.parametrize(
    ("arguments", "flags", "command"),
    [
        ([], {}, []),
        (["app"], {}, ["app"]),
        (["app", "--timeout", "1"], {}, ["app", "--timeout", "1"]),
        (["--", "app"], {}, ["app"]),
        (["--"], {}, []),
        (["--", "--timeout", "1"], {}, ["--timeout", "1"]),
        (["--", "--", "app"], {}, ["--", "app"]),
        (["--timeout", "1", "app"], {"timeout": "1"}, ["app"]),
        (["--timeout=1", "--", "app", "--"], {"timeout": "1"}, ["app", "--"]),
        (["--ca=a=b", "app"], {"ca": "a=b"}, ["app"]),
        (["--ca=", "app"], {"ca": ""}, ["app"]),
        (["--ca", "--", "app"], {"ca": "--"}, ["app"]),
        (["--timeout", "1", "--timeout", "2", "app"], {"timeout": "2"}, ["app"]),
        (["", "x"], {}, ["", "x"]),
    ],
)
def test_flags_end_where_the_command_begins(arguments: list[str], flags: dict[str, str], command: list[str]) -> None:
    before = list(arguments)

    assert split_arguments(arguments) == (flags, command)
    assert arguments == before


@pytest.mark.parametrize("arguments", [["--tmeout", "1"], ["-t", "1"], ["-"], ["--time=1"], ["---"], ["-timeout=1"]])
def test_an_unknown_option_is_refused(arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match="unknown option") as caught:
        split_arguments([*arguments, "app"])

    assert "--timeout" in caught.value.hint


def test_an_option_without_its_value_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--timeout: needs a value \(SECONDS\)"):
        split_arguments(["--timeout"])


EMPTY = [[f"{setting.flag}="] for setting in SETTINGS]
EMPTY += [[setting.flag, ""] for setting in SETTINGS if setting.metavar != "[0|1]"]  # which may stand alone


@pytest.mark.parametrize("words", EMPTY, ids=" ".join)
def test_an_option_with_an_empty_value_is_refused_and_never_passed_over(words: list[str]) -> None:
    with pytest.raises(ConfigError, match=words[0].removesuffix("=")):
        load_settings(split_arguments([*words, "--", "app"])[0], {})


@given(st.lists(st.text()))
def test_what_follows_two_dashes_is_the_command_untouched(command: list[str]) -> None:
    assert split_arguments(["--quiet", "1", "--", *command]) == ({"quiet": "1"}, command)
