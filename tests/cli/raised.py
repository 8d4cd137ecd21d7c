"""Where the source makes errors of ours, and whether each tells the next step."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from s3proxy.s3api.errors import S3Error
from strongroom.errors import StrongroomError
from tests.cli.emitted import sources, texts_of
from tests.support.tree import ROOT


@dataclass(frozen=True)
class Made:
    """One call that makes an error.

    Attributes:
        place: file and line.
        kind: name of the class.
        hint: whether it is given a hint that is not empty, or may be for all that the source tells.
    """

    place: str
    kind: str
    hint: bool


def kinds() -> dict[str, type[StrongroomError]]:
    """Return all classes of our errors, by name; where a name is used twice, the one without hints."""
    for path, tree in sources():
        if any(isinstance(node, ast.ClassDef) and node.name.endswith("Error") for node in tree.body):
            import_module(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    found: dict[str, type[StrongroomError]] = {}
    for kind in sorted(_below(StrongroomError), key=tells_always, reverse=True):
        found[kind.__name__] = kind
    return found


def tells_always(kind: type[StrongroomError]) -> bool:
    """Return whether all errors of a class have a hint, or the class says why they have none."""
    return bool(kind.usual_hint or getattr(kind, "without_hint", "")) or issubclass(kind, S3Error)  # that of its code


def made(path: Path, tree: ast.Module, names: frozenset[str]) -> Iterator[Made]:
    """Yield the calls of a module that make errors of these names."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for call in ast.walk(node):
            if not isinstance(call, ast.Call):
                continue
            name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
            if name in names:
                hints = [keyword.value for keyword in call.keywords if keyword.arg in {"hint", None}]
                place = f"{path.relative_to(ROOT)}:{call.lineno}"
                yield Made(place, name, bool(hints) and "" not in texts_of(hints[0], (node, tree)))


def _below(kind: type[StrongroomError]) -> Iterator[type[StrongroomError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _below(below)
