"""Logs never wait for their reader, and tell what was dropped."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.process.privileges import is_root

LOG_MUCH = """
import logging, sys
from strongroom.service.logs import configure_logging, log_event
configure_logging("test")
log = logging.getLogger("test")
for number in range(5000):
    log_event(log, logging.INFO, "event", {"number": number, "text": "x" * 100})
print("done", flush=True)
sys.stdin.readline()
log_event(log, logging.INFO, "last")
"""


def test_a_pipe_that_nobody_reads_stops_nothing_and_what_was_dropped_is_told() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LOG_MUCH], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout
        assert child.stderr
        assert child.stdin
        assert child.stdout.readline() == b"done\n"  # although the pipe is full
        os.set_blocking(child.stderr.fileno(), False)
        first = child.stderr.read()
        os.set_blocking(child.stderr.fileno(), True)
        child.stdin.write(b"\n")
        child.stdin.close()
        lines = [json.loads(line) for line in (first + child.stderr.read()).decode().splitlines()]
        assert child.wait() == 0
    numbers = [line["number"] for line in lines if line["event"] == "event"]
    assert numbers == list(range(len(numbers)))
    assert [line["count"] for line in lines if line["event"] == "log_lines_dropped"] == [5000 - len(numbers)]
    assert lines[-1]["event"] == "last"


LOG_LONG = """
import logging, os
from strongroom.service.logs import configure_logging, log_event
os.setuid(65534)
configure_logging("test")
log = logging.getLogger("test")
for number in range(200):
    log_event(log, logging.INFO, "event", {"number": number, "text": "\U0001f511" * 2000})
print("done", flush=True)
"""


@pytest.mark.skipif(not is_root(), reason="needs a second user")
def test_long_lines_do_not_wait_in_a_pipe_that_belongs_to_another_user() -> None:
    """As in a container whose program is not root: such a pipe cannot be opened anew. A line has 24 kB."""
    with subprocess.Popen([sys.executable, "-c", LOG_LONG], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stderr
        assert child.stdout.readline() == b"done\n"  # although the pipe is full
        assert child.wait() == 0
        lines = child.stderr.read().splitlines()
    assert [json.loads(line)["number"] for line in lines[:-1]] == list(range(len(lines) - 1))


@pytest.mark.parametrize("target", ["/dev/full", "closed"])
def test_a_full_disk_or_no_stderr_changes_no_exit_status(target: str, tmp_path: Path) -> None:
    command = f'exec "$0" -c "$1" 2>{"&-" if target == "closed" else target}'
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable, LOG_MUCH],
        input=b"\n",
        stdout=subprocess.PIPE,
        check=False,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (0, b"done\n")


def test_lines_in_a_file_are_all_there(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        subprocess.run([sys.executable, "-c", LOG_MUCH], input=b"\n", stdout=subprocess.DEVNULL, stderr=log, check=True)
    assert len((tmp_path / "log").read_text().splitlines()) == 5001
