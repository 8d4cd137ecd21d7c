"""Every wrapped call does what it does without the library: the same program is run both ways and must print the same.

With the library the secrets come as a region, without it as plain environment variables. What the called program
inherits, and what the call returns when it fails, must not differ.
"""

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.preload.launch import COMPILERS, KEY, PASSWORD, PLAIN, Build, Launcher, Programs

SECRETS = {"DB_PASSWORD": PASSWORD, "API_KEY": KEY, "EMPTY_SECRET": b""}
EXEC_LIST = ["execve", "execv", "execvp", "execvpe", "fexecve", "execveat"]
EXEC_VARIADIC = ["execl", "execlp", "execle"]
SPAWN = ["posix_spawn", "posix_spawnp", "posix_spawn-all", "posix_spawn-closefrom"]
SHELL = ["system", "popen-r", "popen-w"]
ALL = [*EXEC_LIST, *EXEC_VARIADIC, *SPAWN]


@dataclass(frozen=True)
class Both:
    """Runs ``call`` with and without the library."""

    launcher: Launcher
    program: Path
    report: Path
    static_report: Path

    def same(  # noqa: PLR0913 - each is one thing about a call
        self,
        kind: str,
        target: str | Path,
        arguments: Sequence[str | bytes] = ("report",),
        entries: Sequence[str | bytes] = ("@",),
        *,
        directory: str | Path = "/",
        path: str = PLAIN["PATH"],
    ) -> bytes:
        """Assert that both ways agree and return what was printed.

        ``path`` is the PATH of the calling program; "-" for none.
        """
        parts = [kind, target, directory, str(len(arguments)), *arguments, *entries]
        command = [str(self.program), *(part if isinstance(part, bytes) else str(part) for part in parts)]
        environment = {**PLAIN, "PATH": path, **{name: value.decode() for name, value in SECRETS.items()}}
        if path == "-":
            del environment["PATH"]
        without = subprocess.run(
            command, env=environment, capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=200
        )
        placeholders = {**environment, **dict.fromkeys(SECRETS, "")}
        with_library = self.launcher.run_exactly(command, placeholders, SECRETS)
        # The region stays open in a static program, for what it starts (docs/adr/0004).
        assert re.sub(rb"fd 10\d access 2 kind 100000\n", b"", with_library.stdout) == without.stdout
        assert (with_library.returncode, with_library.stderr) == (without.returncode, without.stderr)
        return without.stdout


@pytest.fixture(scope="session")
def both(launcher: Launcher, programs: Programs, build: Build) -> Both:
    """The two ways to run."""
    static_report = build("report", COMPILERS[programs.libc], "-static")
    return Both(launcher, programs.build("call"), programs.build("report"), static_report)


@pytest.mark.parametrize("linkage", ["dynamic", "static"])
@pytest.mark.parametrize("kind", ALL)
def test_program_inherits_the_same(both: Both, kind: str, linkage: str) -> None:
    output = both.same(
        kind, both.report if linkage == "dynamic" else both.static_report, ["report", "one", "two words"]
    )
    if b"not in this libc" not in output:
        assert b"env DB_PASSWORD=s3cret\n" in output
        assert b"argv two%20words\n" in output


@pytest.mark.parametrize("kind", SHELL)
def test_shell_inherits_the_same(both: Both, kind: str) -> None:
    output = both.same(kind, f"{both.report} one 'two words'; cat; exit 3")
    assert b"env DB_PASSWORD=s3cret\n" in output
    assert (b"from the parent\n" in output) == (kind == "popen-w")


@pytest.mark.parametrize("command", ["exit 0", "exit 255", "kill -9 $$", "nonexistent-command", "", "(", "exec true"])
@pytest.mark.parametrize("kind", SHELL)
def test_end_of_the_shell_is_reported_the_same(both: Both, kind: str, command: str) -> None:
    # What is written must be read: else pclose() of glibc tells, or not, of the broken pipe instead of status 0.
    both.same(kind, f"cat >/dev/null; {command}" if kind == "popen-w" and command != "(" else command)


no_nul = st.binary(max_size=40).map(lambda text: text.replace(b"\0", b""))
NAMES = [*SECRETS, "PLAIN", "A", "_", "DB_PASSWOR", "DB_PASSWORDS", "x.y"]
VALUES = [*(value.decode() for value in SECRETS.values()), "other", "=", "s3cret ", "s3cre"]


