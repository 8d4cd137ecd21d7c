"""Programs in secure-execution mode, whose loader ignores the library, have their secrets all the same."""

import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.bridge.fake import FakeBridge, bundle
from tests.support.launch.launches import Launches
from tests.support.process.privileges import is_root
from tests.support.tls.certificates import Certificates
from tests.support.tree import ROOT

pytestmark = pytest.mark.skipif(not is_root(), reason="file capabilities, and changing users, need root")

NOBODY = 65_534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
PASSWORD = "s3cret-secure"
SECRET = {"SECRET": "bao:kv/db#key"}


def give_capability(program: Path, *, effective: bool = True) -> None:
    """Do what ``setcap cap_net_bind_service=+ep`` does (linux/capability.h, struct vfs_cap_data of revision 2)."""
    value = struct.pack("<5I", 0x0200_0000 | effective, 1 << 10, 0, 0, 0)
    os.setxattr(program, "security.capability", value)


@pytest.fixture(scope="module")
def launch(folder: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Launches a command as a user without privileges."""
    certificates = Certificates(folder)
    for path in (folder / "ours", *(folder / "ours").rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    launches = Launches(certificates)
    with FakeBridge(certificates.server(), bundle({"SECRET": PASSWORD.encode()})) as bridge:

        def run(*command: str | Path, more: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
            words = launches.command([str(word) for word in command])
            return subprocess.run(
                [*AS_NOBODY, *more, *words],
                env=launches.environ(bridge.url, SECRET),
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )

        yield run


@pytest.fixture(scope="module", params=["gcc", "musl-gcc"])
def program(request: pytest.FixtureRequest, folder: Path) -> Path:
    path = folder / f"program-{request.param}"
    source = ROOT / "tests" / "native" / "print.c"
    subprocess.run([request.param, "-O1", source, "-o", path], check=True)
    return path


@pytest.mark.parametrize("effective", [True, False])
def test_a_program_with_file_capabilities_has_its_secret(
    program: Path, launch: Callable[..., subprocess.CompletedProcess[str]], *, effective: bool
) -> None:
    give_capability(program, effective=effective)
    done = launch(program, "SECRET")

    assert (done.returncode, done.stdout) == (0, f"SECRET={PASSWORD}\n"), done.stderr
    assert "memory by ptrace" in done.stderr


def test_a_script_whose_interpreter_has_file_capabilities_has_its_secret(
    folder: Path, launch: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    interpreter = folder / "sh"
    shutil.copy(os.path.realpath("/bin/sh"), interpreter)
    give_capability(interpreter)
    script = folder / "script"
    script.write_text(f'#!{interpreter}\necho "$SECRET"\n')
    script.chmod(0o755)
    done = launch(script)

    assert (done.returncode, done.stdout) == (0, f"{PASSWORD}\n"), done.stderr


def test_that_its_capabilities_have_no_effect_is_said_unless_the_process_has_them(
    folder: Path, launch: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    program = folder / "true"
    shutil.copy("/usr/bin/true", program)
    give_capability(program)
    ambient = ["--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service"]

    done, kept = launch(program), launch(program, more=ambient)

    assert (done.returncode, kept.returncode) == (0, 0)
    assert f"{program}: its file capabilities will have no effect" in done.stderr
    assert "setpriv --ambient-caps" in done.stderr
    assert "no effect" not in kept.stderr
