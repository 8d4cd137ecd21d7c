"""Everything dies, stops and changes under load; nothing that was acknowledged is lost, and nothing wrong is served.

Short here. By hand: STRONGROOM_CHAOS_SECONDS=1800 STRONGROOM_CHAOS_SEED=7 pytest -s tests/chaos
"""

import contextlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.model import MARK, Contest
from tests.chaos.resources import Resources
from tests.chaos.s3_client import BUCKET, S3Client, read, require_listed
from tests.chaos.world import World, chaos_world
from tests.s3proxy.conftest import S3, client_of
from tests.support.process.waiting import wait_for
from tests.support.tree import ROOT

pytestmark = pytest.mark.early

SECONDS = float(os.environ.get("STRONGROOM_CHAOS_SECONDS", "40"))
SEED = int(os.environ.get("STRONGROOM_CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 20)
CLIENTS = 6
CALM_S = 3.0
GROWTH_KIB = 150 << 10  # of a worker, with all the bodies that are on their way


@pytest.mark.timeout(SECONDS + 240)
def test_chaos_loses_nothing_and_serves_nothing_wrong(tmp_path: Path) -> None:
    print(f"\nseed {SEED}: STRONGROOM_CHAOS_SEED={SEED} repeats what happens, though not when")
    dice = random.Random(SEED)  # noqa: S311 - what happens, no keys
    with chaos_world(tmp_path, dice) as world:
        contest = Contest()
        resources = Resources(world.processes)
        clients = [
            S3Client(number, SEED, lambda: world.connect(), contest)  # noqa: PLW0108 - a proxy begun again is another
            for number in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        try:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                resources.sample()
                name = world.strike()
                print(f"{time.monotonic() - end + SECONDS:7.1f} s  {name}")
                time.sleep(dice.uniform(0.2, 1.5))  # between faults: what recovers in that time is part of the run
                dead = [client for client in clients if not client.is_alive()]
                assert not dead, [client.error for client in dead]
            world.recovered()
            _require_calm(clients)
            resources.sample()
        finally:
            for client in clients:
                client.finish()
        print(resources.table())
        _print_counts(world, clients)
        world.retire_old_versions()
        _require_state(world, clients, contest)
        _require_nothing_told(world)
        assert resources.largest_kib("supervisor") < resources.rows[0][2] + GROWTH_KIB


def _require_calm(clients: list[S3Client]) -> None:
    """Without faults nothing fails."""
    for client in clients:
        _settle(client)
    failed = {client.name: dict(client.codes) for client in clients}
    acknowledged = sum(client.counts.acknowledged for client in clients)
    time.sleep(CALM_S)  # the time that is looked at
    assert {client.name: dict(client.codes) for client in clients} == failed
    assert sum(client.counts.acknowledged for client in clients) > acknowledged


def _settle(client: S3Client) -> None:
    """Return when what was on its way as the faults ended is over."""
    settled = client.counts.acknowledged + 2
    wait_for(lambda: client.counts.acknowledged >= settled, f"{client.name} to be served again", timeout_s=60)


def _print_counts(world: World, clients: list[S3Client]) -> None:
    codes: dict[str, int] = {}
    for client in clients:
        for code, count in client.codes.items():
            codes[code] = codes.get(code, 0) + count
    acknowledged = sum(client.counts.acknowledged for client in clients)
    print(f"{acknowledged} operations acknowledged; failed: {codes}; faults: {world.done}")
    assert acknowledged > CLIENTS * 10


def _require_state(world: World, clients: list[S3Client], contest: Contest) -> None:
    with contextlib.closing(world.connect()) as s3:
        for client in clients:
            items = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{client.name}/").get("Contents", [])
            require_listed(client.model, {item["Key"]: item["Size"] for item in items})
            for key in client.model.keys():  # noqa: SIM118 - a method of the model's own
                client.model.require(key, read(s3, key))
        for key in contest.winners:
            contest.require(key, read(s3, key))
        for upload in s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
            s3.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
    with contextlib.closing(client_of(world.store.address, world.store.access_key, world.store.secret_key)) as bare:
        assert "Uploads" not in bare.list_multipart_uploads(Bucket=BUCKET)
        assert not any(MARK in read(bare, item["Key"]) for item in _listed(bare))  # type: ignore[operator]  # listed
    command = [sys.executable, "-m", "cli", "s3", "verify", "--config", str(world.proxy.config_file), BUCKET]
    verified = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def _listed(s3: S3) -> list[dict[str, Any]]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return [item for page in pages for item in page.get("Contents", [])]


def _require_nothing_told(world: World) -> None:
    log = world.proxy.log_file.read_text()
    for secret in (world.proxy.secret_key, world.store.secret_key, MARK.decode(), world.openbao.admin.token):
        assert secret not in log
    assert "Traceback" not in log