@st.composite
def lists_of_entries(draw: st.DrawFn) -> list[bytes]:
    """Environments that come close to the secrets in every way."""
    entry = st.one_of(
        st.builds(lambda name, value: f"{name}={value}".encode(), st.sampled_from(NAMES), st.sampled_from(VALUES)),
        st.builds(lambda name, value: name.encode() + b"=" + value, st.sampled_from(NAMES), no_nul),
        no_nul.filter(lambda text: not text.startswith((b"LD_", b"STRONGROOM_", b"@"))),
        st.just(b"@"),
    )
    entries = draw(st.lists(entry, max_size=12))
    # One thing cannot be told apart: an entry that was empty on purpose, beside the secret under the same name.
    chosen: list[bytes] = []
    for candidate in entries:
        name = candidate.partition(b"=")[0]
        taken = candidate != b"@" and any(other == b"@" or other.partition(b"=")[0] == name for other in chosen)
        if not (taken and name.decode("latin-1") in SECRETS) and not (candidate == b"@" and chosen):
            chosen.append(candidate)
    return chosen


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(ALL),
    arguments=st.lists(no_nul, min_size=1, max_size=3),
    entries=lists_of_entries(),
)
def test_any_arguments_and_any_environment(both: Both, kind: str, arguments: list[bytes], entries: list[bytes]) -> None:
    both.same(kind, both.report, arguments, entries)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(ALL),
    arguments=st.lists(no_nul, min_size=1, max_size=3),
    entries=lists_of_entries(),
)
def test_any_arguments_and_any_environment_of_a_static_program(
    both: Both, kind: str, arguments: list[bytes], entries: list[bytes]
) -> None:
    both.same(kind, both.static_report, arguments, entries)


@pytest.fixture(scope="session")
def targets(tmp_path_factory: pytest.TempPathFactory, both: Both) -> Path:
    """A directory of things that can and cannot be executed."""
    folder = tmp_path_factory.mktemp("targets")
    for part in ("first", "second", "third"):
        (folder / part).mkdir()
    executable = 0o755

    def script(name: str, text: str, mode: int = executable) -> None:
        (folder / name).write_text(text)
        (folder / name).chmod(mode)

    script("shebang", f'#!/bin/sh\nexec {both.report} from-script "$0" "$@"\n')
    script("no-shebang", f'exec {both.report} from-script "$0" "$@"\n')
    script("missing-interpreter", "#!/nonexistent/interpreter\n")
    script("empty", "")
    script("not-executable", "#!/bin/sh\n", 0o644)
    script("broken-elf", "\x7fELF" + "x" * 100)
    (folder / "directory").mkdir()
    (folder / "dangling").symlink_to("nonexistent")
    (folder / "loop").symlink_to("loop")
    (folder / "link").symlink_to(both.report)
    (folder / "static").symlink_to(both.static_report)
    shutil.copy(both.static_report, folder / "static-not-executable")
    (folder / "static-not-executable").chmod(0o644)
    shutil.copy(both.static_report, folder / "static-truncated")
    os.truncate(folder / "static-truncated", 100)
    script("static-shebang", f"#!{both.static_report} of-the-script\n")
    shutil.copy(both.static_report, folder / "static-open-for-writing")
    # PATH search: the first match cannot be executed, the second is a directory, the third is good.
    script("first/tool", "#!/bin/sh\n", 0o644)
    (folder / "second" / "tool").mkdir()
    script("third/tool", f'#!/bin/sh\nexec {both.report} third "$@"\n')
    script("first/only-here", "#!/bin/sh\n", stat.S_IRUSR)
    script("third/plain-output", f'exec {both.report} plain "$@"\n')
    (folder / "third" / "static-here").symlink_to(both.static_report)
    # What cannot be executed for want of an interpreter or loader does not end the search, either.
    script("first/static-here", "#!/nonexistent/interpreter\n")
    loader_missing = re.sub(
        rb"/lib(64)?/ld-[^\0]*", lambda found: b"/non" + found[0][4:], both.report.read_bytes(), count=1
    )
    (folder / "second" / "static-here").write_bytes(loader_missing)
    (folder / "second" / "static-here").chmod(executable)
    no_file = re.sub(rb"/non(64)?/ld-[^\0]*", lambda found: b"/".ljust(len(found[0]), b"\0"), loader_missing, count=1)
    assert no_file != loader_missing
    (folder / "first" / "loader-no-file").write_bytes(no_file)
    (folder / "first" / "loader-no-file").chmod(executable)
    (folder / "third" / "loader-no-file").symlink_to(both.static_report)
    # An error that is not of the directory ends it.
    (folder / "first" / "behind-loop").symlink_to("behind-loop")
    (folder / "third" / "behind-loop").symlink_to(both.static_report)
    return folder


