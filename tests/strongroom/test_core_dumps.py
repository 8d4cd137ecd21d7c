"""Every process of ours that holds secrets or keys is out of reach of core dumps and of its user's other processes.

Seen from outside, before it has read anything: each waits for its configuration file or object, which is a FIFO.
"""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.process.privileges import PREFIX, core_limits, has_loaded, what_its_user_can_open
from tests.support.process.waiting import stop_process, wait_for

SERVERS = [["bridge"], ["s3proxy"], ["cli", "bridge"], ["cli", "s3proxy"]]
COMMANDS = [
    *SERVERS,
    ["cli", "s3", "open", "FIFO"],
    ["cli", "s3", "rewrap"],
    ["cli", "s3", "seal-bucket", "bucket"],
    ["cli", "s3", "verify", "bucket"],
]

WRITERS: list[int] = []


@pytest.fixture(params=COMMANDS, ids=" ".join)
def waiting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has opened its configuration file, which does not end."""
    config = tmp_path / "config.toml"
    os.mkfifo(config)
    module, *words = request.param
    command = [*PREFIX, sys.executable, "-m", module, *words, f"--config={config}"]
    command = [str(config) if word == "FIFO" else word for word in command]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            wait_for(lambda: has_reader(config, process), "it reads its settings", timeout_s=60)
            yield process
        finally:
            process.kill()
            while WRITERS:
                os.close(WRITERS.pop())


def has_reader(fifo: Path, process: subprocess.Popen[bytes]) -> bool:
    """Return whether the process is reading; from then on its read waits, since what is written here has no end."""
    if process.poll() is not None:
        assert process.stderr is not None
        pytest.fail(process.stderr.read().decode())
    try:
        descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        assert error.errno == errno.ENXIO  # noqa: PT017 - nobody reads yet (fifo(7))
        return False
    WRITERS.append(descriptor)
    return True


def test_it_has_no_core_file_and_no_other_process_of_its_user_can_look_into_it(
    waiting: subprocess.Popen[bytes],
) -> None:
    assert core_limits(waiting.pid) == ["0", "0"]
    assert what_its_user_can_open(waiting.pid) == set()


@pytest.mark.parametrize("command", SERVERS, ids=" ".join)
def test_a_server_is_closed_before_it_imports_what_takes_time(command: list[str], tmp_path: Path) -> None:
    """Who has opened its memory by then goes on reading it."""
    config = tmp_path / "config.toml"
    os.mkfifo(config)
    with subprocess.Popen([*PREFIX, sys.executable, "-m", *command, f"--config={config}"]) as process:
        try:
            wait_for(lambda: has_loaded(process.pid, "aiohttp"), "it imports what it runs", timeout_s=60)
            stop_process(process.pid)
            assert what_its_user_can_open(process.pid) == set()
        finally:
            process.kill()


def test_without_that_a_process_is_open_to_its_user() -> None:
    """That the test above can fail."""
    with subprocess.Popen([*PREFIX, "sleep", "60"], stdin=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: what_its_user_can_open(process.pid), "sleep has begun")
            assert what_its_user_can_open(process.pid) == {"environ", "maps", "fd/0"}
        finally:
            process.kill()
