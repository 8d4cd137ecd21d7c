"""What programs see: each behaviour is one small C program, built for glibc and for musl."""

import fcntl
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.preload import secretmem
from tests.preload.launch import PASSWORD, SECRETS, Launcher, Programs, image_of
from tests.support.process.folders import open_to_all
from tests.support.process.privileges import is_root

SIMPLE = [
    "null_name",
    "empty_name",
    "equals_in_name",
    "miss",
    "hit",
    "unset",
    "overwritten",
    "putenv_wins",
    "clearenv_wins",
    "environ_replaced",
    "before_main",
    "threads",
    "signal_handler",
    "after_fork",
    "vfork_exec",
    "environ_walk",
    "main_envp",
    "own_environ",
]


def assert_ok(result: subprocess.CompletedProcess[bytes]) -> None:
    """The program found everything as it should be, and nothing was written to standard error."""
    assert (result.returncode, result.stdout, result.stderr) == (0, b"ok\n", b"")


@pytest.mark.parametrize("name", SIMPLE)
def test_behaviour(launcher: Launcher, programs: Programs, name: str) -> None:
    assert_ok(launcher.run([programs.build(name)]))


@pytest.mark.parametrize("rung", ["locked", "any"])
@pytest.mark.parametrize("name", ["hit", "vfork_exec", "own_environ", "environ_walk"])
def test_other_rungs(launcher: Launcher, programs: Programs, name: str, rung: str) -> None:
    assert_ok(launcher.run([programs.build(name)], rung=rung))


@pytest.mark.parametrize("rung", ["memfd-secret", "locked"])
@pytest.mark.parametrize("way", ["fork", "clone", "grandchild", "changed", "early", "threads"])
def test_worker_that_wipes_its_password_takes_it_from_nobody(
    launcher: Launcher, programs: Programs, way: str, rung: str
) -> None:
    assert_ok(launcher.run([programs.build("wipe_in_child"), way], rung=rung))


def test_worker_wipes_its_own_copy_whatever_the_name(launcher: Launcher, programs: Programs) -> None:
    names = ["X" * length for length in range(1, 34)]
    secrets = {name: f"value {name}".encode() for name in names}
    result = launcher.run([programs.build("wipe_each"), *names], secrets=secrets)
    assert result.stdout.decode().splitlines() == [f"{name}=value {name}" for name in names]


def test_names_of_every_length_that_differ_in_one_byte_are_told_apart(launcher: Launcher, programs: Programs) -> None:
    names = ["A" * at + "B" + "A" * (length - at - 1) for length in range(1, 34) for at in range(length)]
    absent = ["A" * at + "C" + "A" * (length - at - 1) for length in range(1, 34) for at in range(length)]
    secrets = {name: f"value {number}".encode() for number, name in enumerate(names)}
    result = launcher.run([programs.build("print"), *names, *absent], secrets=secrets)
    assert result.stdout.decode().splitlines() == [f"{name}={secrets[name].decode()}" for name in names] + absent


def test_constructor_of_another_library_sees_the_secret(launcher: Launcher, programs: Programs) -> None:
    other = programs.build_library("other_library")
    assert_ok(launcher.run([programs.build("library_constructor", other, f"-Wl,-rpath,{other.parent}")]))


def test_process_is_closed_to_others_before_other_constructors_run(launcher: Launcher, programs: Programs) -> None:
    look = programs.build_library("look_early")
    orders = [f"{launcher.library}:{look}"]  # as a launch has it
    if programs.libc == "glibc":  # musl has no mark for a library that comes first
        orders.append(f"{look}:{launcher.library}")
    for order in orders:
        assert_ok(launcher.run([programs.build("hit")], extra={"LD_PRELOAD": order}))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can search, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(not is_root(), reason="only root can make a set-user-ID program of another user")
def test_program_with_raised_privileges_takes_no_region_over(
    launcher: Launcher, programs: Programs, open_folder: Path
) -> None:
    shutil.copy(launcher.library, open_folder)
    library = open_folder / "libstrongroom.so"
    program = open_folder / "privileged"
    shutil.copy(programs.build("privileged", library, f"-Wl,-rpath,{open_folder}"), program)
    os.chown(program, 65534, 65534)
    program.chmod(0o4755)
    result = launcher.run([program], extra={"LD_PRELOAD": ""})
    lines = result.stdout.decode().splitlines()
    assert lines[:2] == ["secure 1", "password []"]
    assert lines[2].removeprefix("region memfd-secret:").isdigit()  # left as it is
    assert (result.returncode, result.stderr) == (0, b"")


def test_threads_of_an_earlier_constructor_see_the_secret(launcher: Launcher, programs: Programs) -> None:
    early = programs.build_library("threads_early")
    for order in ((early, launcher.library), (launcher.library, early)):
        preload = ":".join(str(path) for path in order)
        for _ in range(20):
            assert_ok(launcher.run([programs.build("hit")], extra={"LD_PRELOAD": preload}))


