"""What is offered against what the verbs' own help texts say."""

import functools
import re
import subprocess
import sys

import pytest

from cli.completion.candidates import offer
from cli.completion.tree import find_verb
from cli.main import VERBS
from tests.support.tree import ROOT

PATHS = [
    (verb, *more)
    for verb in VERBS
    if verb not in {"version", "dev"}  # which take no options
    for more in ((), *((word,) for word in find_verb((verb,)).verbs if verb in {"s3", "bench"}))
]


@functools.cache
def in_help(path: tuple[str, ...]) -> frozenset[str]:
    command = [sys.executable, "-m", "cli", *path, "--help"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    listed = re.findall(r"^ {2}(?:-\w, )?(--?[a-z0-9][a-z0-9-]*)", text, re.MULTILINE)
    return frozenset({*listed, *re.findall(r"\[(--[a-z-]+)", text.partition("\n\n")[0])} - {"-h"})


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_the_options_are_those_of_the_help(path: tuple[str, ...]) -> None:
    verb = find_verb(path)
    offered = {option.flag for option in verb.options} - {"--help"}
    named = in_help(path) - {"--help"}
    assert named <= offered
    if path[0] == "s3" and len(path) > 1:  # which take every setting of the proxy, and name them elsewhere
        named |= in_help(("s3proxy",))
    if path[0] == "doctor":  # which takes the options of run, and says so
        named |= in_help(("plan",))
    assert offered <= named


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_option_and_verb_says_what_it_is_for(path: tuple[str, ...]) -> None:
    verb = find_verb(path)
    assert all(option.meaning for option in verb.options if path[0] != "bench")
    assert all(verb.verbs.values())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "--require", ""], {"memfd-secret", "locked", "any"}),
        (["run", "--require=lo"], {"memfd-secret", "locked", "any"}),
        (["plan", "-o", ""], {"json"}),
        (["s3", "--config", "x", ""], set()),
        (["completion", ""], {"bash", "zsh", "fish"}),
        (["no-such-verb", ""], set()),
        (["s3", "no-such-verb", "--"], set()),
        (["bridge", "--log-level", ""], set()),
    ],
)
def test_values_and_verbs(words: list[str], expected: set[str]) -> None:
    offered = offer(words)
    assert offered.kind == "words"
    if expected:
        assert {word for word, _ in offered.words} == expected


@pytest.mark.parametrize(
    ("words", "begin"),
    [
        (["run", ""], 1),
        (["run", "--quiet", "env", "-"], 2),
        (["run", "--ca", "env", "--", "env", "-i"], 4),
        (["exec", "--wait=3", "--", ""], 3),
        (["run", "--dumpable", "gre"], 2),
    ],
)
def test_what_stands_behind_a_launch_is_a_command_of_its_own(words: list[str], begin: int) -> None:
    assert (offer(words).kind, offer(words).begin) == ("command", begin)


@pytest.mark.parametrize(
    "words", [["run", "--ca", ""], ["bridge", "--policy-file", "x"], ["bundle", "x"], ["s3", "open", "x"]]
)
def test_paths_are_offered_where_one_belongs(words: list[str]) -> None:
    assert offer(words).kind == "files"
