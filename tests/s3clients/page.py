"""The part of ``docs/compatibility.md`` about S3 clients: read, compared with what was observed, written anew."""

from collections.abc import Mapping, Sequence

from tests.s3clients.client import Column
from tests.support.tree import ROOT

PAGE = ROOT / "docs" / "compatibility.md"
BEGIN, END = "<!-- s3 clients: begin -->\n", "<!-- s3 clients: end -->\n"
YES, NO, NOTHING = "yes", "NO", "none"
_VERSION = "version"

Row = tuple[str, str]  # client and store
Cells = Mapping[Column, str]


def read() -> dict[Row, dict[str, str]]:
    """Return what the page says: the cells of each row by the heads of the columns."""
    lines = [line for line in _split()[1].splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    return {(row[0], row[1]): dict(zip(table[0][2:], row[2:], strict=True)) for row in table[2:]}


def remarks() -> list[str]:
    """Return what the page says about cells, below the table."""
    return [line.removeprefix("- ").removesuffix(".") for line in _split()[1].splitlines() if line.startswith("- ")]


def write(
    rows: Mapping[Row, Cells], versions: Mapping[str, str], *, order: Sequence[Row], remarks: Sequence[str]
) -> None:
    """Write the rows that were observed, and remarks about cells; other rows stay as they are."""
    before, _, after = _split()
    cells = {row: dict(known) for row, known in read().items()}
    for row, observed in rows.items():
        known = {str(column): mark for column, mark in observed.items()}
        cells[row] = cells.get(row, {}) | known | {_VERSION: versions[row[0]]}
    head = [_VERSION, *Column]
    lines = [["client", "store", *head], ["---"] * (2 + len(head))]
    lines += [[*row, *(cells[row].get(name, "?") for name in head)] for row in order if row in cells]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    below = "".join(f"- {remark}.\n" for remark in remarks)
    PAGE.write_text(f"{before}{BEGIN}{table}\n{below}{END}{after}")


def _split() -> tuple[str, str, str]:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    section, _, after = rest.partition(END)
    return before, section, after
