"""Which imports of a source file count."""

import pytest

from bundle.imports import closure, imports_of


@pytest.mark.parametrize(
    ("source", "modules", "members"),
    [
        ("import a.b, c", {"a.b", "c"}, set()),
        ("from a import b as x, c", {"a"}, {"a.b", "a.c"}),
        ("from a import *", {"a"}, set()),
        ("def f():\n    import a", {"a"}, set()),
        ("class C:\n    def f(self):\n        from a.b import c", {"a.b"}, {"a.b.c"}),
        ("try:\n    import a\nexcept ImportError:\n    import b", {"a", "b"}, set()),
        ("if x:\n    import a\nelse:\n    import b", {"a", "b"}, set()),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    import b", {"b"}, set()),
        ("if typing.TYPE_CHECKING:\n    import a", set(), set()),
        ("from . import a", {"pack.age"}, {"pack.age.a"}),
        ("from .a import b", {"pack.age.a"}, {"pack.age.a.b"}),
        ("from ..a import b", {"pack.a"}, {"pack.a.b"}),
        ("'import a'", set(), set()),
    ],
)
def test_imports(source: str, modules: set[str], members: set[str]) -> None:
    found = imports_of(source, "pack.age.module")
    assert (found.modules, found.members) == (modules, members)


def test_a_package_is_what_its_own_imports_are_relative_to() -> None:
    assert imports_of("from . import a", "pack.age", is_package=True).members == {"pack.age.a"}


def test_the_closure_follows_what_can_be_read_and_names_the_rest() -> None:
    sources = {
        "own": ("", True),
        "own.start": ("from own import middle\nfrom other import thing", False),
        "own.middle": ("import own.start\nfrom own.end import value\nimport far.away", False),
        "own.end": ("", False),
        "own.unused": ("import never", False),
    }
    inside, beyond = closure(["own.start"], sources.get)
    assert inside == {"own", "own.start", "own.middle", "own.end"}
    assert beyond.modules == {"other", "far.away"}
    assert beyond.members == {"other.thing", "own.end.value"}