@pytest.mark.parametrize("rung", ["memfd-secret", "locked"])
def test_writing_into_a_string_stays_private(launcher: Launcher, programs: Programs, rung: str) -> None:
    image = image_of(SECRETS)
    descriptor = secretmem.region_descriptor(image, rung)
    watched = fcntl.fcntl(descriptor, fcntl.F_DUPFD, 200)  # that of the launch belongs to the library
    command: list[str | Path] = [programs.build("writable"), str(watched), str(len(image))]
    try:
        assert_ok(launcher.run(command, rung=rung, descriptor=descriptor, also=[watched]))
    finally:
        os.close(watched)


def test_doubled_entries_bring_nothing_back(launcher: Launcher, programs: Programs) -> None:
    # env(1) cannot make a list with duplicates; a program of ours can.
    maker = programs.build("with_duplicates")
    assert_ok(launcher.run([maker, programs.build("duplicates")]))


@pytest.mark.parametrize("seed", range(3))
def test_same_answers_as_the_libc_through_random_changes(launcher: Launcher, programs: Programs, seed: int) -> None:
    assert_ok(launcher.run([programs.build("like_libc", "-ldl"), programs.libc_path, str(seed)]))


def test_exported_value_wins_over_the_secret(launcher: Launcher, programs: Programs) -> None:
    result = launcher.run([programs.build("print"), "DB_PASSWORD", "API_KEY"], extra={"DB_PASSWORD": "mine"})
    assert result.stdout == b"DB_PASSWORD=mine\nAPI_KEY=k-0123456789\n"


def test_address_sanitizer_of_gcc_with_the_option_of_the_docs(launcher: Launcher, tmp_path: Path) -> None:
    program = Programs("glibc", tmp_path).build("print", "-fsanitize=address")
    result = launcher.run([program, "DB_PASSWORD"], extra={"ASAN_OPTIONS": "verify_asan_link_order=0"})
    assert (result.stdout, result.stderr) == (b"DB_PASSWORD=s3cret\n", b"")


def test_plaintext_copy_is_taken_over_and_wiped(launcher: Launcher, programs: Programs) -> None:
    # A parent that could not put placeholders back hands on the very secret.
    result = launcher.run([programs.build("own_environ")], extra={"DB_PASSWORD": PASSWORD.decode()})
    assert_ok(result)


def test_secret_without_a_placeholder_is_not_set(launcher: Launcher, programs: Programs) -> None:
    # `env -u NAME` on the way takes the variable away for good.
    result = launcher.run(["/usr/bin/env", "-u", "DB_PASSWORD", programs.build("print"), "DB_PASSWORD", "API_KEY"])
    assert result.stdout == b"DB_PASSWORD\nAPI_KEY=k-0123456789\n"


def test_without_a_region_the_library_does_nothing(library: str, programs: Programs) -> None:
    result = subprocess.run(
        [programs.build("print"), "DB_PASSWORD", "PLAIN", "NONE"],
        env={"LD_PRELOAD": library, "DB_PASSWORD": "", "PLAIN": "plain"},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, b"DB_PASSWORD=\nPLAIN=plain\nNONE\n", b"")


def test_region_without_entries(launcher: Launcher, programs: Programs) -> None:
    result = launcher.run([programs.build("print"), "PLAIN", "NONE"], secrets={})
    assert (result.returncode, result.stdout, result.stderr) == (0, b"PLAIN=plain\nNONE\n", b"")


def test_thousands_of_secrets(launcher: Launcher, programs: Programs) -> None:
    secrets = {f"SECRET_{number:05}": f"value {number}".encode() for number in range(5000)}
    wanted = ["SECRET_00000", "SECRET_02500", "SECRET_04999", "SECRET_05000"]
    result = launcher.run([programs.build("print"), *wanted], secrets=secrets)
    assert result.stdout == b"SECRET_00000=value 0\nSECRET_02500=value 2500\nSECRET_04999=value 4999\nSECRET_05000\n"


def test_program_without_a_libc_is_served(launcher: Launcher, glibc_programs: Programs) -> None:
    linker = "-Wl,--dynamic-linker=/lib64/ld-linux-x86-64.so.2"
    program = glibc_programs.build("no_libc", "-nostdlib", "-ffreestanding", "-pie", "-fPIE", linker)
    result = launcher.run([program])
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.skipif(not is_root(), reason="only root can become another user")
def test_small_memlock_limit_and_no_privileges(launcher: Launcher, programs: Programs) -> None:
    # Older container runtimes allow 64 KiB of locked memory and give no capability.
    program = programs.build("print")

    def drop() -> None:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    open_to_all(program.parent)
    secrets = {"DB_PASSWORD": PASSWORD}
    for rung in ("memfd-secret", "locked"):
        result = launcher.run([program, "DB_PASSWORD"], secrets=secrets, rung=rung, preexec=drop)
        assert (result.returncode, result.stdout, result.stderr) == (0, b"DB_PASSWORD=s3cret\n", b"")
    too_big = {"DB_PASSWORD": b"x" * 70_000}
    for rung, expected in (("memfd-secret", 120), ("locked", 120), ("any", 0)):
        result = launcher.run([program, "PLAIN"], secrets=too_big, rung=rung, preexec=drop)
        assert result.returncode == expected
        assert (b"locked-memory limit" in result.stderr) == (expected == 120)
