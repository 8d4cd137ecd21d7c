"""Secrets that programs get as files."""

from pathlib import Path

import pytest

from tests.support.process.privileges import is_root

CANARY = b"canary-Wd82Rm"
FILE = {"FILE": "file:bao:kv/db#key"}
NOBODY = 65_534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
needs_root = pytest.mark.skipif(not is_root(), reason="changing users needs root")


class Arrived:
    """An answer that is here already."""

    def __init__(self, content: bytes) -> None:
        self.size = len(content)
        self._content = content

    def read_into(self, buffer: memoryview) -> None:
        buffer[:] = self._content


def at(path: Path, options: str = "") -> dict[str, str]:
    return {"FILE": f"file(path={path}{options}):bao:kv/db#key"}
