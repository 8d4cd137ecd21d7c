"""All pages, by the name of their file."""

from collections.abc import Callable
from typing import Final

from scripts.reference.errors import errors_page
from scripts.reference.events import events_page
from scripts.reference.files import files_page
from scripts.reference.metrics import metrics_page
from scripts.reference.settings import settings_page
from scripts.reference.statuses import statuses_page

PAGES: Final[dict[str, Callable[[], str]]] = {
    "settings.md": settings_page,
    "files.md": files_page,
    "errors.md": errors_page,
    "exit-statuses.md": statuses_page,
    "log-events.md": events_page,
    "metrics.md": metrics_page,
}
