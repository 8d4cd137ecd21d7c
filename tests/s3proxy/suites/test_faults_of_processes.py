"""Store, key service and proxy are killed or paused under load: what was acknowledged reads back, and nothing else.

The numbers are small here; STRONGROOM_TEST_KILLS raises them for a run by hand.
"""

import contextlib
import os
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from devstack.authority import Authority
from devstack.openbao import OpenBaoServer
from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from devstack.transit import offer_transit
from tests.s3proxy.conftest import client_of
from tests.support.process.waiting import wait_for

KILLS = int(os.environ.get("STRONGROOM_TEST_KILLS", "3"))
BUCKET = "kills"
WRITERS = 2
LEAST = 5 << 20
IDLE_S = 1.0
POLICY = '[[policy]]\nname = "main"\nkek = "transit:main"\nbuckets = ["*"]\n'
FAILED = (ClientError, BotoCoreError)


class World(NamedTuple):
    """One of each, none of which anybody else uses."""

    store: SeaweedServer
    openbao: OpenBaoServer
    proxy: ProxyProcess


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("kills")
    with (
        SeaweedServer(directory / "store") as store,
        OpenBaoServer(directory / "openbao", Authority(directory / "tls"), storage="raft") as openbao,
    ):
        openbao.admin.enable_approle()
        settings = offer_transit(openbao, directory / "login", keys=("main",)) | {
            "openbao_timeout_s": 1.0,
            "store_idle_timeout_s": IDLE_S,
            "bucket_key_ttl_s": 0,  # every object needs the key service
            "unwrap_cache_s": 0,
        }
        with ProxyProcess(directory / "proxy", store, policy=POLICY, settings=settings) as proxy:
            client = client_through(proxy)
            client.create_bucket(Bucket=BUCKET)
            client.close()
            yield World(store, openbao, proxy)
        store.kill()


def client_through(proxy: ProxyProcess) -> Any:
    return client_of(proxy.url, proxy.access_key, proxy.secret_key)


class Writer(threading.Thread):
    """Writes to names of its own, one after the other, and knows what may stand there.

    Of a write whose outcome nobody was told the store may still have the whole request, and carry it out after others.
    """

    def __init__(self, world: World, name: str, seed: int) -> None:
        super().__init__(name=name)
        self._world = world
        self._dice = random.Random(seed)  # noqa: S311 - bodies, no keys
        self._done = threading.Event()
        self.possible: dict[str, set[bytes | None]] = {}
        self._unheard: defaultdict[str, set[bytes | None]] = defaultdict(set)
        self.acknowledged = 0
        self.failed = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._done.is_set():
                # After an error with another client: a proxy that was begun again has another port.
                with contextlib.closing(client_through(self._world.proxy)) as client, contextlib.suppress(*FAILED):
                    while not self._done.is_set():
                        self._write(client)
        except BaseException as error:  # noqa: BLE001 - told by the test
            self.error = error

    def finish(self) -> None:
        self._done.set()
        self.join(60)
        assert not self.is_alive()
        assert self.error is None, self.error

    def _write(self, client: Any) -> None:
        name = {"Bucket": BUCKET, "Key": f"{self.name}-{self._dice.randrange(5)}"}
        self.possible.setdefault(name["Key"], {None})
        kind = self._dice.choices(("small", "large", "multipart"), (5, 4, 2))[0]
        body = self._dice.randbytes({"small": 100, "large": 1_500_000, "multipart": LEAST + 100}[kind])
        try:
            if kind == "multipart":
                self._upload(client, name, body)
            else:
                self._may_come(name["Key"], body)
                client.put_object(**name, Body=body)
        except FAILED:
            self.failed += 1
            raise
        self._unheard[name["Key"]].discard(body)
        self.possible[name["Key"]] = {body, *self._unheard[name["Key"]]}
        self.acknowledged += 1

    def _may_come(self, key: str, body: bytes) -> None:
        self._unheard[key].add(body)
        self.possible[key] = self.possible[key] | {body}

    def _upload(self, client: Any, name: dict[str, Any], body: bytes) -> None:
        upload = name | {"UploadId": client.create_multipart_upload(**name)["UploadId"]}
        parts = []
        for number, piece in enumerate((body[:LEAST], body[LEAST:]), start=1):
            parts.append(
                {"PartNumber": number, "ETag": client.upload_part(**upload, PartNumber=number, Body=piece)["ETag"]}
            )
        self._may_come(name["Key"], body)  # nothing before may make it appear
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


Felt = Callable[[], None]
"""Waits until a write has failed, and the fault was felt."""


def kill_proxy(world: World, felt: Felt) -> None:
    world.proxy.process.kill()
    world.proxy.process.wait()
    felt()
    world.proxy.restart()


def kill_store(world: World, felt: Felt) -> None:
    world.store.kill()
    felt()
    world.store.restart()


def pause_store(world: World, felt: Felt) -> None:
    world.store.pause()
    felt()
    world.store.resume()


def kill_key_service(world: World, felt: Felt) -> None:
    world.openbao.kill()
    felt()
    world.openbao.restart()


def pause_key_service(world: World, felt: Felt) -> None:
    world.openbao.pause()
    felt()
    world.openbao.resume()


FAULTS: list[Callable[[World, Felt], None]] = [kill_proxy, kill_store, pause_store, kill_key_service, pause_key_service]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.__name__))
def test_what_was_acknowledged_reads_back(world: World, fault: Callable[[World, Felt], None]) -> None:
    dice = random.Random(FAULTS.index(fault))  # noqa: S311 - moments, no keys
    writers = [Writer(world, f"{fault.__name__}-{number}", number) for number in range(WRITERS)]

    def some_writes() -> None:
        goal = sum(writer.acknowledged for writer in writers) + WRITERS
        wait_for(lambda: sum(writer.acknowledged for writer in writers) >= goal, "some writes", timeout_s=60)

    def felt() -> None:
        before = sum(writer.failed for writer in writers)
        wait_for(lambda: sum(writer.failed for writer in writers) > before, "the fault to be felt", timeout_s=60)

    for writer in writers:
        writer.start()
    try:
        for _ in range(KILLS if fault is kill_proxy else max(1, KILLS // 2)):
            some_writes()
            time.sleep(dice.uniform(0, 0.2))  # the moment, not a wait for a condition
            fault(world, felt)
        some_writes()  # after the last fault
    finally:
        for writer in writers:
            writer.finish()
    possible = {key: bodies for writer in writers for key, bodies in writer.possible.items()}
    with contextlib.closing(client_through(world.proxy)) as client:
        _require_possible(client, possible, f"{fault.__name__}-")
        _require_no_orphans(client, world)


def _require_possible(client: Any, possible: dict[str, set[bytes | None]], prefix: str) -> None:
    listed = {
        item["Key"]: item["Size"] for item in client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    }
    for key, bodies in possible.items():
        found: bytes | None = None
        if key in listed:
            found = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        assert found in bodies, f"{key}: not what may stand there"
        assert listed.pop(key, None) == (None if found is None else len(found))
    assert not listed, "objects that nobody wrote"


def _require_no_orphans(client: Any, world: World) -> None:
    """Abort what was left open; then nothing is left but objects, keyring, and what a lifecycle rule expires."""
    for upload in client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
        client.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
    with contextlib.closing(client_of(world.store.address, world.store.access_key, world.store.secret_key)) as bare:
        assert "Uploads" not in bare.list_multipart_uploads(Bucket=BUCKET)
        own = bare.list_objects_v2(Bucket="strongroom-system").get("Contents", [])
        assert {item["Key"].partition("/")[0] for item in own} <= {"keyring", "uploads"}