TARGETS = [
    "shebang",
    "no-shebang",
    "missing-interpreter",
    "empty",
    "not-executable",
    "broken-elf",
    "directory",
    "dangling",
    "loop",
    "link",
    "static",
    "static-not-executable",
    "static-truncated",
    "static-shebang",
    "nonexistent",
    "shebang/not-a-directory",
    "x" * 300,
    "x/" * 3000,
    "./shebang",
    "../" + "nonexistent/" * 3,
]


@pytest.mark.parametrize("kind", ALL)
def test_targets_of_every_sort(both: Both, targets: Path, kind: str) -> None:
    for target in TARGETS:
        both.same(kind, targets / target, ["argument zero", "one"], directory=targets)
        both.same(kind, target, ["argument zero", "one"], directory=targets, path=str(targets))
    # What is left of it at PATH_MAX would lead to a program.
    both.same(kind, f"{both.static_report!s:/>4095}x", ["argument zero"], directory=targets)
    both.same(kind, "", ["argument zero"], directory=targets)


@pytest.mark.parametrize("kind", ALL)
def test_target_that_is_open_for_writing(both: Both, targets: Path, kind: str) -> None:
    with (targets / "static-open-for-writing").open("ab"):
        output = both.same(kind, targets / "static-open-for-writing", ["zero"], directory=targets)
    assert b"error 26\n" in output or b"errno 26\n" in output or b"not in this libc" in output


SEARCHED = [
    "tool",
    "only-here",
    "static-here",
    "behind-loop",
    "loader-no-file",
    "plain-output",
    "nonexistent",
    "printenv",
]


@pytest.mark.parametrize("kind", ["execvp", "execvpe", "execlp", "posix_spawnp"])
def test_search_on_path(both: Both, targets: Path, kind: str) -> None:
    first, second, third = (str(targets / part) for part in ("first", "second", "third"))
    paths = [
        f"{first}:{second}:{third}",
        f"{first}:{second}",
        f"{third}:{first}",
        first,
        "",
        ":",
        f":{third}",
        f"{third}:",
        f"/nonexistent:{third}",
        f"{targets}/shebang:{third}",
        "x" * 5000 + f":{third}",
        "x" * 5000 + f":{first}",
        "x" * 4090 + f":{third}",
        "third",
        ".",
        "-",
    ]
    for path in paths:
        for name in SEARCHED:
            for directory in (targets, targets / "third"):
                # The list begins with a PATH of its own: it must not be searched.
                entries = [f"PATH={third}", "DB_PASSWORD=s3cret"] if kind == "execvpe" else ["@"]
                both.same(kind, name, ["zero", "DB_PASSWORD"], entries, directory=directory, path=path)


@pytest.mark.parametrize("kind", ALL)
def test_too_much(both: Both, kind: str) -> None:
    # "@big" becomes 200,000 bytes, beyond MAX_ARG_STRLEN of the kernel.
    for arguments, entries in ((["zero", "@big"], ["@"]), (["@big"], ["@"]), (["zero"], ["@", "@big"])):
        both.same(kind, both.static_report, arguments, entries)
        output = both.same(kind, both.report, arguments, entries)
        assert b"error 7\n" in output or b"errno 7\n" in output or b"not in this libc" in output


@pytest.mark.parametrize("kind", ["execve", "execvp", "posix_spawn"])
def test_empty_list_of_arguments(both: Both, kind: str) -> None:
    assert both.same(kind, both.report, [])


def test_many_threads_start_programs_at_once(launcher: Launcher, programs: Programs) -> None:
    result = launcher.run([programs.build("start_in_threads"), programs.build("hit")])
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.splitlines()[-1] == b"all ok"


def test_starting_while_another_thread_changes_the_environment(launcher: Launcher, programs: Programs) -> None:
    result = launcher.run([programs.build("start_while_changing"), programs.build("print")])
    assert (result.returncode, result.stderr) == (0, b"")
    assert set(result.stdout.splitlines()) <= {b"DB_PASSWORD", b"DB_PASSWORD=s3cret"}
