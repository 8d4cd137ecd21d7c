"""The application's own Python modules and settings do not act on Strongroom."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.bridge.fake import FakeBridge, bundle
from tests.support.launch.launches import Launches
from tests.support.tls.certificates import Certificates

STRONGROOM = str(Path(sys.executable).with_name("strongroom"))


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Return a directory with modules and packages that carry the names of ours and of the standard library."""
    for name in ("cli", "wrapper", "bridge", "preload"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong module was imported')\n")
        (tmp_path / name / "main.py").write_text("raise SystemExit('the wrong module was imported')\n")
    for name in ("resource", "json", "ssl", "fcntl", "ctypes"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module was imported')\n")
    return tmp_path


def run(command: list[str], directory: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    base = {"PATH": os.environ["PATH"], **environ}
    return subprocess.run(command, env=base, cwd=directory, capture_output=True, text=True, check=False)


def test_modules_on_pythonpath_are_not_imported(hostile: Path, tmp_path: Path) -> None:
    command = [STRONGROOM, "run", "--", "printenv", "PYTHONPATH"]
    result = run(command, tmp_path, PYTHONPATH=str(hostile))
    assert result.stdout == f"{hostile}\n", "the application still has its own setting; " + result.stderr


def test_modules_in_the_current_directory_are_not_imported(hostile: Path) -> None:
    command = [STRONGROOM, "run", "--", "echo", "started"]
    result = run(command, hostile)
    assert result.stdout == "started\n", result.stderr


def test_python_dash_m_imports_no_more_than_the_package_itself_from_the_current_directory(hostile: Path) -> None:
    for name in ("cli", "wrapper", "preload", "bridge"):
        (hostile / name / "__init__.py").unlink()
        (hostile / name / "main.py").unlink()
        (hostile / name).rmdir()
    result = run([sys.executable, "-m", "wrapper", "--", "echo", "started"], hostile)
    assert result.stdout == "started\n", result.stderr


# Each of them breaks, or changes, an interpreter that listens to it.
SETTINGS = {
    "PYTHONHOME": "/opt/app/python",
    "PYTHONHASHSEED": "abc",
    "PYTHONUTF8": "7",
    "PYTHONPLATLIBDIR": "lib99",
    "PYTHONEXECUTABLE": "/opt/app/python",
    "PYTHONVERBOSE": "1",
    "PYTHONMALLOC": "nonsense",
    "PYTHONWARNINGS": "error",
    "PYTHONINSPECT": "1",
    "PYTHONSTARTUP": "/no/such.py",
    "PYTHONIOENCODING": "nonsense",
    "OPENSSL_CONF": "/no/such.cnf",
    "OPENSSL_MODULES": "/no/such",
    "SSLKEYLOGFILE": "/no/such/keys",
    "LD_PRELOAD": "",
    "LD_DEBUG": "unknown",
    "LD_BIND_NOW": "1",
    "GLIBC_TUNABLES": "glibc.malloc.check=3",
    "MALLOC_ARENA_MAX": "1",
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def launch(certificates: Certificates, variables: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Launch with one secret, through the installed command."""
    with FakeBridge(certificates.server(), bundle({"SECRET": b"value"})) as bridge:
        environ = Launches(certificates).environ(bridge.url, {"SECRET": "bao:kv/db#key", **variables})
        command = [STRONGROOM, "run", "--quiet", "1", "--", *words]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize(("name", "value"), SETTINGS.items())
def test_a_setting_of_the_application_does_not_act_on_the_wrapper_and_reaches_the_application(
    certificates: Certificates, name: str, value: str
) -> None:
    done = launch(certificates, {name: value}, "env")

    assert done.returncode == 0, done.stderr
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert found["SECRET"] == "value"
    assert found[name] == value or (name == "LD_PRELOAD" and found[name].endswith("libstrongroom.so"))
    assert not [name for name in found if name.startswith(".")]


LOOKS_HIDDEN = {
    ".LD_PRELOAD": "/no/such.so",
    ".LD_LIBRARY_PATH": "one",
    ".LD_BIND_NOW": "two",
    "LD_BIND_NOW": "1",
    "..PYTHONHOME": "three",
    ".PYTHONHOME": "four",
    ".other": "five",
}


@pytest.mark.parametrize("more", [{}, {"STRONGROOM_SUPERVISE": "1"}], ids=["alone", "supervised"])
def test_names_that_look_as_if_they_were_hidden_stay_what_they_are(
    certificates: Certificates, more: dict[str, str]
) -> None:
    """Who keeps ``LD_PRELOAD`` out of an environment need not know that ``.LD_PRELOAD`` means something to us."""
    done = launch(certificates, LOOKS_HIDDEN | more, "env")

    assert done.returncode == 0, done.stderr
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert found["SECRET"] == "value"
    assert LOOKS_HIDDEN.items() <= found.items()
    assert found["LD_PRELOAD"].endswith("libstrongroom.so")
    assert "PYTHONHOME" not in found


def test_they_do_so_without_the_starter(tmp_path: Path) -> None:
    result = run([sys.executable, "-m", "wrapper", "--", "env"], tmp_path, PYTHONPATH=str(tmp_path), **LOOKS_HIDDEN)
    found = dict(line.split("=", 1) for line in result.stdout.splitlines() if "=" in line)
    assert LOOKS_HIDDEN.items() <= found.items(), result.stderr
    assert "PYTHONHOME" not in found


@pytest.fixture(scope="module")
def only_for_others(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a library that ends the process that loads it, if that is Python, as a false clock would in its way."""
    folder = tmp_path_factory.mktemp("library")
    source = folder / "library.c"
    source.write_text(r"""
        #define _GNU_SOURCE
        #include <errno.h>
        #include <string.h>
        #include <unistd.h>
        __attribute__((constructor)) static void begin(void) {
            if (strncmp(program_invocation_short_name, "python", 6) == 0) _exit(77);
            if (write(1, "loaded\n", 7) < 0) _exit(78);
        }
    """)
    library = folder / "library.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True, timeout=60)
    return str(library)


def test_a_library_that_the_image_preloads_is_loaded_into_the_application_only(
    certificates: Certificates, only_for_others: str
) -> None:
    done = launch(certificates, {"LD_PRELOAD": only_for_others}, "printenv", "SECRET")

    assert (done.stdout, done.returncode) == ("loaded\nvalue\n", 0), done.stderr


def test_it_is_so_under_supervision_too(certificates: Certificates, only_for_others: str) -> None:
    variables = {"LD_PRELOAD": only_for_others, "PYTHONHOME": "/opt/app/python", "STRONGROOM_SUPERVISE": "1"}
    done = launch(certificates, variables, "printenv", "SECRET")

    assert (done.stdout, done.returncode) == ("loaded\nvalue\n", 0), done.stderr


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return a copy of the installed command in a directory of its own."""
    folder = tmp_path / "my bin"
    folder.mkdir()
    for name in ("strongroom", "strongroom-start"):
        shutil.copy(Path(STRONGROOM).with_name(name), folder / name)
    return folder / "strongroom"


def rewrite(installed: Path, first: str) -> None:
    """Give its script another beginning instead of the first line."""
    start = installed.with_name("strongroom-start")
    start.write_text(first + start.read_text().split("\n", 1)[1])


@pytest.mark.parametrize(("signal", "status"), [("INT", 130), ("TERM", 143)])
def test_a_signal_that_comes_before_any_code_of_ours_ends_the_launch_without_a_traceback(
    installed: Path, tmp_path: Path, signal: str, status: int
) -> None:
    """The signal is sent between the starter and Python, where there is nobody to handle it yet."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nkill -{signal} $$\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    rewrite(installed, f"#!{python}\n")

    done = run([str(installed), "run", "--", "echo", "started"], tmp_path)

    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


def test_a_signal_at_any_moment_of_a_launch_leaves_no_traceback(tmp_path: Path) -> None:
    command, environ = [STRONGROOM, "run", "--", "sleep", "30"], {"PATH": os.environ["PATH"]}
    for delay_ms in range(0, 80, 2):
        with subprocess.Popen(command, env=environ, cwd=tmp_path, stderr=subprocess.PIPE) as process:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(delay_ms / 1000)
            process.send_signal(2)
            _, errors = process.communicate(timeout=30)
        assert process.returncode in {130, -2}, delay_ms
        assert errors == b""


def test_the_command_is_found_through_a_link_and_by_path_search(installed: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere"
    link.symlink_to(installed)
    words = ["run", "--", "echo", "started"]

    assert run([str(link), *words], tmp_path).stdout == "started\n"
    assert run(["strongroom", *words], tmp_path, PATH=f"{installed.parent}:/usr/bin:/bin").stdout == "started\n"


def test_an_interpreter_with_a_space_in_its_path_is_found_as_installers_write_it(installed: Path) -> None:
    python = installed.with_name("python")
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    rewrite(installed, f"#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n")

    assert run([str(installed), "run", "--", "echo", "started"], installed.parent).stdout == "started\n"


@pytest.mark.parametrize(
    ("head", "error"),
    [
        ("#!python\n", "does not name an interpreter"),
        ("import sys\n", "does not name an interpreter"),
        ("#!/no/such/python\n", "/no/such/python: is missing"),
        ("#!/" + "x" * 4200 + "\n", "does not name an interpreter"),
    ],
)
def test_a_command_that_no_installer_has_finished_says_so(installed: Path, head: str, error: str) -> None:
    rewrite(installed, head)
    result = run([str(installed), "run", "--", "true"], installed.parent)
    assert result.returncode == 126
    assert error in result.stderr


def test_a_command_without_its_script_says_so(installed: Path) -> None:
    installed.with_name("strongroom-start").unlink()
    result = run([str(installed), "run", "--", "true"], installed.parent)
    assert (result.returncode, "strongroom-start: is missing" in result.stderr) == (126, True)


def test_the_verbs_that_serve_keep_what_their_operator_preloads(only_for_others: str, tmp_path: Path) -> None:
    result = run([STRONGROOM, "version"], tmp_path, LD_PRELOAD=only_for_others)
    assert result.returncode == 77, "it was loaded into the interpreter, as an allocator for a server would be"
