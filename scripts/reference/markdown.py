"""The few forms of Markdown that the pages have."""

from collections.abc import Iterable, Sequence

Row = Sequence[str]


def table(head: Row, rows: Iterable[Row]) -> str:
    """Return a table; a bar in a cell does not end it."""
    lines = [_line(head), "|" + "---|" * len(head), *(_line(row) for row in rows)]
    return "\n".join(lines) + "\n"


def code(text: str) -> str:
    """Return a string as code, or nothing for an empty one."""
    return f"`{text}`" if text else ""


def codes(texts: Iterable[str]) -> str:
    """Return several texts as code."""
    return ", ".join(code(text) for text in texts)


def page(title: str, introduction: str, *sections: str) -> str:
    """Return a whole page."""
    return "\n".join((f"# {title}\n", introduction.strip() + "\n", *sections))


def section(title: str, *blocks: str) -> str:
    """Return a section of a page; an empty block is left out."""
    return "\n".join((f"## {title}\n", *(block.strip() + "\n" for block in blocks if block)))


def sentence(text: str) -> str:
    """Return a text that begins with a capital."""
    return text[:1].upper() + text[1:]


def _line(cells: Row) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
