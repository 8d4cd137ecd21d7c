"""Each verb that a bundle offers, in an image in which there is nothing else, with /proc and without."""

import json
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.bundled import VERBS
from cli.main import VERBS as ALL_VERBS
from strongroom.launch.bundle import PLAN_URL_PATH, decode_request
from strongroom.launch.region import encode
from tests.bundle.conftest import SECRET
from tests.bundle.roots import LAUNCHER, Image, start_by_unshare
from tests.support.bridge.fake import FakeBridge, read_request, response
from tests.support.process.privileges import is_root
from tests.support.tls.certificates import IDENTITY, Certificates
from tests.support.tree import ROOT

pytestmark = pytest.mark.skipif(not is_root(), reason="making images and containers needs root")

LACKING = tuple(verb for verb in ALL_VERBS if verb not in VERBS)


@dataclass(frozen=True)
class Case:
    """What a verb is given, and what comes of it."""

    words: tuple[str, ...]
    status: int
    out: str = ""
    err: str = ""
    without_proc: str | None = None  # what is said instead, with status 111


CASES = {
    "run": Case(("run", "--", "/show"), 7, out=SECRET),
    "run what is not there": Case(("run", "--", "/nope"), 127, err="/nope: no such file"),
    "exec": Case(("exec", "--", "/show"), 7, out=SECRET),
    "plan": Case(("plan", "--", "/show"), 0, out="kv/shop/db#password"),
    "doctor": Case(("doctor",), 0, out=f"sees {IDENTITY}"),
    "doctor --attack": Case(
        ("doctor", "--attack", "--", "/show"), 0, out="values to look for: 1", without_proc="/proc is not mounted here"
    ),
    "doctor --attack PID": Case(
        ("doctor", "--attack", "4194304"), 111, err="there is no process", without_proc="/proc is not mounted here"
    ),
    "bundle": Case(("bundle", "/copy"), 111, err="/copy: Read-only file system"),
    "version": Case(("version",), 0, out="strongroom "),
}


@pytest.fixture(scope="module")
def environ(certificates: Certificates) -> Iterator[Mapping[str, str]]:
    """A reference, and a bridge that has the secret and can say so."""

    def play(connection: ssl.SSLSocket) -> None:
        head, body = read_request(connection)
        if PLAN_URL_PATH.encode() not in head.partition(b"\r\n")[0]:
            connection.sendall(response(200, encode([("SECRET", SECRET.encode())])))
            return
        places = [(entry.name, reference) for entry in decode_request(body).entries for reference in entry.references]
        entries = [{"name": name, "path": found.path, "key": found.key, "allowed": True} for name, found in places]
        plan = json.dumps({"identity": IDENTITY, "entries": entries}).encode()
        connection.sendall(response(200, plan, media_type="application/json"))

    with FakeBridge(certificates.server(), play) as bridge:
        yield {"SECRET": "bao:kv/shop/db#password", "STRONGROOM_BRIDGE": bridge.url}


def test_each_verb_is_tried() -> None:
    assert {case.words[0] for case in CASES.values()} == set(VERBS)


@pytest.mark.parametrize("proc", [True, False], ids=["with /proc", "without /proc"])
@pytest.mark.parametrize("name", CASES)
def test_a_verb_works_or_says_what_it_lacks(
    images: Mapping[str, Image], environ: Mapping[str, str], name: str, *, proc: bool
) -> None:
    case = CASES[name]
    with start_by_unshare(images["scratch"], [LAUNCHER, *case.words], environ, proc=proc) as container:
        status, out, err = container.finish()
    assert "Traceback" not in out + err, err
    if case.without_proc is not None and not proc:
        assert (status, out) == (111, "")
        assert f"strongroom: error: {case.without_proc}" in err
        assert "strongroom: hint: " in err
        return
    assert status == case.status, err
    assert case.out in out
    assert case.err in err


def test_doctor_reads_the_certificate_of_a_bundle(images: Mapping[str, Image], environ: Mapping[str, str]) -> None:
    with start_by_unshare(images["scratch"], [LAUNCHER, "doctor", "-o", "json"], environ, proc=False) as container:
        _, out, err = container.finish()
    found = {finding["name"]: finding for finding in json.loads(out)["installation"]}
    assert found["certificates"]["says"].startswith(f"{IDENTITY}, until 20"), err


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb(directory: Path, verb: str) -> None:
    result = subprocess.run(
        [directory / "strongroom", verb, "--help"], env={}, capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("strongroom " if verb == "version" else f"usage: strongroom {verb} ")


def test_help_lists_what_the_bundle_has_and_nothing_else(directory: Path) -> None:
    result = subprocess.run([directory / "strongroom", "--help"], env={}, capture_output=True, text=True, check=True)
    listed = [line.split()[0] for line in result.stdout.splitlines() if line.startswith("  ")]
    assert sorted(listed) == sorted(VERBS)


@pytest.mark.parametrize("verb", LACKING)
@pytest.mark.parametrize("more", [(), ("--help",)])
def test_a_verb_that_the_bundle_lacks_is_refused_by_name(directory: Path, verb: str, more: tuple[str, ...]) -> None:
    result = subprocess.run(
        [directory / "strongroom", verb, *more], env={}, capture_output=True, text=True, check=False, timeout=60
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"strongroom: error: {verb}: is not part of a bundle\nstrongroom: hint: ")


def test_the_page_lists_the_verbs() -> None:
    page = (ROOT / "docs/bundle.md").read_text()
    assert f"Its verbs are {', '.join(f'`{verb}`' for verb in VERBS)}." in page
    assert f"It lacks {', '.join(f'`{verb}`' for verb in LACKING)}" in page
