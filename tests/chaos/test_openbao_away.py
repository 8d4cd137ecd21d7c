"""OpenBao away for real seconds, at the default settings: what was in use is read and written by every process.

By hand for twenty minutes: STRONGROOM_OUTAGE_SECONDS=1200 pytest -s --timeout 3000 tests/chaos/test_openbao_away.py
"""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from devstack.authority import Authority
from devstack.openbao import OpenBaoServer
from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from devstack.transit import offer_transit
from tests.s3proxy.conftest import client_of
from tests.support.process.waiting import wait_for

pytestmark = pytest.mark.early

OUTAGE_S = float(os.environ.get("STRONGROOM_OUTAGE_SECONDS", "5"))
POLICY = '[[policy]]\nname = "main"\nkek = "transit:main"\nbuckets = ["*"]\n'
REQUESTS = 24  # on connections of their own, so that each of four processes gets some


class World(NamedTuple):
    """The servers."""

    openbao: OpenBaoServer
    store: SeaweedServer
    login: dict[str, object]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("away")
    with (
        OpenBaoServer(directory / "openbao", Authority(directory / "tls"), storage="raft") as openbao,
        SeaweedServer(directory / "store") as store,
    ):
        openbao.admin.enable_approle()
        yield World(openbao, store, offer_transit(openbao, directory / "login", keys=("main",)))


def health(proxy: ProxyProcess, path: str) -> tuple[int, str]:
    with contextlib.closing(HTTPConnection(proxy.health_address, timeout=30)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def held(proxy: ProxyProcess) -> int:
    """Return how many keys the process has that has the fewest."""
    found = re.search(
        r"^strongroom_s3proxy_bucket_keys_held(?:\{.*\})? (\S+)$", health(proxy, "/metrics")[1], re.MULTILINE
    )
    return round(float(found[1])) if found else 0


def serve(proxy: ProxyProcess, bucket: str, *, write: str) -> None:
    """Read and write on new connections."""
    for number in range(REQUESTS):
        with contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3:
            assert s3.get_object(Bucket=bucket, Key="before")["Body"].read() == b"before"
            s3.put_object(Bucket=bucket, Key=f"{write}/{number}", Body=write.encode())


@pytest.mark.parametrize("processes", [1, 4])
@pytest.mark.timeout(OUTAGE_S * 2 + 240)
def test_an_outage_is_bridged_by_every_process(world: World, tmp_path: Path, processes: int) -> None:
    bucket = f"away-{processes}"
    settings: dict[str, Any] = world.login | {"processes": processes, "system_bucket": f"system-{bucket}"}
    with ProxyProcess(tmp_path, world.store, policy=POLICY, settings=settings) as proxy:
        with contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3:
            s3.create_bucket(Bucket=bucket)
            s3.put_object(Bucket=bucket, Key="before", Body=b"before")
        wait_for(lambda: held(proxy) >= 1, "every process to have the key that one has made", timeout_s=60)
        world.openbao.kill()
        try:
            begin = time.monotonic()
            while True:
                serve(proxy, bucket, write="during")
                status, told = health(proxy, "/readyz")
                assert status == 200, told
                assert "keys in use serve for" in told
                gone_s = time.monotonic() - begin
                print(f"{processes} processes, {gone_s:.0f} s without OpenBao: {told}")
                if gone_s >= OUTAGE_S:
                    break
                time.sleep(min(10.0, OUTAGE_S - gone_s))  # the outage is what is waited for
        finally:
            world.openbao.restart()
        wait_for(lambda: '"vital"' not in health(proxy, "/readyz")[1], "the proxy to be well again", timeout_s=60)
        serve(proxy, bucket, write="after")
