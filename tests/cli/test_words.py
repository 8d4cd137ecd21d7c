"""``scripts/words``: it finds every wording of its dictionaries, and ordinary misspellings."""

import subprocess
from pathlib import Path

import pytest

from tests.support.tree import ROOT

GLOSSARY = ROOT / "scripts/glossary.dict"


def entries() -> dict[str, str]:
    lines = GLOSSARY.read_text().splitlines()
    assert lines == sorted(lines)
    return dict(line.split("->") for line in lines)


def found(place: Path, text: str) -> str:
    """Return what is found in a string, "" for nothing."""
    (place / "text.md").write_text(text)
    command = [str(ROOT / "scripts/words"), str(place / "text.md")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode == 0) == (done.stdout == ""), done.stderr
    return done.stdout


def test_every_wording_that_is_kept_out_is_found_with_what_to_say(tmp_path: Path) -> None:
    output = found(tmp_path, "".join(f"It {wrong} here.\n" for wrong in entries()))
    for wrong, right in entries().items():
        assert f"{wrong} ==> {right}" in output


@pytest.mark.parametrize("word", ["rec" + "ieve", "seper" + "ate"])
def test_a_misspelling_is_found(tmp_path: Path, word: str) -> None:
    assert f"{word} ==> " in found(tmp_path, f"They {word} it.\n")


def test_a_part_of_a_name_is_none(tmp_path: Path) -> None:
    assert not found(tmp_path, "end_point, timeouts, `whitelisted_by`, in orders to come\n")
