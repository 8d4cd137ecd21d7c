"""Folders of pytest, which no other user can enter, opened to all."""

import tempfile
from pathlib import Path


def open_to_all(folder: Path) -> None:
    """Let every user enter a folder of pytest's."""
    top = Path(tempfile.gettempdir())
    assert top in folder.parents, f"{folder} is not below {top}"
    while folder != top:
        folder.chmod(0o755)
        folder = folder.parent
