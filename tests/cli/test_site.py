"""The pages as a site: built strictly, whole, with links that lead somewhere, and without anything of other hosts."""

import os
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.tree import ROOT

NOT_ON_PAGES = ("404.html",)  # shown at any address, with absolute links


class Found(HTMLParser):
    """What a page loads, where it leads, and what can be led to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            if name == "src" or (tag == "link" and name == "href"):
                self.loads.append(value or "")
            if tag == "a" and name == "href":
                self.leads.append(value or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [Path(sys.executable).with_name("mkdocs"), "build", "--strict", "--site-dir", directory],
        cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    return directory


@cache
def found(page: Path) -> Found:
    return Found(page)


def test_every_page_is_on_it(site: Path) -> None:
    for page in (*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md")):
        name = "index.html" if page.name == "README.md" else f"{page.stem}.html"
        assert (site / page.parent.relative_to(ROOT) / name).exists(), page


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    pages = [*site.rglob("*.html")]
    assert len(pages) > 40
    loaded = {where for page in pages for where in found(page).loads}
    assert not [where for where in loaded if urlsplit(where).netloc]
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert not re.findall(r"(?:url\(|@import\s+)[\"']?(?:https?:)?//[^)\s]+", styles)


def test_every_link_leads_somewhere(site: Path) -> None:
    dead = []
    for page in site.rglob("*.html"):
        if page.name in NOT_ON_PAGES:
            continue
        for link in (*found(page).leads, *found(page).loads):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            target = target / "index.html" if target.is_dir() else target
            if not target.exists() or (
                parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in found(target).anchors
            ):
                dead.append(f"{page.relative_to(site)}: {link}")
    assert not dead


def test_the_index_is_the_navigation(site: Path) -> None:
    leads = found(site / "docs/install.html").leads
    assert {"index.html", "recovery.html", "reference/settings.html", "adr/0003-children.html"} <= set(leads)
