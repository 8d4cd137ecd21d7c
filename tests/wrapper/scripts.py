"""Scripts that tests write."""

from pathlib import Path

SCRIPT = b"#!/bin/sh\necho $0\n"


def write(path: Path, content: bytes = SCRIPT, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    return path
