"""What docs/s3proxy.md promises while OpenBao is away, at the default settings, of one process and four, by a clock.

The same for as many real seconds as one likes is tests/chaos/test_openbao_away.py.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from s3proxy.keys.opened_keys import KeyLimits
from s3proxy.keys.shared_names import SharedNames
from s3proxy.keys.warming import Warmer
from strongroom.errors import UnavailableError
from strongroom.sealed.header import Header
from strongroom.sealed.keyring import KeyRecord
from tests.s3proxy.kms import MAIN, World, header_of

HOUR_S = 3600.0
TICK_S = 5.0


class Fleet:
    """The processes of a proxy on one clock, each with its own keys and the files that they share."""

    def __init__(self, folder: Path, count: int) -> None:
        self.world = World(folder, KeyLimits())
        self.keys = [self.world.another_process() for _ in range(count)]
        (folder / "shared").mkdir()
        self._warmers = [
            Warmer(keys, self, shared=SharedNames(folder / "shared", number), clock=lambda: self.world.now)
            for number, keys in enumerate(self.keys)
        ]

    async def newest(self, count: int) -> AsyncIterator[KeyRecord]:
        for record in list(self.world.records.kept.values())[-count:]:
            yield record

    async def run(self, seconds: float) -> None:
        """Let time go by, with what each process does in the background."""
        end = self.world.now + seconds
        while self.world.now < end:
            self.world.now = min(end, self.world.now + TICK_S)
            for keys, warmer in zip(self.keys, self._warmers, strict=True):
                await keys.follow()
                await warmer.follow()

    async def read(self, header: Header) -> None:
        for keys in self.keys:
            await keys.to_open(header, MAIN)

    async def write(self) -> None:
        for keys in self.keys:
            await keys.to_seal("main")


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("seed", range(3))
def test_an_hour_without_openbao_is_served_by_every_process(tmp_path: Path, count: int, seed: int) -> None:
    """Whenever it begins, and whichever process has met a key."""
    chance = random.Random(seed)  # noqa: S311 - no secret

    async def work() -> None:
        fleet = Fleet(tmp_path, count)
        headers = [header_of(await chance.choice(fleet.keys).to_seal("main"))]
        await fleet.run(chance.uniform(TICK_S, HOUR_S - 60))  # in which nobody reads or writes
        fleet.world.kek.away = True
        await fleet.run(20 * 60)
        await fleet.read(headers[0])
        await fleet.write()
        await fleet.run(HOUR_S - 20 * 60 - TICK_S)
        await fleet.read(headers[0])
        await fleet.write()
        await fleet.run(HOUR_S)
        for refused in (fleet.read(headers[0]), fleet.write()):
            with pytest.raises(UnavailableError):
                await refused
        fleet.world.kek.away = False
        await fleet.run(2 * TICK_S + 5)
        await fleet.read(headers[0])
        await fleet.write()

    asyncio.run(work())


def test_a_process_that_was_begun_just_before_reads_what_the_others_wrote(tmp_path: Path) -> None:
    async def work() -> None:
        fleet = Fleet(tmp_path, 1)
        written = [header_of(await fleet.world.another_process().to_seal("main")) for _ in range(5)]
        await fleet.run(2 * TICK_S)
        fleet.world.kek.away = True
        await fleet.run(20 * 60)
        for header in written:
            await fleet.read(header)

    asyncio.run(work())


def test_what_is_used_stays_confirmed_in_all_and_what_nobody_uses_is_forgotten(tmp_path: Path) -> None:
    async def work() -> None:
        fleet = Fleet(tmp_path, 4)
        header = header_of(await fleet.keys[0].to_seal("main"))
        for _ in range(4):  # one process reads it, for hours
            await fleet.run(HOUR_S / 2)
            await fleet.keys[1].to_open(header, MAIN)
        fleet.world.kek.away = True
        await fleet.run(20 * 60)
        await fleet.read(header)
        fleet.world.kek.away = False
        await fleet.run(3 * HOUR_S)
        fleet.world.kek.calls.clear()
        await fleet.run(HOUR_S)
        assert fleet.world.kek.calls == []

    asyncio.run(work())


def test_no_key_is_in_what_processes_tell_each_other(tmp_path: Path) -> None:
    async def work() -> None:
        fleet = Fleet(tmp_path, 2)
        key = await fleet.keys[0].to_seal("main")
        await fleet.run(2 * TICK_S)
        told = b"".join(path.read_bytes() for path in (tmp_path / "shared").iterdir())
        assert key.key_id.hex().encode() in told
        for form in (key.secret.reveal(), key.secret.reveal().hex().encode()):
            assert form not in told

    asyncio.run(work())


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"opened": [1], "seals": []}', b'{"opened": [], "seals": [["a"]]}']
)
def test_what_another_process_has_not_written_whole_is_left(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "keys-2").write_bytes(content)
    assert SharedNames(tmp_path, 1).others() == []
