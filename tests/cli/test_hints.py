"""Every error that leaves a component tells the next step: all places that make one, read from the source."""

import ast

from strongroom.errors import ConfigError, MisuseError
from tests.cli.emitted import sources
from tests.cli.raised import kinds, made, tells_always
from tests.support.tree import ROOT


def test_every_place_that_makes_an_error_tells_the_next_step() -> None:
    known = kinds()
    assert len(known) > 20
    found = [call for path, tree in sources() for call in made(path, tree, frozenset(known))]
    assert len(found) > 500
    silent = {call.place: call.kind for call in found if not call.hint and not tells_always(known[call.kind])}
    assert not silent, "\n".join(f"{place}: {kind} without a hint" for place, kind in silent.items())


def test_a_place_without_a_hint_would_be_found() -> None:
    source = """
def f(x):
    hint = "do" if x else ""
    a = ConfigError("a")
    b = ConfigError("b", hint="")
    c = ConfigError("c", hint=hint)
    d = errors.ConfigError("d", hint="do" if x else "")
    e = ConfigError("e", hint="do")
    g = ConfigError("g", hint=error.hint)
"""
    calls = sorted(made(ROOT / "x.py", ast.parse(source), frozenset({"ConfigError"})), key=lambda call: call.place)
    assert [call.hint for call in calls] == [False, False, False, False, True, True]


def test_no_log_line_is_written_with_an_empty_hint() -> None:
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == "hint":
                        assert not (isinstance(value, ast.Constant) and not value.value), f"{path}:{node.lineno}"


def test_a_hint_of_its_own_goes_before_that_of_the_class() -> None:
    assert MisuseError("x").hint == MisuseError.usual_hint
    assert MisuseError("x", hint="y").hint == "y"
    assert ConfigError("x").hint == ""
