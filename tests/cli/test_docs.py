import re
import subprocess
import sys

from tests.support.launcher import ROOT
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


def test_links_between_the_pages_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    assert len(pages) > 8
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_test_that_the_threat_model_names_exists() -> None:
    page = (ROOT / "docs/threat-model.md").read_text()
    named = re.findall(r"`(tests/[^`]+)`", page)
    assert len(named) > 8
    for path in named:
        assert (ROOT / path).exists(), path
