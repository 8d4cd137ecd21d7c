"""What is worked on by the event loop of the bridge takes no longer for a large request than for a small one."""

import asyncio
import contextlib
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType

import pytest

from bridge.audit import AuditLog, AuditSettings, Durability
from bridge.offload import INLINE_ITEMS
from bridge.reads import SecretSource
from bridge.service import Service
from strongroom.errors import StrongroomError
from strongroom.launch.bundle import MAX_REFERENCES, BundleRequest
from strongroom.launch.whole_path import FromPath
from strongroom.openbao.kv import Reading
from tests.bridge.secret_source import FakeSecretSource
from tests.bridge.test_proportion import ask, service
from tests.support.bridge.process import bundle_request


def longest_turn(directory: Path, source: SecretSource, work: Callable[[Service], Awaitable[object]]) -> int:
    """Return the most calls that the event loop's thread makes between two of its turns, with a real audit log."""
    most = now = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal most, now
        if event == "call" and frame.f_code.co_name == "_run" and frame.f_code.co_filename.endswith("events.py"):
            now = 0
        now += event in {"call", "c_call"}
        most = max(most, now)

    async def run() -> None:
        audit = AuditLog(AuditSettings(directory / "audit", Durability.WRITE, timeout_s=20))
        asked = service(audit, source)
        sys.setprofile(count)
        try:
            with contextlib.suppress(StrongroomError):
                await work(asked)
        finally:
            sys.setprofile(None)
            await audit.close()

    asyncio.run(run())
    return most


class OneReading:
    """A source that has one reading for all paths, and lets others run meanwhile."""

    def __init__(self, value: object) -> None:
        self._reading = Reading(1, {"k": value})

    async def read(
        self,
        path: str,  # noqa: ARG002
        version: int,  # noqa: ARG002
        keys: frozenset[str] | None = None,  # noqa: ARG002
        *,
        identity: str = "",  # noqa: ARG002
    ) -> Reading:
        await asyncio.sleep(0)
        return self._reading


@pytest.mark.parametrize("operation", ["bundle", "plan", "check"])
@pytest.mark.parametrize("path", ["kv/shop/a", "kv/shop/{}", "kv/other/a"], ids=["one path", "many paths", "denied"])
def test_a_large_request_takes_the_event_loop_no_longer_than_a_small_one(
    tmp_path: Path, operation: str, path: str
) -> None:
    """What is done per item is done in a thread; what is left counts items, without a look into them."""

    def turn_of(count: int) -> int:
        request = bundle_request({f"V{number}": f"bao:{path.format(number)}#k" for number in range(count)})
        return longest_turn(tmp_path, OneReading("x"), lambda asked: ask(asked, operation, request))

    assert turn_of(MAX_REFERENCES) < 2 * turn_of(INLINE_ITEMS)


@pytest.mark.parametrize("operation", ["bundle", "check"])
@pytest.mark.parametrize(("takings", "exclude"), [(64, ()), (1, ("k*x",) * 8)], ids=["again and again", "patterns"])
def test_a_path_of_some_keys_is_not_worked_on_by_the_event_loop_if_that_is_much(
    tmp_path: Path, operation: str, takings: int, exclude: tuple[str, ...]
) -> None:
    source = FakeSecretSource({"kv/shop/a": [{f"k{number}": "" for number in range(200)}]})

    def turn_of(takings: int, exclude: tuple[str, ...] = ()) -> int:
        paths = [FromPath("kv/shop/a", prefix=f"P{number}_", exclude=exclude) for number in range(takings)]
        request = BundleRequest([], paths, frozenset())
        return longest_turn(tmp_path, source, lambda asked: ask(asked, operation, request))

    assert turn_of(takings, exclude) < 1.5 * turn_of(1)


def test_a_large_value_is_not_worked_on_by_the_event_loop(tmp_path: Path) -> None:
    request = bundle_request({f"A{number}": "bao:kv/shop/a#k" for number in range(100)})
    loop_threads = []

    class Noted(str):
        """A text that notes where it is encoded."""

        __slots__ = ()

        def encode(self, *arguments: str) -> bytes:
            loop_threads.append(threading.current_thread() is threading.main_thread())
            return super().encode(*arguments)

    for text in ("x", "x" * 1_000_000):
        longest_turn(tmp_path, OneReading(Noted(text)), lambda asked: ask(asked, "bundle", request))
    assert loop_threads == [True, False]
