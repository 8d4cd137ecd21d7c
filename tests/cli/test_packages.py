"""Every list of this project's packages names all of them."""

import tomllib
from typing import Any

import pytest

from strongroom.names import PACKAGES
from tests.support.tree import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
TOOL = PROJECT["tool"]
BUILD = TOOL["hatch"]["build"]["targets"]


def test_every_folder_that_can_be_imported_is_a_package_of_ours() -> None:
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} == PACKAGES


def test_every_package_says_that_it_has_types() -> None:
    assert {path.parent.name for path in ROOT.glob("*/py.typed")} == PACKAGES


@pytest.mark.parametrize(
    "listed",
    [
        pytest.param(BUILD["wheel"]["packages"], id="wheel"),
        pytest.param([name.removeprefix("/") for name in BUILD["sdist"]["include"]], id="sdist"),
        pytest.param(TOOL["mypy"]["files"], id="mypy"),
        pytest.param(TOOL["ruff"]["lint"]["isort"]["known-first-party"], id="ruff"),
        pytest.param(TOOL["coverage"]["run"]["source"], id="coverage"),
        pytest.param(TOOL["importlinter"]["root_packages"], id="import-linter"),
    ],
)
def test_a_list_names_every_package(listed: list[str]) -> None:
    assert set(listed) >= PACKAGES


def test_the_first_contract_places_every_package_on_a_floor() -> None:
    floors = TOOL["importlinter"]["contracts"][0]["layers"]
    assert {name for floor in floors for name in floor.split(" | ")} == PACKAGES
