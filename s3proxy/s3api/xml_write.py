"""Writing XML answers: elements and text, nothing else.

What XML 1.0 cannot express (section 2.2: most control characters, lone surrogates) becomes U+FFFD: an answer is well
formed whatever a key holds. Clients that have such keys ask for ``encoding-type=url``.
"""

import re
from dataclasses import dataclass
from typing import Final

S3_NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_FORBIDDEN: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# The carriage return would be read back as a line feed (section 2.11); the others are markup, or attribute ends. The
# ampersand is the first: each replacement has one.
_ESCAPES: Final = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("\r", "&#13;"))


@dataclass(frozen=True, slots=True)
class Node:
    """An element: either text or children."""

    name: str
    text: str
    children: tuple["Node", ...]


def node(name: str, *content: "str | int | bool | Node") -> Node:
    """Make an element of children, or of one text, number or truth value."""
    children = tuple(item for item in content if isinstance(item, Node))
    texts = [_text(item) for item in content if not isinstance(item, Node)]
    return Node(name, "".join(texts), children)


def _text(value: str | int) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def escape(text: str) -> str:
    """Return the text as it may appear in an element or a quoted attribute."""
    text = _FORBIDDEN.sub("\ufffd", text)
    for character, reference in _ESCAPES:  # str.translate takes ten times as long, and strangers give long texts
        text = text.replace(character, reference)
    return text


def to_xml(root: Node, *, namespace: str = S3_NAMESPACE) -> bytes:
    """Return the document in UTF-8; error documents have no namespace.

    Piece by piece: in a string of all of it one rare character would make each other one four bytes long.
    """
    pieces = [_DECLARATION]
    _write(root, pieces, f' xmlns="{escape(namespace)}"' if namespace else "")
    return b"".join([piece.encode() for piece in pieces])


def _write(item: Node, pieces: list[str], attributes: str = "") -> None:
    pieces.append(f"<{item.name}{attributes}>{escape(item.text)}")
    for child in item.children:
        _write(child, pieces)
    pieces.append(f"</{item.name}>")
