"""``examples/README.md`` names every example, and every folder of examples is read by a test."""

import re

from tests.examples.conftest import EXAMPLES

README = EXAMPLES / "README.md"


def test_the_index_names_every_example() -> None:
    named = {EXAMPLES / path for path in re.findall(r"\]\(([a-z][^)]*)\)", README.read_text())}
    there = {path for path in EXAMPLES.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert there - {README} == named
