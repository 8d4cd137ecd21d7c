"""``--env-file``: what a line means, which lines are refused, and who wins."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import ConfigError
from tests.support.bridge.fake import FakeBridge, bundle
from tests.support.launch.launches import Launches
from tests.support.tls.certificates import Certificates
from tests.support.tree import ROOT
from wrapper import exit_status
from wrapper.env_file import MAX_FILE_BYTES, parse_env_file

CANARY = "canary-Gh51xQ"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", {}),
        ("# A=b\n\n  \t\n  # c\n", {}),
        ("A=b", {"A": "b"}),
        ("A=b\r\nC=d\r\n", {"A": "b", "C": "d"}),
        ("\ufeffA=b", {"A": "b"}),
        ("export A=b\n  export  C=d\n", {"A": "b", "C": "d"}),
        ("A=", {"A": ""}),
        ("A=''\nB=\"\"", {"A": "", "B": ""}),
        ("A=b=c#d", {"A": "b=c#d"}),
        ("A=bao:kv/shop/db#password#3|url", {"A": "bao:kv/shop/db#password#3|url"}),
        ("A='postgres://a:${bao:kv/a#b|url}@db' # why", {"A": "postgres://a:${bao:kv/a#b|url}@db"}),
        ('A="@{bao:kv/a#b}"', {"A": "@{bao:kv/a#b}"}),
        ("A=$HOME/${x} `y` a\\nb", {"A": "$HOME/${x} `y` a\\nb"}),
        (r'A="a\nb\t\"c\" \\ \$d"', {"A": 'a\nb\t"c" \\ $d'}),
        (r"A='a\nb \ # $c'", {"A": r"a\nb \ # $c"}),
        ("A='a\"b'\nB=\"a'b\"", {"A": 'a"b', "B": "a'b"}),
        ("A=a'b\"c", {"A": "a'b\"c"}),
        ("A=ü€", {"A": "ü€"}),
        ("spring.datasource.url=x\nmy-name=y", {"spring.datasource.url": "x", "my-name": "y"}),
        ("A=1\nA=2", {"A": "2"}),
    ],
)
def test_what_a_line_means(content: str, expected: dict[str, str]) -> None:
    assert parse_env_file(content, "x.env") == expected


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (CANARY, "is not NAME=VALUE"),
        (f"A : {CANARY}", "is not NAME=VALUE"),
        (f"A ={CANARY}", "a blank in front of the equals sign"),
        (f"={CANARY}", "does not begin with the name of a variable"),
        (f"1A={CANARY}", "does not begin with the name of a variable"),
        (f"A+={CANARY}", "does not begin with the name of a variable"),
        (f"export A B={CANARY}", "does not begin with the name of a variable"),
        (f"{CANARY}/+x==", "does not begin with the name of a variable"),
        (f"A= {CANARY}", "a blank at an end"),
        (f"A={CANARY} ", "a blank at an end"),
        (f"A={CANARY} # comment", "a # behind a blank"),
        (f"A='{CANARY}", "the quote is not closed"),
        (f'A="{CANARY}', "the quote is not closed"),
        (f'A="{CANARY}\\"', "the quote is not closed"),
        (f"A='a'{CANARY}", "something stands behind the closing quote"),
        (f'A="{CANARY}"#x', "something stands behind the closing quote"),
        (f'A="{CANARY}\\x"', "a backslash in double quotes"),
        (f"A=`{CANARY}`", "begins with a backquote"),
        (f"A={CANARY}\0", "has a NUL byte"),
        (f"STRONGROOM_SUPERVISE={CANARY}", "is read before this file is"),
        (f"STRONGROOM_ENV_FILE={CANARY}", "is read before this file is"),
    ],
)
def test_what_programs_read_differently_is_refused_by_its_line_and_never_shown(line: str, rule: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_env_file(f"# one\nX=y\n{line}\nZ=1\n", "x.env")

    assert caught.value.message.startswith("env file x.env, line 3: ")
    assert rule in caught.value.message
    assert caught.value.hint
    assert CANARY not in caught.value.message + caught.value.hint


@given(st.text(), st.sampled_from(["", "A=", "export A=", "A='", 'A="']))
def test_any_file_is_read_or_refused_with_our_own_error(content: str, front: str) -> None:
    with contextlib.suppress(ConfigError):
        assert parse_env_file(front + content, "x") is not None


@given(st.text(st.characters(exclude_characters="'\n\r\0", codec="utf-8")))
def test_single_quotes_keep_everything_as_it_is(value: str) -> None:
    assert parse_env_file(f"A='{value}'", "x") == {"A": value}


def test_the_environment_wins_then_the_later_file(
    launches: Launches, certificates: Certificates, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.env", tmp_path / "second.env"
    first.write_text("A=1\nB=1\nC=1\nSECRET='bao:kv/db#key'\nSTRONGROOM_QUIET=1\n")
    second.write_text("B=2\nC=2\n")
    options = ["--env-file", str(first), f"--env-file={second}"]
    with FakeBridge(certificates.server(), bundle({"SECRET": b"s"})) as bridge:
        (tmp_path / "bridge.env").write_text(f"STRONGROOM_BRIDGE={bridge.url}\n")
        options += ["--env-file", str(tmp_path / "bridge.env")]
        done = launches.run(["sh", "-c", "echo $A$B$C $SECRET $STRONGROOM_ENV_FILE"], {"C": "3"}, options=options)
        files = f"{first},{second},{tmp_path}/bridge.env"
        by_variable = launches.run(["sh", "-c", "echo $A$B$C"], {"C": "3", "STRONGROOM_ENV_FILE": files})

    assert (done.returncode, done.stdout, done.stderr) == (0, b"123 s\n", b"")
    assert by_variable.stdout == b"123\n", by_variable.stderr


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (str, "No such file"),
        (Path.mkdir, "Is a directory"),
        (os.mkfifo, "is not a regular file"),
        (lambda path: path.write_bytes(b"A=b\nC=\xff\n"), "line 2 is not UTF-8"),
        (lambda path: path.write_bytes(b"#" * (MAX_FILE_BYTES + 1)), "is longer than"),
    ],
    ids=["missing", "directory", "pipe", "latin-1", "long"],
)
def test_a_file_that_cannot_be_read_stops_the_launch(
    launches: Launches, tmp_path: Path, make: Callable[[Path], object], words: str
) -> None:
    path = tmp_path / "x.env"
    make(path)
    done = launches.run(["true"], {}, options=["--env-file", str(path)])
    assert done.returncode == exit_status.CONFIG
    assert f"env file {path}: " in done.stderr.decode()
    assert words in done.stderr.decode()


def test_its_references_are_planned_and_saved_and_its_values_are_not(
    launches: Launches, certificates: Certificates, tmp_path: Path
) -> None:
    env, saved = tmp_path / "x.env", tmp_path / "launch.json"
    env.write_text(f"SECRET=bao:kv/db#key\nPLAIN={CANARY}\n")
    with FakeBridge(certificates.server(), bundle({"SECRET": b"s"})) as bridge:
        options = ["--env-file", str(env), "--save-launch", str(saved)]
        assert launches.run(["true"], {}, bridge=bridge.url, options=options).returncode == 0
        env.unlink()
        joined = subprocess.run(
            [sys.executable, "-m", "cli", "exec", "--saved-launch", str(saved), "--", "printenv", "SECRET"],
            env={"PATH": os.environ["PATH"], "STRONGROOM_WAIT": "0"},
            cwd=ROOT,
            capture_output=True,
            check=False,
            timeout=30,
        )
    assert joined.stdout == b"s\n", joined.stderr
    assert json.loads(saved.read_text())["environment"]["SECRET"] == "bao:kv/db#key"
    assert CANARY not in saved.read_text()


@pytest.mark.parametrize("verb", ["plan", "exec"])
def test_other_verbs_take_it_too(launches: Launches, tmp_path: Path, verb: str) -> None:
    env = tmp_path / "x.env"
    env.write_text("SECRET=bao:kv/shop\n")
    done = subprocess.run(
        [sys.executable, "-m", "cli", verb, "--env-file", str(env), "--", "true"],
        env=launches.environ("https://127.0.0.1:1", {}),
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == exit_status.CONFIG
    assert b"SECRET: 'bao:kv/shop': has no key" in done.stderr
