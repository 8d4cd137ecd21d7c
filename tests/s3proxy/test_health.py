"""What /metrics and /readyz tell, of a proxy with a KMS, one operation at a time."""

import contextlib
import http.client
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from devstack.authority import Authority
from devstack.openbao import OpenBaoServer
from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from devstack.transit import offer_transit
from tests.s3proxy.conftest import client_of
from tests.support.process.waiting import wait_for

POLICY = '[[policy]]\nname = "main"\nkek = "transit:main"\nbuckets = ["*"]\n'


class World(NamedTuple):
    """A proxy of these tests' own, and its client."""

    proxy: ProxyProcess
    s3: Any


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("health")
    with (
        OpenBaoServer(directory / "openbao", Authority(directory / "tls")) as openbao,
        SeaweedServer(directory / "store") as store,
    ):
        openbao.admin.enable_approle()
        login = offer_transit(openbao, directory / "login", keys=("main",)) | {"reload_interval_s": 0.05}
        with (
            ProxyProcess(directory / "proxy", store, policy=POLICY, settings=login) as proxy,
            contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3,
        ):
            s3.create_bucket(Bucket="health")
            yield World(proxy, s3)


def get(world: World, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(world.proxy.health_address, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def sample(world: World, name: str) -> float:
    found = re.search(rf"^strongroom_s3proxy_{re.escape(name)} (\S+)$", get(world, "/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_requests_bytes_keys_and_calls_of_the_kms_are_counted(world: World) -> None:
    body = bytes(100_000)
    for number in range(3):
        world.s3.put_object(Bucket="health", Key=str(number), Body=body)
    world.s3.get_object(Bucket="health", Key="0")["Body"].read()
    wait_for(lambda: sample(world, 'request_seconds_count{operation="GetObject",status="200"}') == 1, "the GET")
    assert sample(world, 'request_seconds_count{operation="PutObject",status="200"}') == 3
    assert sample(world, 'body_bytes_total{direction="in",operation="PutObject"}') == 300_000
    assert sample(world, 'body_bytes_total{direction="out",operation="GetObject"}') == 100_000
    assert sample(world, 'bucket_keys_total{result="miss"}') == 1
    assert sample(world, 'bucket_keys_total{result="hit"}') == 3
    # One for the bucket key, and those that try the key of the policy, at the start and every half a minute.
    assert sample(world, 'kms_seconds_count{operation="wrap",outcome="200"}') >= 2
    assert 0 < sample(world, "openbao_token_ttl_seconds") <= 3600
    total = sample(world, 'request_seconds_sum{operation="PutObject",status="200"}')
    assert 0 < sample(world, 'own_seconds_sum{operation="PutObject"}') < total


def test_a_missing_object_is_no_damage(world: World) -> None:
    with pytest.raises(world.s3.exceptions.ClientError):
        world.s3.get_object(Bucket="health", Key="missing")
    wait_for(
        lambda: sample(world, 'request_seconds_count{operation="GetObject",status="404"}') == 1, "it to be counted"
    )
    assert "strongroom_s3proxy_refused_objects_total{" not in get(world, "/metrics")[1]


def test_no_label_holds_what_a_client_made_up(world: World) -> None:
    world.s3.put_object(Bucket="health", Key="needle-in-the-name", Body=b"x")
    with contextlib.suppress(world.s3.exceptions.ClientError):
        world.s3.head_bucket(Bucket="needle-in-the-bucket")
    assert "needle" not in get(world, "/metrics")[1]


def test_every_part_is_told(world: World) -> None:
    wait_for(lambda: get(world, "/readyz")[0] == 200, "it to be ready, in which store and KMS may be slow")
    state = json.loads(get(world, "/readyz")[1])
    parts = {
        "store",
        "kms",
        "capabilities",
        "access_log",
        "policy",
        "policy main",
        "credentials",
        "store_credentials",
        "tls",
    }
    assert set(state) == parts | {"ready"}
    assert all(state[name]["ok"] for name in parts)
    assert get(world, "/healthz")[0] == 200
