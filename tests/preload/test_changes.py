"""A value that changes while threads read it: never torn, never going back, and what was handed out stays readable."""

import mmap
import os
import subprocess

import pytest

from strongroom.errors import UndeliverableError
from strongroom.launch import region
from tests.preload import secretmem
from tests.preload.launch import Launcher, Programs
from tests.preload.region_change import change_value

CHANGES = 5000


def value_of(number: int) -> bytes:
    return b"%d:" % number + b"%d" % (number % 10) * (number % 200)


def change(image: "bytearray | mmap.mmap", name: str, value: bytes) -> int:
    def fill(place: memoryview) -> None:
        place[:] = value

    return change_value(image, name, len(value), fill)


@pytest.mark.parametrize("rung", ["memfd-secret", "locked"])
def test_threads_see_whole_values_while_they_change(launcher: Launcher, programs: Programs, rung: str) -> None:
    room = sum(len(value_of(number)) + len("CHANGING=") + 1 for number in range(CHANGES + 1)) + 8
    image = region.encode([("CHANGING", value_of(0)), ("STEADY", b"steady")], room_bytes=room)
    if rung == "memfd-secret":
        descriptor = secretmem.secret_descriptor(image)
    else:  # a sealed memfd could not be changed
        descriptor = secretmem._high(os.memfd_create("region"))
        os.write(descriptor, image)
    memory = mmap.mmap(descriptor, len(image))
    process = subprocess.Popen(
        [programs.build("changes"), str(CHANGES)],
        env={
            "LD_PRELOAD": launcher.library,
            "STRONGROOM_REGION": f"{rung}:{descriptor}",
            "CHANGING": "",
            "STEADY": "",
        },
        pass_fds=(descriptor,),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for number in range(1, CHANGES + 1):
            assert change(memory, "CHANGING", value_of(number)) == number
        out, _ = process.communicate(timeout=200)
    finally:
        process.kill()
        os.close(descriptor)
    assert out == "ok\n"
    assert region.read_values(memory)["CHANGING"] == value_of(CHANGES), "the changed image is still a legal one"


def test_programs_that_start_while_values_change_find_a_whole_region(launcher: Launcher, programs: Programs) -> None:
    # The library copies the image while it changes; what it copied must hold.
    image = region.encode([("DB_PASSWORD", b"0" * 64)], room_bytes=400_000)
    descriptor = secretmem.secret_descriptor(image)
    memory = mmap.mmap(descriptor, len(image))
    program = programs.build("print")
    started = [
        subprocess.Popen(
            [program, "DB_PASSWORD"],
            env={"LD_PRELOAD": launcher.library, "STRONGROOM_REGION": f"memfd-secret:{descriptor}", "DB_PASSWORD": ""},
            pass_fds=(descriptor,),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(20)
    ]
    number = 0
    while any(process.poll() is None for process in started) and number < 5000:
        number += 1
        change(memory, "DB_PASSWORD", b"%d" % (number % 10) * 64)
    outputs = [process.communicate(timeout=200)[0] for process in started]
    os.close(descriptor)
    assert number > 10
    for output in outputs:
        value = output.strip().removeprefix("DB_PASSWORD=")
        assert len(value) == 64, output
        assert set(value) <= set("0123456789"), output
        assert len(set(value)) == 1, output


def test_a_change_that_does_not_fit_changes_nothing() -> None:
    image = bytearray(region.encode([("A", b"1"), ("B", b"2")], room_bytes=16))
    before = bytes(image)
    with pytest.raises(UndeliverableError, match="no room for 100 bytes"):
        change(image, "A", b"x" * 100)
    with pytest.raises(UndeliverableError, match="C: is not in the region"):
        change(image, "C", b"x")
    assert bytes(image) == before


def test_a_binary_value_is_not_swung_in() -> None:
    image = bytearray(region.encode([("A", b"1")], room_bytes=64))
    with pytest.raises(UndeliverableError, match="binary"):
        change(image, "A", b"x\0y")
    assert region.read_values(image) == {"A": b"1"}


def test_the_generation_rises_and_wraps() -> None:
    image = bytearray(region.encode([("A", b"1")], generation=0xFFFF_FFFE, room_bytes=64))
    assert change(image, "A", b"2") == 0xFFFF_FFFF
    assert change(image, "A", b"3") == 0
    assert region.read_values(image) == {"A": b"3"}


def test_an_image_without_room_is_not_followed(launcher: Launcher) -> None:
    result = launcher.run(["grep", "-c", "secretmem", "/proc/self/maps"])
    assert result.stdout == b"1\n", "one mapping only: its own copy"
