"""moto in server mode: a second S3 store, of another make than SeaweedFS, as a child process on loopback."""

import secrets
import subprocess
from pathlib import Path
from typing import Self

from tests.s3clients.place import PYTHON
from tests.support.tree import ROOT

STOP_TIMEOUT_S = 30.0


class MotoServer:
    """Serving when the constructor returns. It keeps objects in memory and asks nobody for a signature."""

    def __init__(self, log: Path) -> None:
        self.access_key = "store-" + secrets.token_hex(6)
        self.secret_key = secrets.token_urlsafe(24)
        with log.open("w") as stderr:
            self._process = subprocess.Popen(
                [PYTHON, "-m", "tests.s3clients.programs.moto_program"],
                env={"PATH": "/usr/bin:/bin"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                cwd=ROOT,
            )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        assert port, log.read_text()
        self.address = f"http://127.0.0.1:{port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
