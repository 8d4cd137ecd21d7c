"""The table of exit statuses against the code that ends with them."""

import ast
from collections.abc import Iterator

from cli.main import VERBS
from cli.statuses import ANY, ENDINGS, LAUNCH
from tests.cli.emitted import sources
from tests.support.tree import ROOT
from wrapper import exit_status

# Statuses of processes that are children of ours, which nobody else meets.
INNER: dict[str, set[int | str]] = {
    "s3proxy/processes/worker.py": {"EX_CONFIG"},
    "wrapper/static/start.py": {0, 1},
    "wrapper/static/tracer.py": {0},
}


def given(tree: ast.Module) -> Iterator[int | str]:
    """Yield the statuses that a module writes out: of its main functions, and of calls that end a process."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in {"main", "run", "missing"}:
            for inside in ast.walk(node):
                if isinstance(inside, ast.Return) and inside.value is not None:
                    yield from _numbers(inside.value)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"exit", "_exit"}:
            for argument in node.args:
                yield from _numbers(argument)


def _numbers(node: ast.expr) -> Iterator[int | str]:
    match node:
        case ast.Constant(value=int(number)):
            yield number
        case ast.IfExp(body=body, orelse=orelse):
            yield from _numbers(body)
            yield from _numbers(orelse)
        case ast.Attribute(value=ast.Name(id="os"), attr=name):
            yield name


def test_every_verb_says_how_it_can_end_and_what_to_do() -> None:
    assert ENDINGS.keys() == VERBS.keys()
    for ending in {ending for endings in (*ENDINGS.values(), ANY) for ending in endings}:
        assert ending.meaning
        assert ending.cure
        assert (ending.cure == "nothing") == (ending.status == 0), ending


def test_every_status_of_a_launch_is_in_the_table_once() -> None:
    known = {value for name, value in vars(exit_status).items() if name.isupper() and isinstance(value, int)}
    assert [ending.status for ending in LAUNCH] == sorted(known - {exit_status.SIGNALLED})
    classes = {kind for kind, _ in exit_status._TABLE}
    assert {exit_status.status_of(kind("x")) for kind in classes} <= known


def test_no_module_ends_with_a_status_that_is_in_no_table() -> None:
    tabled = {ending.status for endings in (*ENDINGS.values(), ANY) for ending in endings}
    found = 0
    for path, tree in sources():
        place = str(path.relative_to(ROOT))
        statuses = set(given(tree)) - INNER.get(place, set())
        found += len(statuses)
        assert statuses <= tabled, f"{place}: {statuses - tabled}"
    assert found > 10


def test_a_status_that_is_in_no_table_would_be_found() -> None:
    source = "def main(x):\n    if x:\n        sys.exit(77)\n    return 0 if x else 78\n"
    assert set(given(ast.parse(source))) == {0, 77, 78}
