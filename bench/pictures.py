"""Charts as pictures (PNG) for pages that show no SVG: drawn by a headless Chromium, with the report's style sheet."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bench.plots import Plot
from bench.suite import ROOT, FailedError
from strongroom.errors import ConfigError

_TIMEOUT_S: Final = 60
_WIDTH: Final = 420
_HEIGHT: Final = 360
_PAGE: Final = """<!doctype html><meta charset="utf-8"><style>{style}
body {{ padding: 0; }} figure {{ border: 0; border-radius: 0; min-height: 100vh; }}</style>
<figure><h3>{title}</h3>{svg}</figure>"""


def write_pictures(drawn: Iterable[Plot], directory: Path) -> list[Path]:
    """Write ``KEY.png`` for each chart and return the paths.

    Raises:
        ConfigError: there is no Chromium.
        FailedError: it draws nothing.
    """
    program = shutil.which("chromium")
    if program is None:
        raise ConfigError("chromium: not on PATH", hint="apt-get install chromium")
    directory.mkdir(parents=True, exist_ok=True)
    style = (ROOT / "bench" / "report.css").read_text(encoding="utf-8")
    written = []
    with tempfile.TemporaryDirectory(prefix="strongroom-bench-") as scratch:
        for plot in drawn:
            page, picture = Path(scratch) / "page.html", directory / f"{plot.key}.png"
            page.write_text(_PAGE.format(style=style, title=plot.title, svg=plot.svg), encoding="utf-8")
            options = [
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                "--force-device-scale-factor=2",
            ]
            options += [
                f"--user-data-dir={scratch}/profile",
                f"--window-size={_WIDTH},{_HEIGHT}",
                f"--screenshot={picture}",
            ]
            done = subprocess.run(
                [program, *options, page.as_uri()], capture_output=True, timeout=_TIMEOUT_S, check=False
            )
            if done.returncode or not picture.exists():
                raise FailedError(f"chromium draws no {picture.name}: it ends with {done.returncode}")
            written.append(picture)
    return written
