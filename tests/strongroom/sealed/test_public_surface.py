"""The code on docs/public-surface.md opens an object, with nothing else of this project's rooms."""

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.tree import ROOT

PAGE = ROOT / "docs/public-surface.md"
VECTOR = ROOT / "tests/vectors/object/good-three-chunks.json"


def opened(place: Path, *, key: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the page's code on a vector, under another name if one is given."""
    described = json.loads(VECTOR.read_text())
    (place / "kek").write_bytes(base64.b64encode(bytes.fromhex(described["kek"])))
    (place / "stored").write_bytes(VECTOR.with_name(described["file"]).read_bytes())
    (place / "entry").write_text(described["entry"])
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    code = code.replace('"orders"', repr(described["bucket"])).replace('"2026/1.txt"', repr(key or described["key"]))
    code += 'import sys; print(*{name.partition(".")[0] for name in sys.modules})'
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=place, env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_code_on_the_page_opens_an_object(tmp_path: Path) -> None:
    done = opened(tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "plain").stat().st_size == json.loads(VECTOR.read_text())["plaintext_bytes"]
    assert not {"s3proxy", "bridge", "hvac", "aiohttp"} & set(done.stdout.split())


def test_the_code_on_the_page_refuses_an_object_under_another_name(tmp_path: Path) -> None:
    done = opened(tmp_path, key="another")
    assert "RefusedError" in done.stderr
    assert not (tmp_path / "plain").exists()
