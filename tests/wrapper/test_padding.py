"""The room for a title: padding as long as the secrets, and the first variable on the stack."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.names import PADDING
from tests.support.bridge.fake import FakeBridge, bundle
from tests.support.launch.launches import Launches
from tests.support.tls.certificates import Certificates
from tests.support.tree import ROOT
from wrapper.plan import with_padding

MAX_ARG_STRLEN = 128 * 1024  # execve(2)


@given(
    environment=st.dictionaries(st.text("ABC", min_size=1), st.text("x", max_size=3)),
    sizes=st.dictionaries(st.text("ABC", min_size=1), st.integers(0, 100_000)),
)
def test_strings_as_the_program_sees_them_fit_into_what_was_passed(
    environment: dict[str, str], sizes: dict[str, int]
) -> None:
    given = environment | dict.fromkeys(sizes, "")

    padded = with_padding(given, sizes)

    assert {name: value for name, value in padded.items() if name != PADDING} == given
    strings = [len(name) + 2 + len(value) for name, value in padded.items()]
    if PADDING in padded:
        assert max(strings) <= MAX_ARG_STRLEN
        seen = sum(len(name) + 2 + sizes.get(name, len(value)) for name, value in given.items()) + len(PADDING) + 2
        assert seen <= sum(strings)
        assert list(padded)[-1] == PADDING
    else:
        assert not 0 < sum(sizes.values()) <= MAX_ARG_STRLEN - 512
    if given.keys() - sizes.keys():
        assert next(iter(padded)) not in sizes


@pytest.fixture(params=[(), ("-static",)], ids=["dynamic", "static"])
def title(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A server that shows a title."""
    source = ROOT / "tests" / "native" / "title.c"
    program = str(tmp_path / "title")
    subprocess.run(
        ["gcc", "-D_GNU_SOURCE", f"-I{source.parent}", *request.param, str(source), "-o", program], check=True
    )
    return program


@pytest.mark.parametrize("method", ["sum", "back", "adjoining"])
@pytest.mark.parametrize("size", [100, 100 * 1024])
def test_server_shows_a_title(
    launches: Launches, certificates: Certificates, title: str, method: str, size: int
) -> None:
    with FakeBridge(certificates.server(), bundle({"SECRET": b"A" * size})) as bridge:
        done = launches.run([title, method], {"SECRET": "bao:kv/title#password"}, bridge=bridge.url)

    assert (done.returncode, done.stdout) == (0, f"room for a title, secret of {size}\n".encode()), done.stderr
