"""The audit log: group commit, failing closed, rotation."""

import asyncio
import json
import os
import queue
import stat
import threading
from pathlib import Path

import pytest

from bridge.audit import AuditLog, AuditRecord, AuditSettings, Caller, Decision, Durability
from strongroom.errors import ConfigError, UnavailableError
from strongroom.identity import parse_spiffe_id

CALLER = Caller(parse_spiffe_id("spiffe://example.org/a"), "192.0.2.1", "r1")
RECORD = AuditRecord("X", "kv/a", "k", 3, Decision.ALLOWED)


def test_200_launches_at_once_share_a_few_fsyncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync

    def counted(fd: int) -> None:
        synced.append(fd)
        real(fd)

    monkeypatch.setattr(os, "fsync", counted)

    async def run() -> None:
        log = AuditLog(AuditSettings(tmp_path / "audit", Durability.FSYNC, timeout_s=5))
        await asyncio.gather(*(log.record(CALLER, [RECORD, RECORD]) for _ in range(200)))
        await log.close()

    asyncio.run(run())
    lines = (tmp_path / "audit").read_text().splitlines()
    assert len(lines) == 400
    assert all(json.loads(line)["decision"] == "allowed" for line in lines)
    assert 1 <= len(synced) <= 3


def test_a_record_is_synced_before_the_caller_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def noted(fd: int) -> None:
        if stat.S_ISREG(os.fstat(fd).st_mode):  # and not the directory, when the file is made
            order.append(f"synced {os.fstat(fd).st_size > 0}")

    monkeypatch.setattr(os, "fsync", noted)

    async def run() -> None:
        log = AuditLog(AuditSettings(tmp_path / "audit", Durability.FSYNC, timeout_s=5))
        await log.record(CALLER, [RECORD])
        order.append("answer")
        await log.close()

    asyncio.run(run())
    assert order == ["synced True", "answer"]


def test_without_fsync_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: pytest.fail("fsync was called"))

    async def run() -> None:
        log = AuditLog(AuditSettings(tmp_path / "audit", Durability.WRITE, timeout_s=5))
        await log.record(CALLER, [RECORD])
        await log.close()

    asyncio.run(run())
    assert (tmp_path / "audit").read_text()


def test_a_full_disk_fails_every_waiting_request_and_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        log = AuditLog(AuditSettings(tmp_path / "audit", Durability.FSYNC, timeout_s=5))
        await log.record(CALLER, [RECORD])
        real = os.write
        calls: list[int] = []

        def full(fd: int, data: bytes) -> int:
            calls.append(fd)
            if len(calls) % 2:
                return real(fd, data[:10])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        outcomes = await asyncio.gather(*(log.record(CALLER, [RECORD]) for _ in range(5)), return_exceptions=True)
        assert all(isinstance(outcome, UnavailableError) for outcome in outcomes)
        assert "No space left" in str(outcomes[0])
        assert log.error == "No space left on device"
        await log.probe()
        assert log.error
        monkeypatch.setattr(os, "write", real)
        await log.probe()
        assert log.error == ""
        await log.record(CALLER, [RECORD])
        await log.close()

    asyncio.run(run())
    lines = [json.loads(line) for line in (tmp_path / "audit").read_text().splitlines()]
    assert [line.get("event", line.get("decision")) for line in lines] == ["allowed", "audit_resumed", "allowed"]


def test_a_stuck_disk_fails_the_request_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = threading.Event()

    async def run() -> None:
        log = AuditLog(AuditSettings(tmp_path / "audit", Durability.FSYNC, timeout_s=0.1))
        monkeypatch.setattr(os, "fsync", lambda _: stuck.wait(20))
        with pytest.raises(UnavailableError, match="not be written in time"):
            await log.record(CALLER, [RECORD])
        assert log.error
        log._timeout_s = 20.0  # a busy machine may need more than that of a test that waits for its end
        stuck.set()
        await log.record(CALLER, [RECORD])
        assert not log.error
        await log.close()

    asyncio.run(run())


