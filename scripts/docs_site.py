"""A hook of mkdocs: the site is made of the pages where they are in the tree, and its navigation of docs/README.md."""

import re
import shutil
import subprocess
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig

ROOT = Path(__file__).resolve().parents[1]
STAGE = ROOT / "build" / "site-pages"
FOLDERS = ("docs", "examples", "deploy/systemd")
PARTS = (":(glob)*.md", *FOLDERS, "tests/README.md", "LICENSE")
INDEX = "docs/README.md"

_LINK_TO_DIRECTORY = re.compile(r"\]\(([^):#]*/)\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages into a directory of their own and name them as the navigation does."""
    shutil.rmtree(STAGE, ignore_errors=True)
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *PARTS]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0"):
        if not (ROOT / name).is_file():  # removed, and not committed yet
            continue
        target = STAGE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".md":
            target.write_text(_with_pages_for_directories((ROOT / name).read_text(), target.parent))
        else:
            shutil.copyfile(ROOT / name, target)
    config.docs_dir = str(STAGE)
    config.nav = ["README.md", *_sections((ROOT / INDEX).read_text())]
    return config


def _with_pages_for_directories(page: str, folder: Path) -> str:
    """Lead links to a directory to its page; where it has none, to one that lists its files."""

    def replaced(match: re.Match[str]) -> str:
        directory = (folder / match[1]).resolve()
        source = ROOT / directory.relative_to(STAGE)
        name = "README.md" if (source / "README.md").exists() else "index.md"
        if name == "index.md":
            directory.mkdir(parents=True, exist_ok=True)
            files = sorted(path.name for path in source.iterdir() if path.is_file() and path.name != "index.md")
            is_shown = str(source.relative_to(ROOT)).startswith(FOLDERS)
            rows = "".join(f"- [{each}]({each})\n" if is_shown else f"- `{each}`\n" for each in files)
            (directory / name).write_text(f"# {source.relative_to(ROOT)}\n\n{rows}")
        return f"]({match[1]}{name})"

    return _LINK_TO_DIRECTORY.sub(replaced, page)


def _sections(index: str) -> list[dict[str, list[str]]]:
    """Return the navigation: the sections of the index with the pages that they name, each page once."""
    seen = {"README.md"}
    sections: list[dict[str, list[str]]] = []
    for title, body in re.findall(r"^\*\*([^*]+)\*\*(.*?)(?=^\*\*|\Z)", index, re.MULTILINE | re.DOTALL):
        pages = [INDEX] if not sections else []
        for link in re.findall(r"\]\(([^)#]+)", body):
            path = (ROOT / "docs" / link).resolve()
            found = sorted(path.glob("*.md")) if path.is_dir() else [path]
            pages += [str(page.relative_to(ROOT)) for page in found if page.suffix == ".md"]
        sections.append({title: [page for page in dict.fromkeys(pages) if page not in seen]})
        seen |= set(pages)
    return sections
