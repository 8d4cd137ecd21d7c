"""Output that nobody reads to its end, as behind ``| head``."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

STRONGROOM = Path(sys.executable).with_name("strongroom")


@pytest.mark.parametrize("words", [("s3proxy", "--help"), ("s3", "--help"), ("completion", "bash")])
def test_a_reader_that_stops_ends_a_verb_without_a_word(words: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as output:
        done = subprocess.run([STRONGROOM, *words], stdout=output, stderr=subprocess.PIPE, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (141, b"")
