"""Reading XML documents of strangers: elements and text, with limits, and no document type.

Expat is told to refuse every DOCTYPE, so there are no entities to expand or to fetch (the "billion laughs" and
external entities need one). Attributes, namespaces and prefixes are dropped: S3's documents mean nothing by them but
``xsi:type`` of a grantee, which the store reads itself. Expat is not told of namespaces: it would put that of an
element before its name, and a document with one long namespace would become a copy of that for each element.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn
from xml.parsers import expat

from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.xml_write import Node, node

MAX_DEPTH: Final = 16
MAX_ELEMENTS: Final = 120_000  # 10,000 parts with seven elements each, and room; attributes count, too
_PIECE_BYTES: Final = 1 << 16
_MAX_TAG_BYTES: Final = 1 << 18  # all attributes of an element are read before anybody is told of it
_SEPARATOR: Final = ":"  # between prefix and name


@dataclass(slots=True)
class Element:
    """An element.

    Attributes:
        name: without prefix.
        text: the text directly in it.
        children: in their order.
    """

    name: str
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def all(self, name: str) -> "list[Element]":
        """Return the children of a name."""
        return [child for child in self.children if child.name == name]

    def get(self, name: str) -> str | None:
        """Return the trimmed text of the one child of a name, or None when there is none.

        Raises:
            S3Error: MalformedXML, as there are several, or it has children itself.
        """
        found = self.all(name)
        if not found:
            return None
        if len(found) > 1 or found[0].children:
            malformed()
        return found[0].text.strip()

    def require(self, name: str) -> str:
        """Return the trimmed text of the one child of a name.

        Raises:
            S3Error: MalformedXML, as there is none, or what ``get`` refuses.
        """
        text = self.get(name)
        if text is None:
            malformed()
        return text


def as_node(element: Element) -> Node:
    """Return an element that is written as it was read."""
    if element.children:  # what stands between them is layout
        return node(element.name, *(as_node(child) for child in element.children))
    return node(element.name, element.text)


def malformed() -> NoReturn:
    """Refuse a document.

    Raises:
        S3Error: MalformedXML.
    """
    code = "MalformedXML"
    raise S3Error(code, "The XML you provided was not well-formed or did not validate against our published schema")


def parse_document(body: bytes, *, root: str = "") -> Element:
    """Read a document whose size the caller has limited.

    Args:
        body: the bytes.
        root: name that the root must have; "" for any.

    Raises:
        S3Error: MalformedXML, as it is not well-formed, has a document type, is too deep or too long, or has another
            root.
    """
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = lambda *_: malformed()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        for at in range(0, len(body), _PIECE_BYTES):
            parser.Parse(body[at : at + _PIECE_BYTES], False)
            if at - parser.CurrentByteIndex > _MAX_TAG_BYTES:
                malformed()
        parser.Parse(b"", True)
    except (expat.ExpatError, LookupError, ValueError):  # the last two: an encoding that Python does not know
        malformed()
    if reader.root is None or (root and reader.root.name != root):
        malformed()
    return reader.root


class _Reader:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._elements = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._elements += 1 + len(attributes)
        if len(self._open) >= MAX_DEPTH or self._elements > MAX_ELEMENTS:
            malformed()
        element = Element(name.rpartition(_SEPARATOR)[2])
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)
        self._texts.append([])

    def end(self, _name: str) -> None:
        self._open.pop().text = "".join(self._texts.pop())

    def text(self, data: str) -> None:
        self._texts[-1].append(data)
