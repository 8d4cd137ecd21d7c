"""What systemd is told, over a socket such as its own."""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.service.lifecycle import Notifier
from tests.support.process.systemd import Systemd


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    address = f"{tmp_path}/n" if request.param == "path" else f"@strongroom-test-{os.getpid()}"
    with contextlib.closing(Systemd(address)) as made:
        yield made


def test_a_service_is_ready_alive_and_stopping(systemd: Systemd) -> None:
    environ = {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getpid())}
    notifier = Notifier(environ)
    assert environ == {}, "children must not speak for the service"

    async def serve() -> list[str]:
        async with notifier.serving():
            return await asyncio.to_thread(lambda: [systemd.next()[0] for _ in range(3)])

    assert asyncio.run(serve()) == ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]
    assert systemd.until("STOPPING")[-1] == "STOPPING=1"


def test_a_reload_is_told_with_its_time_and_its_end(systemd: Systemd) -> None:
    with Notifier({"NOTIFY_SOCKET": systemd.address}).reloading():
        begin = systemd.next()[0].splitlines()
    assert begin[0] == "RELOADING=1"
    assert begin[1].removeprefix("MONOTONIC_USEC=").isdigit()
    assert systemd.next()[0] == "READY=1"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": "/no/such/socket"}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_a_service_goes_on_where_nobody_listens(environ: dict[str, str]) -> None:
    async def serve() -> str:
        async with Notifier(environ | {"WATCHDOG_USEC": "x"}).serving():
            return "served"

    assert asyncio.run(serve()) == "served"


def test_a_watchdog_for_another_process_is_not_ours(systemd: Systemd) -> None:
    environ = {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}

    async def serve() -> None:
        async with Notifier(environ).serving():
            await asyncio.sleep(0)

    asyncio.run(serve())
    assert [systemd.next()[0], systemd.next()[0]] == ["READY=1", "STOPPING=1"]
