"""``make release``: what it makes of a commit, and that somebody else would make the same."""

import hashlib
import json
import re
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from strongroom.names import PACKAGES
from tests.support.tree import ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
MACHINES = {"x86_64": 62, "aarch64": 183}  # e_machine, elf.h

pytestmark = [pytest.mark.early, pytest.mark.timeout(600)]


def committed(path: str) -> str:
    shown = subprocess.run(["git", "show", f"HEAD:{path}"], cwd=ROOT, capture_output=True, text=True, check=True)
    return shown.stdout


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of the commit that is checked out, which ``scripts/release`` has built twice and compared."""
    directory = tmp_path_factory.mktemp("dist")
    made = subprocess.run([ROOT / "scripts/release", directory], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    assert made.stdout.count("PASSED") == len(MACHINES) + 1  # by `twine check --strict`
    return directory


def test_the_sums_are_those_of_all_files(release: Path) -> None:
    sums = dict(line.split("  ")[::-1] for line in (release / "SHA256SUMS").read_text().splitlines())
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in release.iterdir()}
    files.pop("SHA256SUMS")
    assert sums == files
    assert len(files) == len(MACHINES) + 2


def test_there_is_a_wheel_for_each_machine_with_its_machine_code(release: Path) -> None:
    for machine, number in MACHINES.items():
        (wheel,) = release.glob(f"strongroom-{VERSION}-py3-none-manylinux*_{machine}.musllinux*_{machine}.whl")
        archive = zipfile.ZipFile(wheel)
        programs = [name for name in archive.namelist() if name.startswith("preload/lib/")]
        assert {Path(name).parent.name for name in programs} == {machine}
        assert "libstrongroom.so" in {Path(name).name for name in programs}
        for name in programs:
            assert int.from_bytes(archive.read(name)[18:20], "little") == number, name
        assert {name.partition("/")[0] for name in archive.namelist()} >= PACKAGES


def test_the_sources_have_one_time_and_nothing_that_was_built(release: Path) -> None:
    epoch = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=True)
    with tarfile.open(release / f"strongroom-{VERSION}.tar.gz") as archive:
        files = archive.getmembers()
    assert {file.mtime for file in files} == {int(epoch.stdout)}
    names = {file.name.partition("/")[2] for file in files}
    assert {"preload/src/library/getenv.c", "docs/install.md", "examples/README.md", "LICENSE", "PKG-INFO"} <= names
    assert not [name for name in names if name.endswith((".so", ".o", ".pyc"))]


def test_the_list_of_packages_is_that_of_the_servers(release: Path) -> None:
    document = json.loads((release / f"strongroom-{VERSION}.cdx.json").read_text())
    assert document["bomFormat"] == "CycloneDX"
    about = document["metadata"]["component"]
    assert (about["name"], about["version"]) == ("strongroom", VERSION)
    pinned = set(re.findall(r"^([a-z0-9-]+==\S+)", committed("deploy/servers.lock"), re.MULTILINE))
    assert {f"{each['name']}=={each['version']}" for each in document["components"]} == pinned
    for each in document["components"]:
        assert [found for reference in each["externalReferences"] for found in reference["hashes"]], each["name"]


def test_what_is_not_committed_is_not_released(tmp_path: Path) -> None:
    """Only the version is looked at before the build: a release under a name that no commit has would be the worst."""
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(tmp_path)], input=archive, check=True)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    project = tmp_path / "pyproject.toml"
    project.write_text(project.read_text().replace(f'version = "{VERSION}"', 'version = "9.9.9"'))
    made = subprocess.run(
        [tmp_path / "scripts/release", tmp_path / "dist"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 1
    assert "is not that of the commit" in made.stderr
    assert not (tmp_path / "dist").exists()
