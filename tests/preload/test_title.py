"""Servers that show a title in the room of their arguments and environment find that room as long as they reckon."""

from pathlib import Path

import pytest

from strongroom.names import PADDING
from tests.preload.launch import EXEC, PLAIN, Build, Launcher, Programs
from wrapper.plan import with_padding

METHODS = ["sum", "back", "adjoining"]
SIZES = [0, 1, 100, 1000, 30_000, 100 * 1024]


def launch(launcher: Launcher, command: list[str | Path], secrets: dict[str, bytes]) -> str:
    """Start a program with the environment that a launch makes; return what it says."""
    first = dict.fromkeys(secrets, "")  # the secrets are the first variables that the user gave
    given = {**first, **PLAIN, "LD_PRELOAD": "", "STRONGROOM_REGION": ""}
    environment = with_padding(given, {name: len(value) for name, value in secrets.items()})
    result = launcher.run_exactly([str(part) for part in command], environment, secrets)
    assert (result.returncode, result.stderr) == (0, b""), result.stdout
    return result.stdout.decode()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("method", METHODS)
def test_title_is_shown_and_the_secrets_stay_whole(
    launcher: Launcher, programs: Programs, method: str, size: int
) -> None:
    said = launch(launcher, [programs.build("title"), method], {"SECRET": b"A" * size})
    assert said == f"room for a title, secret of {size}\n"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("method", METHODS)
def test_child_shows_a_title_too(launcher: Launcher, programs: Programs, method: str, size: int) -> None:
    program = programs.build("title")
    command: list[str | Path] = ["env", program, method, program]
    said = launch(launcher, command, {"SECRET": b"A" * size})
    assert said == f"room for a title, secret of {size}\n" * 2


@pytest.mark.parametrize("size", [100, 100 * 1024])
@pytest.mark.parametrize("method", METHODS)
def test_static_child_shows_a_title_too(launcher: Launcher, build: Build, method: str, size: int) -> None:
    command: list[str | Path] = [*EXEC, build("title", "gcc", "-static"), method]
    said = launch(launcher, command, {"SECRET": b"A" * size})
    assert said == f"room for a title, secret of {size}\n"


def test_many_secrets_have_room_together(launcher: Launcher, programs: Programs) -> None:
    secrets = {"SECRET": b"A" * 32, **{f"MORE_{number}": b"B" * 32 for number in range(40)}}
    assert launch(launcher, [programs.build("title"), "sum"], secrets) == "room for a title, secret of 32\n"


def test_program_finds_the_padding_empty_and_its_children_too(launcher: Launcher) -> None:
    said = launch(launcher, ["sh", "-c", "env; exec env"], {"SECRET": b"A" * 1000})
    assert said.splitlines().count(f"{PADDING}=") == 2
    assert said.splitlines().count("SECRET=" + "A" * 1000) == 2


def test_child_that_may_not_have_secrets_has_no_padding(launcher: Launcher) -> None:
    extra = {"STRONGROOM_CHILDREN": "deny", PADDING: "." * 1024}
    result = launcher.run(["sh", "-c", "env; exit"], extra=extra)
    assert PADDING.encode() not in result.stdout


def test_secrets_longer_than_a_variable_can_be_do_without(launcher: Launcher, programs: Programs) -> None:
    secrets = {"SECRET": b"A" * 200_000}
    assert PADDING not in with_padding(dict.fromkeys(secrets, ""), {"SECRET": 200_000})
    assert launch(launcher, ["env", programs.build("print"), PADDING], secrets) == f"{PADDING}\n"
