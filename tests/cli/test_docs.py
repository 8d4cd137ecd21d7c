import re
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.settings import BridgeSettings
from preload import init_path
from s3proxy.settings import ProxySettings
from strongroom.service.settings import settings_in
from tests.support.tree import ROOT
from wrapper import exit_status
from wrapper.settings import SETTINGS


def test_help_texts_in_the_docs_are_those_of_the_programs() -> None:
    result = subprocess.run(
        [sys.executable, "scripts/update-help", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_every_exit_status_and_every_setting_is_documented() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    statuses = [value for name, value in vars(exit_status).items() if name.isupper() and isinstance(value, int)]
    assert len(statuses) > 8
    for status in statuses:
        assert str(status) in page
    for setting in SETTINGS:
        assert setting.variable in page


def test_every_test_that_the_threat_model_names_exists() -> None:
    page = (ROOT / "docs/threat-model.md").read_text()
    named = re.findall(r"`(tests/[^`]+)`", page)
    assert len(named) > 8
    for path in named:
        assert (ROOT / path).exists(), path


def test_every_variable_that_the_pages_name_is_known() -> None:
    files = subprocess.run(
        ["git", "ls-files", "*.py", "*.c", "*.h"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    source = "".join((ROOT / name).read_text() for name in files.stdout.split())
    known = {setting.variable for setting in SETTINGS}
    for prefix, kind in (("STRONGROOM_BRIDGE_", BridgeSettings), ("STRONGROOM_S3PROXY_", ProxySettings)):
        known |= {prefix + name.upper() for name in ("config", *settings_in(kind))}
    for page in (ROOT / "README.md", *ROOT.glob("docs/**/*.md")):
        named = set(re.findall(r"STRONGROOM_[A-Z0-9_]*[A-Z0-9]", page.read_text()))
        assert not {name for name in named - known if name not in source}, page.name


@pytest.mark.parametrize(("page", "component"), [("operations.md", "bridge"), ("s3proxy.md", "s3proxy")])
def test_the_settings_files_on_the_pages_are_taken(page: str, component: str, tmp_path: Path) -> None:
    found = re.findall(
        rf"^```toml\n# {component}\.toml\n(.*?)^```$", (ROOT / "docs" / page).read_text(), re.MULTILINE | re.DOTALL
    )
    assert len(found) == 1
    (tmp_path / "settings.toml").write_text(found[0])
    command = [sys.executable, "-m", "cli", component, "--config", str(tmp_path / "settings.toml"), "--print-config"]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=60)


def test_the_help_of_init_is_on_its_page() -> None:
    output = subprocess.run([init_path(), "--help"], capture_output=True, text=True, check=True, timeout=30).stdout
    assert f"```\n{output}```" in (ROOT / "docs/supervise.md").read_text()