def test_records_of_requests_that_were_given_up_do_not_pile_up_behind_a_stuck_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request has failed, so they would be records of what never happened."""
    go_on = threading.Event()
    real = os.write

    def stuck(fd: int, data: bytes) -> int:
        go_on.wait(20)
        return real(fd, data)

    async def run() -> None:
        log = AuditLog(AuditSettings(tmp_path / "audit", Durability.FSYNC, timeout_s=0.05))
        monkeypatch.setattr(os, "write", stuck)
        for _ in range(20):
            with pytest.raises(UnavailableError):
                await log.record(CALLER, [RECORD])
        monkeypatch.setattr(os, "write", real)
        log._timeout_s = 20.0
        go_on.set()
        while log.error:
            await log.probe()
        await log.record(CALLER, [RECORD])
        await log.close()

    asyncio.run(run())
    lines = [json.loads(line) for line in (tmp_path / "audit").read_text().splitlines()]
    decisions = [line["decision"] for line in lines if "decision" in line]
    assert len(decisions) == 2  # the one that was being written, and the last one


def test_reopening_writes_to_the_new_file(tmp_path: Path) -> None:
    async def run() -> None:
        log = AuditLog(AuditSettings(tmp_path / "audit", Durability.FSYNC, timeout_s=5))
        await log.record(CALLER, [RECORD])
        (tmp_path / "audit").rename(tmp_path / "audit.1")
        await log.record(CALLER, [RECORD])
        await log.reopen()
        await log.record(CALLER, [RECORD])
        (tmp_path / "audit").chmod(0o400)
        await log.close()

    asyncio.run(run())
    assert len((tmp_path / "audit.1").read_text().splitlines()) == 2
    assert len((tmp_path / "audit").read_text().splitlines()) == 1
    assert (tmp_path / "audit.1").stat().st_mode & 0o777 == 0o600


def test_reopening_waits_for_one_write_however_many_wait_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a load that never pauses there is always a record that waits."""
    turns: queue.SimpleQueue[None] = queue.SimpleQueue()
    begun: queue.SimpleQueue[None] = queue.SimpleQueue()

    def by_turns(fd: int) -> None:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            begun.put(None)
            turns.get(timeout=60)

    async def run() -> None:
        log = AuditLog(AuditSettings(tmp_path / "audit", Durability.FSYNC, timeout_s=20))
        monkeypatch.setattr(os, "fsync", by_turns)
        first = asyncio.create_task(log.record(CALLER, [RECORD]))
        await asyncio.to_thread(begun.get, timeout=60)
        second = asyncio.create_task(log.record(CALLER, [RECORD]))
        (tmp_path / "audit").rename(tmp_path / "audit.1")
        rotated = asyncio.create_task(log.reopen())
        await asyncio.sleep(0)  # both have asked
        turns.put(None)
        await rotated
        assert first.done()
        assert not second.done()
        turns.put(None)
        await second
        await log.close()

    asyncio.run(run())
    assert len((tmp_path / "audit.1").read_text().splitlines()) == 1
    assert len((tmp_path / "audit").read_text().splitlines()) == 1


def test_a_stuck_disk_keeps_neither_rotation_nor_the_end_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = threading.Event()

    async def run() -> None:
        log = AuditLog(AuditSettings(tmp_path / "audit", Durability.FSYNC, timeout_s=0.1))
        monkeypatch.setattr(os, "fsync", lambda _: stuck.wait(60))
        with pytest.raises(UnavailableError, match="not be written in time"):
            await log.record(CALLER, [RECORD])
        await log.reopen()
        await log.close()

    asyncio.run(run())
    assert not stuck.is_set()
    stuck.set()


def test_a_removed_file_is_not_written_to(tmp_path: Path) -> None:
    """Logs that are compressed or deleted before the signal came: what has no name any longer is lost."""

    async def run() -> None:
        log = AuditLog(AuditSettings(tmp_path / "audit", Durability.FSYNC, timeout_s=5))
        await log.record(CALLER, [RECORD])
        (tmp_path / "audit").unlink()
        await log.record(CALLER, [RECORD])
        assert len((tmp_path / "audit").read_text().splitlines()) == 1
        (tmp_path / "audit").unlink()
        (tmp_path / "audit").mkdir()
        with pytest.raises(UnavailableError, match=r"audit_file=.*cannot be opened"):
            await log.record(CALLER, [RECORD])
        await log.close()

    asyncio.run(run())


def test_a_failed_reopening_keeps_the_old_file(tmp_path: Path) -> None:
    async def run() -> None:
        (tmp_path / "logs").mkdir()
        log = AuditLog(AuditSettings(tmp_path / "logs" / "audit", Durability.FSYNC, timeout_s=5))
        (tmp_path / "logs").rename(tmp_path / "moved")
        await log.reopen()
        await log.record(CALLER, [RECORD])
        await log.close()

    asyncio.run(run())
    assert len((tmp_path / "moved" / "audit").read_text().splitlines()) == 1


def test_a_file_that_cannot_be_opened_stops_the_start(tmp_path: Path) -> None:
    async def run() -> None:
        with pytest.raises(ConfigError, match=r"audit_file=.*cannot be opened"):
            AuditLog(AuditSettings(tmp_path / "no" / "audit", Durability.FSYNC, timeout_s=5))

    asyncio.run(run())


def test_names_cannot_break_a_line(tmp_path: Path) -> None:
    async def run() -> None:
        log = AuditLog(AuditSettings(tmp_path / "audit", Durability.FSYNC, timeout_s=5))
        await log.record(CALLER, [AuditRecord("X", "kv/a", 'k\n{"decision": "forged"}\u2028', 0, Decision.DENIED)])
        await log.close()

    asyncio.run(run())
    (line,) = (tmp_path / "audit").read_text().splitlines()
    assert json.loads(line)["version"] is None
