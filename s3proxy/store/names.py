"""Names that some stores change: two names would then be one object, and neither be what it was sealed as. Pure.

Each shape is tried at the start with a sample (``probe``). Names of a shape that the store changes are refused (ADR
0020); dot segments are refused for every store, before anything else.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_EDGE: Final = re.compile(r"(?:\A|/) |[ .](?:/|\Z)")
_CONTROL: Final = re.compile(r"[\t\n\r\x7f]")


@dataclass(frozen=True)
class Shape:
    """A kind of names.

    Attributes:
        title: as a person is told of it.
        sample: a name of the kind; ``{}`` stands for where it is tried.
        has: whether a name is of the kind.
    """

    title: str
    sample: str
    has: Callable[[str], bool]


SHAPES: Final = (
    Shape("two slashes in a row", "{}a//b", lambda key: "//" in key),
    Shape("a slash at the beginning", "/{}lead", lambda key: key.startswith("/")),
    Shape("a backslash", "{}a\\b", lambda key: "\\" in key),
    Shape("a percent sign", "{}a%2fb", lambda key: "%" in key),
    Shape("a plus sign", "{}a+b", lambda key: "+" in key),
    Shape("a blank or a dot at the edge of a segment", "{} edge. ", lambda key: _EDGE.search(key) is not None),
    Shape("a tab or the end of a line", "{}a\tb", lambda key: _CONTROL.search(key) is not None),
    Shape("letters that Unicode composes", "{}e\u0301", lambda key: not unicodedata.is_normalized("NFC", key)),
)
ALL_TITLES: Final = frozenset(shape.title for shape in SHAPES)


def changed_shape(key: str, titles: frozenset[str]) -> str:
    """Return the title of the first of these shapes that a name has, or ""."""
    return next((shape.title for shape in SHAPES if shape.title in titles and shape.has(key)), "")
