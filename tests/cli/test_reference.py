import base64
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.policy.file import parse_policy
from s3proxy.keys.policy_file import parse_policies
from s3proxy.s3api.credentials_table import parse_credentials
from strongroom.errors import ConfigError
from strongroom.service.members import Member, require_members
from tests.support.tree import ROOT

PAGE = ROOT / "docs/reference/files.md"


def test_the_reference_is_what_the_tables_of_the_programs_say() -> None:
    result = subprocess.run(
        [sys.executable, "scripts/update-reference", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_a_page_that_was_edited_by_hand_is_told(tmp_path: Path) -> None:
    script = tmp_path / "scripts" / "update-reference"
    script.parent.mkdir()
    script.write_bytes((ROOT / "scripts/update-reference").read_bytes())
    (tmp_path / "docs/reference").mkdir(parents=True)
    program = [sys.executable, str(script)]
    environ = {"PYTHONPATH": str(ROOT)}
    (script.parent / "reference").symlink_to(ROOT / "scripts/reference")
    subprocess.run(program, env=environ, check=True, timeout=60)
    assert subprocess.run([*program, "--check"], env=environ, check=False, timeout=60).returncode == 0
    page = tmp_path / "docs/reference/settings.md"
    page.write_text(page.read_text().replace("max_requests", "most_requests"))
    (tmp_path / "docs/reference/other.md").touch()
    result = subprocess.run([*program, "--check"], env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 1
    assert "settings.md, other.md: stale" in result.stderr


def test_the_examples_of_files_are_taken() -> None:
    grant, policy, clients = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert parse_policy(grant, origin="page").grants
    assert [one.name for one in parse_policies(policy.encode(), origin="page")] == ["orders", "scratch"]
    assert parse_credentials(clients, origin="page", read_secret=lambda _: b"x" * 20).by_id


def test_the_command_for_a_key_file_leaves_a_key_that_is_there(tmp_path: Path) -> None:
    (command,) = re.findall(r"`(\([^`]*>kek\))`", PAGE.read_text())
    key = tmp_path / "kek"
    assert subprocess.run(["bash", "-c", command], cwd=tmp_path, check=False).returncode == 0
    made = key.read_bytes()
    assert (len(base64.b64decode(made)), key.stat().st_mode & 0o777) == (32, 0o400)
    again = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, check=False)
    assert (again.returncode != 0, key.read_bytes()) == (True, made)


MEMBERS = (
    Member("paths", "text", "where"),
    Member("keys", "text", "which", default="all"),
    Member("old", "text", "x", default="", outdated=True),
)


@pytest.mark.parametrize(
    ("table", "message", "hint"),
    [
        ([], "place: must be a table", "its members are paths, keys"),
        ({"path": 1, "paths": 2}, "place: path: unknown", "did you mean paths? its members are paths, keys"),
        ({"paths": 2, "x": 1, "colour": 1}, "place: colour, x: unknown", "its members are paths, keys"),
        ({"keys": 1}, "place: paths: is missing", "it says where"),
    ],
)
def test_a_table_with_a_member_too_many_or_too_few_is_refused_by_its_name(
    table: object, message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        require_members(table, MEMBERS, "place")
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_what_is_outdated_or_left_out_is_taken() -> None:
    assert require_members({"paths": 1, "old": 2}, MEMBERS, "place") == {"paths": 1, "old": 2}
