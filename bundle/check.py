"""Starts a new bundle once before anybody relies on it."""

import subprocess
from pathlib import Path

from bundle.manifest import LAUNCHER
from strongroom.errors import ConfigError

_TIMEOUT_S = 60

# Each would stop the bundle's own interpreter, or change what it prints, if it reached it.
_HOSTILE = {
    "LC_ALL": "tr_TR.ISO-8859-9",
    "LD_LIBRARY_PATH": "/nonexistent",
    "LD_TRACE_LOADED_OBJECTS": "1",
    "OPENSSL_CONF": "/nonexistent/openssl.cnf",
    "PYTHONHOME": "/nonexistent",
}


def check_bundle(directory: Path) -> None:
    """Have the bundle in a directory launch itself.

    Raises:
        ConfigError: it cannot.
    """
    program = str(directory / LAUNCHER)
    try:
        result = subprocess.run(
            [program, "run", "--", program, "version"],
            env=_HOSTILE,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"{program}: the new bundle does not start: {error}"
        raise ConfigError(
            msg,
            hint="is there room, and may programs be executed there? What was there before is untouched",
        ) from None
    if result.returncode != 0 or not result.stdout.startswith("strongroom "):
        last = result.stderr.strip().rpartition("\n")[2].removeprefix("strongroom: error: ")
        msg = f"the new bundle does not start: {last or f'status {result.returncode}'}"
        raise ConfigError(msg, hint="nothing was changed")
