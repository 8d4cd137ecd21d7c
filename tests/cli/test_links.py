"""The links of the pages: each leads somewhere, and somebody who begins at docs/README.md comes to every page."""

import re
from functools import cache
from pathlib import Path

from tests.support.tree import ROOT

_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    return [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "examples/README.md", ROOT / "tests/README.md"]


def links(page: Path) -> list[tuple[Path, str]]:
    """Return the files that a page links to, with the anchor in each."""
    found = ["".join(groups) for groups in _LINK.findall(_CODE.sub("", page.read_text()))]
    split = [link.partition("#") for link in found if not re.match(r"[a-z]+:", link)]
    return [((page.parent / path).resolve() if path else page, anchor) for path, _, anchor in split]


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors that GitHub gives the headings of a page, the second of a name with -1."""
    found: list[str] = []
    for heading in re.findall(
        r"^#{1,6} (.*)$", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    ):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        found.append(slug if slug not in found else f"{slug}-{found.count(slug)}")
    return frozenset(found)


def test_links_between_the_pages_lead_somewhere() -> None:
    assert len(pages()) > 30
    dead = [
        f"{page.relative_to(ROOT)}: {target.name}#{anchor}"
        for page in pages()
        for target, anchor in links(page)
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target))
    ]
    assert not dead


def test_every_page_is_found_from_the_index() -> None:
    begin = ROOT / "docs" / "README.md"
    assert begin in [target for target, _ in links(ROOT / "README.md")]
    reached, left = {begin}, [begin]
    while left:
        for target, _ in links(left.pop()):
            inside = sorted(target.glob("*.md")) if target.is_dir() else [target]
            fresh = [page for page in inside if page.suffix == ".md" and page.exists() and page not in reached]
            reached |= set(fresh)
            left += fresh
    assert not [page for page in ROOT.glob("docs/**/*.md") if page.resolve() not in reached]


def test_the_index_itself_names_every_page_of_the_docs() -> None:
    named = {target for target, _ in links(ROOT / "docs" / "README.md")}
    listed = {*ROOT.glob("docs/*.md"), *ROOT.glob("docs/reference/*.md")} - {ROOT / "docs" / "README.md"}
    assert not listed - named


def test_a_dead_link_or_anchor_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b` [c](d.md)!\n## A b\n## A b\n```\n# no heading\n[x](no.md)\n```\n"
        "[1](#a-b-c) [2](other.md#x) [3](https://x/y) `[4](no.md)` [5](page.md#gone)\n"
    )
    assert anchors(page) == {"a-b-c", "a-b", "a-b-1"}
    assert links(page) == [
        (tmp_path / "d.md", ""),
        (page, "a-b-c"),
        (tmp_path / "other.md", "x"),
        (page, "gone"),
    ]
