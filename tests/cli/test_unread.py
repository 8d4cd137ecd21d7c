"""Output that nobody reads to its end, as behind ``| head``."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tree import ROOT

STRONGROOM = Path(sys.executable).with_name("strongroom")


@pytest.mark.parametrize(
    "words", [("--help",), ("plan", "--help"), ("s3proxy", "--help"), ("s3", "--help"), ("completion", "bash")]
)
def test_a_reader_that_stops_ends_a_verb_without_a_word(words: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as output:
        done = subprocess.run([STRONGROOM, *words], stdout=output, stderr=subprocess.PIPE, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (141, b"")


def test_output_that_is_longer_than_any_buffer_is_known_to_be_unread_too() -> None:
    writes = "main._run = lambda *_: sys.stdout.buffer.write(bytes(1 << 20))"
    command = [sys.executable, "-c", f"import sys; from cli import main; {writes}; sys.exit(main.main(['any']))"]
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, check=False, timeout=60, cwd=ROOT)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_mistake_is_told_though_nobody_reads_and_a_closed_stdout_changes_no_status() -> None:
    for script, status, told in (
        ('"$0" s3proxy --no-such=1 >&-', 2, b"--no-such"),
        ('"$0" s3proxy --no-such=1 | true; exit ${PIPESTATUS[0]}', 2, b"--no-such"),
    ):
        done = subprocess.run(["bash", "-c", script, STRONGROOM], capture_output=True, check=False, timeout=60)
        assert (done.returncode, told in done.stderr, b"Traceback" in done.stderr) == (status, True, False)
