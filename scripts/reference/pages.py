"""All pages, by the name of their file."""

from collections.abc import Callable
from typing import Final

from scripts.reference.files import files_page
from scripts.reference.settings import settings_page

PAGES: Final[dict[str, Callable[[], str]]] = {
    "settings.md": settings_page,
    "files.md": files_page,
}
