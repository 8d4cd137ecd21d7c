"""The commands of docs/install.md, and what it says of their output. Standard library only."""

import re
from dataclasses import dataclass

from tests.support.tree import ROOT

PAGE = ROOT / "docs/install.md"
_FENCED = re.compile(r"^## (?P<section>[^\n]+)$|^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Step:
    """A block of commands.

    Attributes:
        section: the heading above it.
        commands: for a shell.
        expected: lines of which each is to be seen in their output, … being anything.
    """

    section: str
    commands: str
    expected: list[str]

    def unseen(self, output: str) -> list[str]:
        """Return the expected lines that an output does not have, however they are spaced."""
        lines = [" ".join(line.split()) for line in output.splitlines()]
        patterns = {
            line: ".*".join(re.escape(" ".join(part.split())) for part in line.split("…")) for line in self.expected
        }
        return [line for line, pattern in patterns.items() if not any(re.search(pattern, seen) for seen in lines)]


def steps_of(page: str) -> list[Step]:
    """Return the steps of a page in their order."""
    steps: list[Step] = []
    section = ""
    for match in _FENCED.finditer(page):
        if match["section"]:
            section = match["section"]
        elif match["kind"] == "sh":
            steps.append(Step(section, match["text"], []))
        elif match["kind"] == "text":
            steps[-1].expected = match["text"].splitlines()
    return steps
