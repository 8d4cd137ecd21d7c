"""A worker as its parent sees it, where what runs in it is not what the parent expects."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from s3proxy.processes import worker
from s3proxy.processes.worker import Worker
from strongroom.errors import ConfigError

SPEAKS_OTHERWISE = """
import sys
sys.path[:] = sys.argv[2:]
from multiprocessing.connection import Connection
pipe = Connection(int(sys.argv[1]))
pipe.send("closed")
pipe.recv_bytes()
pipe.send_bytes(b"no pickle")
try:
    pipe.recv_bytes()
except EOFError:
    sys.exit(7)
"""


def test_one_of_another_version_is_let_end_so_that_its_place_can_be_filled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After an upgrade in place the parent is older than the workers that it begins."""
    monkeypatch.setattr(worker, "COMMAND", SPEAKS_OTHERWISE)

    async def run() -> int | None:
        begun = Worker(cast("Any", None), 1, shared=tmp_path)
        async with asyncio.timeout(60):
            with pytest.raises(ConfigError, match="process 1 ended before it listened"):
                await begun.listening()
            await begun.ended()
        return begun.exit_status

    assert asyncio.run(run()) == 7
