"""Records of several writers in one file, and those that nobody waits for."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom.errors import UnavailableError
from strongroom.service.record_file import RecordFile
from strongroom.service.record_log import RecordLog, RecordLogNames

NAMES = RecordLogNames(log="test_log", setting="test_log", owner="test")

WRITER = """
import os, sys
from pathlib import Path
from strongroom.service.record_file import RecordFile

file = RecordFile(Path(sys.argv[1]), setting="test_log", owner="test", fsync=False)
real, calls = os.write, [0]

def now_and_then_full(fd, data):
    calls[0] += 1
    if calls[0] % 3 == 0:
        raise OSError(28, "No space left on device")
    return real(fd, data[: len(data) // 2] if calls[0] % 3 == 2 else data)

os.write = now_and_then_full
for number in range(300):
    line = (f"{sys.argv[2]} {number} " + sys.argv[2] * (number * 20)).encode() + b"\\n"
    while True:
        try:
            file.append(line, fsync=False)
            break
        except OSError:
            continue
"""


def test_records_of_four_processes_do_not_mix_even_where_writes_end_in_the_middle(tmp_path: Path) -> None:
    """A record of several pages, and a disk that is full for a moment: only the writer's own half line goes away."""
    path = tmp_path / "log"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), letter]) for letter in "abcd"]
    assert [writer.wait(200) for writer in writers] == [0] * 4
    lines = path.read_text().splitlines()
    expected = {f"{letter} {number} " + letter * (number * 20) for letter in "abcd" for number in range(300)}
    assert len(lines) == len(expected)
    assert set(lines) == expected


def test_a_file_that_has_a_successor_is_not_written_to(tmp_path: Path) -> None:
    """Rotation without a signal, or by another process: who moves the file also makes the new one."""
    path, moved = tmp_path / "log", tmp_path / "log.1"
    file = RecordFile(path, setting="test_log", owner="test", fsync=True)
    file.append(b"1\n", fsync=True)
    path.rename(moved)
    file.append(b"2\n", fsync=True)
    assert not path.exists()  # its mode and owner are the choice of whoever moved it
    path.touch()
    file.append(b"3\n", fsync=True)
    assert (moved.read_bytes(), path.read_bytes()) == (b"1\n2\n", b"3\n")
    file.close()


def test_what_the_disk_failed_to_keep_is_taken_back_unless_others_wrote_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    file = RecordFile(path, setting="test_log", owner="test", fsync=False)
    file.append(b"1\n", fsync=False)

    def failing(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output"):
        file.append(b"2\n", fsync=True)
    assert path.read_bytes() == b"1\n"

    def failing_late(_: int) -> None:
        with path.open("ab") as other:
            other.write(b"other\n")
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing_late)
    with pytest.raises(OSError, match="Input/output"):
        file.append(b"3\n", fsync=True)
    assert path.read_bytes() == b"1\n3\nother\n"
    file.close()


class _Log(RecordLog):
    """A log that tells when it has tried to write."""

    def __init__(self, path: Path, room_bytes: int = 1000) -> None:
        self._tried = asyncio.Condition()
        super().__init__(
            path, names=NAMES, fsync=True, timeout_s=5, room_bytes=room_bytes, observe=lambda *_: self._tell()
        )

    def _tell(self) -> None:
        self._telling = asyncio.ensure_future(self._notify())

    async def _notify(self) -> None:
        async with self._tried:
            self._tried.notify_all()

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(100), self._tried:
            await self._tried.wait_for(holds)


def test_many_records_that_nobody_waits_for_are_one_write_without_fsync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[int] = []
    real = os.write

    def counted(fd: int, data: bytes) -> int:
        writes.append(len(data))
        return real(fd, data)

    monkeypatch.setattr(os, "write", counted)

    async def run() -> None:
        log = _Log(tmp_path / "log")
        monkeypatch.setattr(os, "fsync", lambda _: pytest.fail("fsync was called"))
        assert all(log.note(f"{number}\n".encode()) for number in range(100))
        await log.until(lambda: not log.noted_bytes)
        await log.close()

    asyncio.run(run())
    assert (tmp_path / "log").read_text().split() == [str(number) for number in range(100)]
    assert writes.count(290) == 1


def test_a_record_that_is_waited_for_takes_those_before_it_along(tmp_path: Path) -> None:
    async def run() -> None:
        log = _Log(tmp_path / "log")
        log.note(b"1\n")
        await log.write(b"2\n")
        assert (tmp_path / "log").read_bytes() == b"1\n2\n"
        await log.close()

    asyncio.run(run())


def test_the_end_writes_what_is_left(tmp_path: Path) -> None:
    async def run() -> None:
        log = _Log(tmp_path / "log", 1 << 30)
        for _ in range(100):
            log.note(b"x" * 100_000 + b"\n")
        await log.close()

    asyncio.run(run())
    assert (tmp_path / "log").stat().st_size == 100 * 100_001


@pytest.mark.parametrize("first", ["a record that is waited for", "one that nobody waits for", "a probe"])
def test_the_log_says_that_records_are_written_again_whatever_is_written_first(
    first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="strongroom")
    real = os.write

    def full(fd: int, data: bytes) -> int:
        if data == b"lost\n":
            raise OSError(28, "No space left on device")
        return real(fd, data)

    async def run() -> None:
        log = _Log(tmp_path / "log")
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(UnavailableError):
            await log.write(b"lost\n")
        if first == "a record that is waited for":
            await log.write(b"1\n")
        elif first == "one that nobody waits for":
            log.note(b"1\n")
            await log.until(lambda: not log.noted_bytes)
        await log.probe()
        await log.write(b"2\n")
        await log.close()

    asyncio.run(run())
    assert [record.getMessage() for record in caplog.records] == ["test_log_failed", "test_log_resumed"]


def test_a_full_disk_loses_nothing_until_the_room_is_full_and_then_says_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def full(fd: int, data: bytes) -> int:
        if len(data) > 100:  # and not the event loop's byte to itself
            real(fd, data[:50])
            raise OSError(28, "No space left on device")
        return real(fd, data)

    async def run() -> None:
        log = _Log(tmp_path / "log", 1000)
        monkeypatch.setattr(os, "write", full)
        line = b"x" * 199 + b"\n"
        assert [log.note(line) for _ in range(7)] == [True] * 5 + [False] * 2
        await log.until(lambda: log.error)
        assert log.lost == 2
        with pytest.raises(UnavailableError, match="No space left"):
            await log.write(line)
        assert (tmp_path / "log").stat().st_size == 0
        monkeypatch.setattr(os, "write", real)
        await log.until(lambda: not log.noted_bytes)
        assert not log.error
        await log.close()

    asyncio.run(run())
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[:5] == ["x" * 199] * 5
    (told,) = (json.loads(line) for line in lines[5:])
    assert (told["event"], told["count"]) == ("test_log_lost", 2)
