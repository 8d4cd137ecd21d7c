"""Bucket keys on a clock of the test's own, a KEK that can be away, and a keyring in memory."""

import asyncio
import base64
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from s3proxy.keys.bucket_keys import BucketKeys
from s3proxy.keys.kek import FileKek, KeyNotAvailableError
from s3proxy.keys.opened_keys import KeyLimits
from strongroom.errors import StrongroomError, UnavailableError
from strongroom.sealed.header import Header, Kind, parse_header
from strongroom.sealed.keyring import KeyRecord
from strongroom.sealed.segment import begin_segment
from strongroom.sealed.wrapping import BucketKey, WrappedKey
from strongroom.secret import Secret

MAIN = frozenset({"main"})
LIMITS = KeyLimits(
    bucket_key_ttl_s=100, bucket_key_uses=1000, unwrap_cache_s=50, unwrap_cache_keys=3, unwrap_grace_s=200
)


class CountingKek:
    """A key file whose calls are counted, and that can be away, or refuse."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(base64.b64encode(os.urandom(32)))
        self._kek = FileKek(path)
        self.calls: list[str] = []
        self.called = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.away = False
        self.refusal: StrongroomError | None = None

    async def wrap(self, key: Secret, *, policy: str, key_id: bytes) -> WrappedKey:
        await self._answer("wrap")
        return await self._kek.wrap(key, policy=policy, key_id=key_id)

    async def unwrap(self, wrapped: WrappedKey, *, policy: str, key_id: bytes) -> Secret:
        await self._answer("unwrap")
        return await self._kek.unwrap(wrapped, policy=policy, key_id=key_id)

    async def _answer(self, call: str) -> None:
        self.calls.append(call)
        self.called.set()
        await asyncio.sleep(0)
        await self.may_answer.wait()
        if self.away:
            raise UnavailableError("the KMS is away")
        if self.refusal is not None:
            raise self.refusal


class Guard:
    """Lets everything be sealed, or nothing."""

    def __init__(self) -> None:
        self.refusal: KeyNotAvailableError | None = None
        self.second_thought: KeyNotAvailableError | None = None

    async def require(self, _: str) -> None:
        if self.refusal is not None:
            raise self.refusal

    async def confirm(self, _: str) -> None:
        if self.second_thought is not None:
            raise self.second_thought

    def doubt(self, _: str) -> None:
        pass

    async def replaced(self, _: str) -> KeyNotAvailableError | None:
        return self.refusal


class Records:
    """A keyring in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, bytes], KeyRecord] = {}
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.away = False

    async def find(self, policy: str, key_id: bytes) -> KeyRecord | None:
        return self.kept.get((policy, key_id))

    def where(self, name: str) -> str:
        return f"keyring/{name} in memory"

    async def keep(self, policy: str, key_id: bytes, wrapped: WrappedKey) -> None:
        await self.may_answer.wait()
        if self.away:
            raise UnavailableError("the store is away")
        self.kept[policy, key_id] = KeyRecord(policy, key_id, wrapped)


class World:
    """Bucket keys on a clock of their own."""

    def __init__(self, folder: Path, limits: KeyLimits = LIMITS) -> None:
        self.now = 1000.0
        self.kek = CountingKek(folder / "kek")
        self.records = Records()
        self.guard = Guard()
        self.counted: list[str] = []
        self.limits = limits
        self.keys = self.another_process()

    def another_process(self) -> BucketKeys:
        return BucketKeys(
            {"main": self.kek},
            self.limits,
            keyring=self.records,
            guard=self.guard,
            clock=lambda: self.now,
            count=self.counted.append,
        )


def header_of(key: BucketKey) -> Header:
    segment = begin_segment(key, kind=Kind.WHOLE, plaintext_bytes=0, salt=bytes(32), object_id=bytes(16))
    return parse_header(segment.raw)


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())  # type: ignore[arg-type]  # coroutines all of them
