"""The code that is placed in a static program: run for real, on x86-64 and, where qemu is there, on aarch64.

Both kinds of it: what the wrapper puts together, and what strongroom-tracer carries with it. A C program forks a
child, maps the code, jumps to it on a stack of its own, and reports what it finds at the place that the code takes for
the entry point.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.tree import ROOT
from wrapper.static.processor import PROCESSORS, HeldSignals

NATIVE = ROOT / "tests" / "native" / "static"
PAGE = 0x10_0000_0000
ENTRY = 0x20_0000_0000
GADGET = 0x30_0000_0000
CHILD = 4_711_000  # replaced by the real number: no process has this one
SIGCHLD, SIGTERM, SIGUSR1 = 17, 15, 10

COMPILERS = {"x86_64": ("gcc", []), "aarch64": ("aarch64-linux-gnu-gcc", ["qemu-aarch64"])}


def bit(number: int) -> int:
    return 1 << number - 1


@pytest.fixture(scope="module", params=sorted(PROCESSORS))
def machine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def harness(machine: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs code on this machine."""
    compiler, emulator = COMPILERS[machine]
    program = tmp_path_factory.mktemp("code") / machine
    subprocess.run(
        [compiler, "-static", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, NATIVE / "entry_stub.c"],
        check=True,
        timeout=60,
    )
    assert all(shutil.which(word) for word in emulator), f"install {emulator}"
    return [*emulator, str(program)]


class Code:
    """Makes the code as one of the two tracers does; ``child`` is what the harness is to look for in it."""

    def __init__(self, machine: str, emulator: list[str], program: Path | None) -> None:
        self._machine = PROCESSORS[machine]
        self._command = [*emulator, str(program)] if program else []
        self.child = f"={CHILD.to_bytes(8, 'little').hex()}" if program else child_bytes(machine).hex()

    def __call__(self, *, fatal: int = 0, mask: int = 0, consume: bool = False, gadget: bool = True) -> bytes:
        if self._command:
            numbers = [CHILD, bit(SIGCHLD) if consume else 0, fatal, mask, GADGET if gadget else 0]
            return subprocess.run(
                [*self._command, *(f"{number:x}" for number in numbers)], check=True, capture_output=True, timeout=30
            ).stdout
        signals = HeldSignals(fatal=fatal, mask=mask, consume=consume)
        return self._machine.stub_code(
            signals, child=CHILD, page=PAGE, page_bytes=4096, entry=ENTRY, gadget=GADGET if gadget else None
        )


@pytest.fixture(scope="module", params=["wrapper", "tracer"])
def code(request: pytest.FixtureRequest, machine: str, tmp_path_factory: pytest.TempPathFactory) -> Code:
    compiler, emulator = COMPILERS[machine]
    if request.param == "wrapper":
        return Code(machine, emulator, None)
    program = tmp_path_factory.mktemp("bytes") / machine
    sources = [NATIVE / "entry_stub_bytes.c", NATIVE.parents[2] / "preload" / "src" / "tracer" / "entry_stub.c"]
    subprocess.run(
        [compiler, "-static", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, *sources], check=True, timeout=60
    )
    return Code(machine, emulator, program)


def run(harness: list[str], code: bytes, child: str, *signals: int) -> tuple[int, dict[str, int]]:
    """Run the code; ``signals`` are blocked and pending then. Return the exit status and what the entry point found."""
    done = subprocess.run(
        [*harness, child, *map(str, signals)], input=code, capture_output=True, check=False, timeout=30
    )
    assert not done.stderr, done.stderr
    lines = (line.split() for line in done.stdout.decode().splitlines())
    return done.returncode, {name: int(value, 16) for name, value in lines}


def child_bytes(machine: str) -> bytes:
    """The instructions with the number of the child in them, so that the harness can put the real one there."""
    if machine == "x86_64":
        return b"\xbf" + CHILD.to_bytes(4, "little")  # mov $CHILD,%edi
    low, high = CHILD & 0xFFFF, CHILD >> 16
    return b"".join(word.to_bytes(4, "little") for word in (0xD280_0000 | low << 5, 0xF2A0_0000 | high << 5))


def test_it_waits_removes_itself_and_leaves_the_registers_that_matter_zero(code: Code, harness: list[str]) -> None:
    status, found = run(harness, code(), code.child)

    assert status == 0
    assert found == {"stack": 0, "exit_function": 0, "child": 0, "page": 0, "blocked": 0, "pending": 0}


def test_without_a_gadget_only_the_page_stays(code: Code, harness: list[str]) -> None:
    status, found = run(harness, code(gadget=False), code.child)

    assert status == 0
    assert found == {"stack": 0, "exit_function": 0, "child": 0, "page": 1, "blocked": 0, "pending": 0}


def test_a_fatal_signal_that_arrived_ends_the_program_with_128_and_its_number(code: Code, harness: list[str]) -> None:
    status, found = run(harness, code(fatal=bit(SIGTERM)), code.child, SIGTERM)

    assert (status, found) == (128 + SIGTERM, {})


def test_other_signals_stay_pending_under_the_mask_of_the_program(code: Code, harness: list[str]) -> None:
    made = code(fatal=bit(SIGTERM), mask=bit(SIGUSR1) | bit(40))
    status, found = run(harness, made, code.child, SIGUSR1)

    assert status == 0
    assert (found["blocked"], found["pending"]) == (bit(SIGUSR1) | bit(40), bit(SIGUSR1))


def test_the_sigchld_of_the_tracer_is_taken_where_it_is_blocked(code: Code, harness: list[str]) -> None:
    made = code(mask=bit(SIGCHLD), consume=True)
    status, found = run(harness, made, code.child, SIGCHLD)

    assert status == 0
    assert (found["blocked"], found["pending"]) == (bit(SIGCHLD), 0)


@pytest.mark.parametrize("name", sorted(PROCESSORS))
def test_calls_and_results_pass_through_the_register_set(name: str) -> None:
    machine = PROCESSORS[name]
    blank = bytes(machine.registers_bytes)
    calling = machine.calling(blank, 0x1234, "mmap", (1, 2, 3, 4, -1, 6))

    assert machine.program_counter(calling) == 0x1234
    words = [int.from_bytes(calling[i : i + 8], "little") for i in range(0, len(calling), 8)]
    assert {1, 2, 3, 4, 2**64 - 1, 6, machine.calls["mmap"]} <= set(words)
    assert machine.outcome(blank) == 0


@pytest.mark.parametrize("name", sorted(PROCESSORS))
def test_an_instruction_is_found_only_where_one_can_begin(name: str) -> None:
    machine = PROCESSORS[name]
    pattern = machine.call_instruction + machine.return_instruction
    padding = bytes(machine.alignment)

    assert machine.find_call_and_return(padding + pattern, 0x1000) == 0x1000 + machine.alignment
    assert machine.find_call(padding, 0x1000) is None
    if machine.alignment > 1:
        assert machine.find_call(b"\0" + pattern, 0x1000) is None
