"""What contributors meet: hooks that run what `make check` runs, forms that are well-formed, rooms that are named."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.tree import ROOT

FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))


def loaded(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


def test_hooks_run_what_make_check_runs_and_nothing_of_others() -> None:
    (only,) = loaded(ROOT / ".pre-commit-config.yaml")["repos"]
    assert only["repo"] == "local"
    (recipe,) = re.findall(r"^check:\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    checks = re.findall(r"^\t@((?:\.venv/bin|scripts)/.*)$", recipe, re.MULTILINE)
    assert [hook["entry"] for hook in only["hooks"]] == checks
    assert {hook["language"] for hook in only["hooks"]} == {"system"}


@pytest.mark.parametrize("path", [path for path in FORMS if path.stem != "config"], ids=lambda path: path.stem)
def test_an_issue_form_is_one(path: Path) -> None:
    form = loaded(path)
    assert {"name", "description", "body"} <= form.keys()
    for element in form["body"]:
        assert element["type"] in {"markdown", "textarea"}
        assert element["attributes"]["value" if element["type"] == "markdown" else "label"]
    names = [element["id"] for element in form["body"] if "id" in element]
    assert len(set(names)) == len(names) > 2


def test_every_room_of_the_tests_is_named() -> None:
    page = (ROOT / "tests/README.md").read_text()
    rooms = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "__pycache__"}
    named = {name for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert named == rooms
