"""Which modules a set of modules imports, as their source says. Pure.

Imports inside functions count: a launch reaches many of them only when something is wrong. Imports for the type checker
(``if TYPE_CHECKING:``) do not.
"""

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Imports:
    """What one source file, or several, import.

    Attributes:
        modules: names that must be modules.
        members: names that may be modules or members of one, ``a.b`` for ``from a import b``.
    """

    modules: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)


def imports_of(source: str, module: str, *, is_package: bool = False) -> Imports:
    """Return what one source file imports.

    Args:
        source: its text.
        module: its name, to which relative imports are relative.
        is_package: whether it is an ``__init__.py``.
    """
    package = module if is_package else module.rpartition(".")[0]
    found = Imports()
    for node in _nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = _absolute(node, package)
            found.modules.add(origin)
            found.members.update(f"{origin}.{alias.name}" for alias in node.names if alias.name != "*")
    return found


def _nodes(node: ast.AST) -> Iterable[ast.AST]:
    yield node
    children: Iterable[ast.AST] = ast.iter_child_nodes(node)
    if isinstance(node, ast.If) and _is_type_checking(node.test):
        children = node.orelse
    for child in children:
        yield from _nodes(child)


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    base = package.split(".")
    base = base[: len(base) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def closure(roots: Iterable[str], read_source: Callable[[str], tuple[str, bool] | None]) -> tuple[set[str], Imports]:
    """Follow imports from module to module.

    Args:
        roots: names to begin with.
        read_source: returns the text of a module and whether it is a package, or None for one not to be looked into.

    Returns:
        The modules that were looked into, and what they import beyond those.
    """
    inside: set[str] = set()
    beyond = Imports()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in inside:
            continue
        found = read_source(name)
        if found is None:
            beyond.modules.add(name)
            continue
        inside.add(name)
        source, is_package = found
        imports = imports_of(source, name, is_package=is_package)
        waiting += imports.modules
        for member in imports.members:
            if read_source(member) is not None:
                waiting.append(member)
            else:
                beyond.members.add(member)
        parent = name.rpartition(".")[0]
        if parent:
            waiting.append(parent)
    return inside, beyond
