"""A keyring, objects and a clock in memory, and guards over them."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from s3proxy.keys.evidence import Evidence, Fits
from s3proxy.keys.guard import KeyGuard
from s3proxy.keys.kek import Cause, FileKek, Kek, KeyNotAvailableError
from s3proxy.keys.policies import Policy
from strongroom.errors import IntegrityError, StrongroomError
from strongroom.sealed.header import Header, Kind, parse_header
from strongroom.sealed.keyring import KeyRecord, record_name
from strongroom.sealed.segment import begin_segment
from strongroom.sealed.wrapping import BucketKey, WrappedKey
from strongroom.secret import Secret

MAIN = Policy(name="main", kek="file", buckets=("*",))
KEY_ID = bytes(range(16))


class Refusing:
    """A KEK that can refuse, or be away."""

    def __init__(self, kek: Kek) -> None:
        self._kek = kek
        self.wraps: StrongroomError | None = None
        self.unwraps: StrongroomError | None = None
        self.version = 1

    async def wrap(self, key: Secret, *, policy: str, key_id: bytes) -> WrappedKey:
        if self.wraps is not None:
            raise self.wraps
        return replace(await self._kek.wrap(key, policy=policy, key_id=key_id), version=self.version)

    async def unwrap(self, wrapped: WrappedKey, *, policy: str, key_id: bytes) -> Secret:
        if self.unwraps is not None:
            raise self.unwraps
        return await self._kek.unwrap(wrapped, policy=policy, key_id=key_id)


class World:
    """A keyring, objects and a clock in memory, and guards over them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 1000.0
        self.records: dict[str, KeyRecord] = {}
        self.damaged: set[str] = set()
        self.sealed: tuple[str, Header] | None = None
        self.looks: StrongroomError | None = None
        self.revoked: list[str] = []
        self.kek = self.new_kek()

    def new_kek(self) -> Refusing:
        path = self.folder / os.urandom(4).hex()
        path.write_bytes(base64.b64encode(os.urandom(32)))
        return Refusing(FileKek(path))

    def guard(self, policy: Policy = MAIN, *, on_lost: Callable[[str], None] = lambda _: None) -> KeyGuard:
        evidence = Evidence(self, self.Samples(self))
        made = KeyGuard(self, evidence, clock=lambda: self.now, on_revoked=self.revoked.append, on_lost=on_lost)
        made.use([policy], dict.fromkeys(policy.names, self.kek))
        return made

    async def seal(self, policy: str = "main", *, keep: bool) -> None:
        """Seal an object, and keep the record of its key or lose it."""
        wrapped = await self.kek.wrap(Secret(bytes(32)), policy=policy, key_id=KEY_ID)
        if keep:
            await self.keep(policy, KEY_ID, wrapped)
        key = BucketKey(KEY_ID, policy, Secret(bytes(32)), wrapped.encode())
        segment = begin_segment(key, kind=Kind.WHOLE, plaintext_bytes=0, salt=bytes(32), object_id=bytes(16))
        self.sealed = "bucket/object", parse_header(segment.raw)

    async def read(self, name: str) -> KeyRecord | None:
        if name in self.damaged:
            raise IntegrityError(f"{name}: not a record of a bucket key")
        return self.records.get(name)

    async def keep(self, policy: str, key_id: bytes, wrapped: WrappedKey) -> None:
        self.records[record_name(policy, key_id)] = KeyRecord(policy, key_id, wrapped)

    async def write(self, record: KeyRecord) -> None:
        self.records[record.name] = record

    async def names(self, policy: str = "") -> AsyncIterator[str]:
        for name in list(self.records):
            if name.startswith(f"{policy}/" if policy else ""):
                yield name

    class Samples:
        """The objects."""

        def __init__(self, world: "World") -> None:
            self._world = world

        async def find(self, policy: Policy, *, fits: Fits | None = None) -> tuple[str, Header] | None:
            if self._world.looks is not None:
                raise self._world.looks
            sealed = self._world.sealed
            if not sealed or sealed[1].policy != policy.name or (fits and not await fits(sealed[1])):
                return None
            return sealed


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())  # type: ignore[arg-type]  # coroutines all of them


async def refused(guard: KeyGuard, cause: Cause) -> KeyNotAvailableError:
    with pytest.raises(KeyNotAvailableError) as caught:
        await guard.require("main")
    assert caught.value.cause is cause
    assert caught.value.hint
    return caught.value
