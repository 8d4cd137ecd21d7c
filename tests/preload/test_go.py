"""Go programs that use the C library: what they start by raw system calls has the secrets and does not show them."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.preload.launch import KEY, NATIVE, PASSWORD, Build, Launcher, Programs
from tests.preload.test_children import assert_ok

# What a release build leaves out: symbols, debug information, and the note that Go's tools tell its programs by.
BARE = "-s -w -buildid="
SOURCE = (NATIVE / "starter.go").read_text()
WAYS: dict[str, tuple[str, list[str]]] = {
    "cgo": ('import "C"\n', ["-ldflags", "-s -w"]),
    "cgo, bare": ('import "C"\n', ["-ldflags", BARE]),
    "cgo, bare, position-independent": ('import "C"\n', ["-buildmode=pie", "-ldflags", BARE]),
    "by Go's own linker, bare": ('import _ "net"\n', ["-ldflags", f"{BARE} -linkmode=internal"]),
    "by Go's own linker, bare, position-independent": ("", ["-buildmode=pie", "-ldflags", BARE]),
}


@pytest.mark.parametrize("way", WAYS)
def test_child_of_a_go_program_does_not_show_the_secret(
    launcher: Launcher, programs: Programs, tmp_path: Path, way: str
) -> None:
    extra_import, options = WAYS[way]
    source = tmp_path / "starter.go"
    source.write_text(SOURCE.replace("import (", f"{extra_import}\nimport (", 1))
    environ = {**os.environ, "CGO_ENABLED": f"{bool(extra_import):d}", "GO111MODULE": "off", "GOFLAGS": "-trimpath"}
    program = tmp_path / "starter"
    subprocess.run(["go", "build", *options, "-o", program, source], check=True, env=environ, timeout=300)

    # No longer than what execve takes for one variable, which it is until the child's library has wiped it.
    secrets = {"DB_PASSWORD": PASSWORD, "API_KEY": KEY}
    assert_ok(launcher.run([program, programs.build("own_environ")], secrets=secrets))


@pytest.fixture(scope="module")
def starter_in_c(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Go program that starts others by its C library."""
    program = tmp_path_factory.mktemp("go") / "starter_in_c"
    environ = {**os.environ, "CGO_ENABLED": "1", "GO111MODULE": "off", "GOFLAGS": "-trimpath"}
    source = NATIVE / "starter_in_c.go"
    subprocess.run(["go", "build", "-o", program, source], check=True, env=environ, timeout=300)
    return program


@pytest.mark.parametrize("call", ["system", "popen", "posix_spawn", "execv"])
def test_child_by_the_c_library_of_a_go_program_has_the_secrets(
    launcher: Launcher, programs: Programs, starter_in_c: Path, call: str
) -> None:
    # The region of the parent is still named in its environment, for what Go itself starts.
    assert_ok(launcher.run([starter_in_c, call, programs.build("own_environ")]))


@pytest.mark.parametrize("call", ["system", "posix_spawn", "execv"])
def test_static_child_by_the_c_library_of_a_go_program_has_the_secrets(
    launcher: Launcher, build: Build, starter_in_c: Path, call: str
) -> None:
    assert_ok(launcher.run([starter_in_c, call, build("own_environ", "gcc", "-static")]))
