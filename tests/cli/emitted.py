"""What the source of the servers emits, read from its syntax trees: log events with their levels and fields."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from strongroom.names import PACKAGES
from tests.support.tree import ROOT

RECORD_LOG = "{log}"
Scopes = tuple[ast.AST, ...]


@dataclass(frozen=True)
class Emitted:
    """One call of ``log_event``.

    Attributes:
        place: file and line.
        names: events that it can write; ``RECORD_LOG`` stands for the name of a log of records.
        levels: that are written in the call, if they are.
        fields: that can be told from the source.
    """

    place: str
    names: frozenset[str]
    levels: frozenset[str]
    fields: frozenset[str]


@cache
def sources() -> tuple[tuple[Path, ast.Module], ...]:
    paths = [path for package in sorted(PACKAGES) for path in sorted((ROOT / package).rglob("*.py"))]
    return tuple((path, ast.parse(path.read_text())) for path in paths)


def emitted(path: Path, tree: ast.Module) -> Iterator[Emitted]:
    """Yield the calls of a module; one whose event cannot be told has no names."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "log_event":
                _, level, event, *fields = call.args
                told = {word for given in fields for word in _keys(given, (function, tree))}
                told |= {"error" for keyword in call.keywords if keyword.arg == "error"}
                yield Emitted(
                    place=f"{path.relative_to(ROOT)}:{call.lineno}",
                    names=frozenset(texts_of(event, (function, tree))),
                    levels=frozenset({level.attr.lower()} if isinstance(level, ast.Attribute) else ()),
                    fields=frozenset(told),
                )


def texts_of(node: ast.expr, scopes: Scopes) -> Iterator[str]:
    """Yield the texts that an expression can be."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=body, orelse=orelse):
            yield from texts_of(body, scopes)
            yield from texts_of(orelse, scopes)
        case ast.JoinedStr(
            values=[ast.FormattedValue(value=ast.Attribute(attr="_name")), ast.Constant(value=str(end))]
        ):
            yield RECORD_LOG + end
        case ast.Tuple(elts=choices):
            for choice in choices:
                yield from texts_of(choice, scopes)
        case ast.Subscript(value=value):
            yield from texts_of(value, scopes)
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="self"), attr=name):
            for value in _assigned(name, scopes):
                yield from texts_of(value, scopes)


def _keys(node: ast.expr, scopes: Scopes) -> Iterator[str]:
    """Yield the names of the members that a mapping is given by its source."""
    match node:
        case ast.Dict(keys=keys):
            yield from (key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            yield from _keys(left, scopes)
            yield from _keys(right, scopes)
        case ast.IfExp(body=body, orelse=orelse):
            yield from _keys(body, scopes)
            yield from _keys(orelse, scopes)
        case ast.Name(id=name):
            for value in _assigned(name, scopes):
                yield from _keys(value, scopes)


def _assigned(name: str, scopes: Scopes) -> Iterator[ast.expr]:
    """Yield what a name, of the function or of the module, or an attribute of the object is given."""
    for scope in scopes:
        found = list(_given(name, scope))
        if found:
            yield from found
            return


def _given(name: str, scope: ast.AST) -> Iterator[ast.expr]:
    for statement in ast.walk(scope):
        match statement:
            case ast.Assign(targets=[ast.Name(id=target) | ast.Attribute(attr=target)], value=value) if target == name:
                yield value
            case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value) if target == name:
                yield value
            case ast.AugAssign(target=ast.Name(id=target), op=ast.BitOr(), value=value) if target == name:
                yield value
