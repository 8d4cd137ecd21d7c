"""The scripts in real shells: a person types, presses Tab and Enter, and a stand-in prints what was typed then."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.completion.main import SCRIPTS

STRONGROOM = Path(sys.executable).with_name("strongroom")
DEADLINE_S = 60

# Completion asks the real command; what Enter starts prints its arguments.
STAND_IN = """
strongroom() { if [ "$1" = completion ]; then command strongroom "$@"; else echo "typed:$*:"; fi; }
"""
BEGIN = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "bind 'set enable-bracketed-paste off'\n"),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit; compinit -u -D\n"),
}
CASES = [
    ("pla", "plan"),
    ("run --retr", "run --retries"),
    ("run --require lo", "run --require locked"),
    ("bridge --tls-c", "bridge --tls-cert-file"),
    ("s3 seal-b", "s3 seal-bucket"),
    ("s3 verify --pref", "s3 verify --prefix"),
    ("run --bridge https://b:8443 --retr", "run --bridge https://b:8443 --retries"),
    ("run --ca some-aut", "run --ca some-authorities.pem"),
    ("run -- a-program-of-", "run -- a-program-of-ours"),
    ("run --quiet a-program-of-", "run --quiet a-program-of-ours"),
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "some-authorities.pem").touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/a-program-of-ours").write_text("#!/bin/sh\n")
    (tmp_path / "bin/a-program-of-ours").chmod(0o755)
    return tmp_path


def environ(place: Path) -> dict[str, str]:
    path = f"{place / 'bin'}:{STRONGROOM.parent}:/usr/bin:/bin"
    return {"PATH": path, "HOME": str(place), "TERM": "dumb", "LANG": "C.UTF-8"}


def typed(shell: str, keys: str, place: Path) -> str:
    """Return what the command was started with after these keys, a Tab and Enter."""
    command, begin = BEGIN[shell]
    (place / "begin").write_text(begin + SCRIPTS[shell] + STAND_IN)
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command, cwd=place, env=environ(place), stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    seen = b""
    end = time.monotonic() + DEADLINE_S
    try:
        os.write(master, b". ./begin; echo rea''dy\n")
        sent = False
        while time.monotonic() < end:
            if not select.select([master], [], [], 1)[0]:
                continue
            seen += os.read(master, 65536)
            if not sent and b"ready" in seen:
                os.write(master, f"strongroom {keys}\t\n".encode())
                sent = True
            _, found, rest = seen.partition(b"typed:")
            if found and b":\r" in rest:
                return rest.partition(b":\r")[0].decode().strip()
    finally:
        process.kill()
        process.wait()
        os.close(master)
    raise AssertionError(seen.decode(errors="replace"))


@pytest.mark.parametrize(("keys", "expected"), CASES)
@pytest.mark.parametrize("shell", BEGIN)
def test_a_tab_completes(shell: str, keys: str, expected: str, place: Path) -> None:
    assert typed(shell, keys, place) == expected


@pytest.mark.parametrize(("keys", "expected"), CASES)
def test_fish_offers_it(keys: str, expected: str, place: Path) -> None:
    """fish has a command that returns what a Tab would offer, with the meanings."""
    (place / "strongroom.fish").write_text(SCRIPTS["fish"])
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"source strongroom.fish; complete -C 'strongroom {keys}'"],
        cwd=place, env=environ(place), capture_output=True, text=True, check=True, timeout=DEADLINE_S,
    )  # fmt: skip
    offered = [line.partition("\t")[0] for line in done.stdout.splitlines()]
    assert expected.rsplit(maxsplit=1)[-1] in offered, done.stdout + done.stderr
    if keys.startswith(("pla", "run --retr")):
        assert all(line.partition("\t")[2] for line in done.stdout.splitlines())


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_command_prints_the_script(shell: str) -> None:
    done = subprocess.run([STRONGROOM, "completion", shell], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == SCRIPTS[shell]


@pytest.mark.parametrize("words", [[], ["tcsh"], ["bash", "zsh"]])
def test_another_shell_is_refused(words: list[str]) -> None:
    done = subprocess.run([STRONGROOM, "completion", *words], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("strongroom: hint: strongroom completion bash|zsh|fish\n")
