"""OpenBao stopped, killed or sealed under a running proxy: cached keys serve on, others answer 503, and it heals."""

import contextlib
import http.client
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError

from devstack.authority import Authority
from devstack.openbao import OpenBaoServer
from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from devstack.transit import offer_transit
from tests.s3proxy.conftest import client_of
from tests.support.process.waiting import wait_for

POLICY = '[[policy]]\nname = "outage"\nkek = "transit:main"\nbuckets = ["*"]\n'
SYSTEM = {"system_bucket": "system-outage"}  # policies of other tests in front of this store have other keys
NO_CACHE = {"bucket_key_ttl_s": 0, "unwrap_cache_s": 0}


class World(NamedTuple):
    """OpenBao, and two proxies that use it: one keeps bucket keys, one asks for each object."""

    openbao: OpenBaoServer
    warm: Any
    cold: Any
    cold_health: str
    directory: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("outage")
    with OpenBaoServer(directory / "openbao", Authority(directory / "tls"), storage="raft") as openbao:
        openbao.admin.enable_approle()
        login = offer_transit(openbao, directory / "login", keys=("main",)) | SYSTEM | {"openbao_timeout_s": 3.0}
        with (
            ProxyProcess(directory / "warm", store, policy=POLICY, settings=login) as warm,
            ProxyProcess(directory / "cold", store, policy=POLICY, settings=login | NO_CACHE) as cold,
            contextlib.ExitStack() as closing,
        ):
            clients = [
                closing.enter_context(contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)))
                for proxy in (warm, cold)
            ]
            clients[0].create_bucket(Bucket="outage")
            clients[0].put_object(Bucket="outage", Key="before", Body=b"before")
            yield World(openbao, clients[0], clients[1], cold.health_address, directory)


def stop(openbao: OpenBaoServer) -> Callable[[], None]:
    openbao.pause()
    return openbao.resume


def kill(openbao: OpenBaoServer) -> Callable[[], None]:
    openbao.kill()
    return openbao.restart


def seal(openbao: OpenBaoServer) -> Callable[[], None]:
    openbao.admin.seal()
    return openbao.unseal


def state_of(address: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        document: dict[str, Any] = json.loads(response.read())
    finally:
        connection.close()
    return response.status, document


def refused(request: Callable[[], object]) -> ClientError:
    with pytest.raises(ClientError) as caught:
        request()
    return caught.value


@pytest.mark.parametrize("outage", [stop, kill, seal])
def test_keys_in_the_cache_outlive_an_outage_and_others_are_told_to_come_again(
    world: World, outage: Callable[[OpenBaoServer], Callable[[], None]]
) -> None:
    assert world.cold.get_object(Bucket="outage", Key="before")["Body"].read() == b"before"
    heal = outage(world.openbao)
    try:
        world.warm.put_object(Bucket="outage", Key="during", Body=b"during")
        assert world.warm.get_object(Bucket="outage", Key="during")["Body"].read() == b"during"
        assert world.warm.get_object(Bucket="outage", Key="before")["Body"].read() == b"before"
        for request in (
            lambda: world.cold.get_object(Bucket="outage", Key="before"),
            lambda: world.cold.put_object(Bucket="outage", Key="not", Body=b"not"),
            lambda: world.cold.put_object(Bucket="outage", Key="not", Body=bytes(2 << 20)),
        ):
            answer = refused(request).response
            assert answer["Error"]["Code"] == "ServiceUnavailable"  # an outage is not load, and SDKs come again
            assert answer["ResponseMetadata"]["HTTPStatusCode"] == 503
            assert int(answer["ResponseMetadata"]["HTTPHeaders"]["retry-after"]) >= 1
        wait_for(lambda: state_of(world.cold_health)[0] == 503, "the proxy to be unready")
        _, document = state_of(world.cold_health)
        assert (document["store"]["ok"], document["kms"]["ok"]) == (True, False)
        assert "OpenBao" in document["kms"]["detail"]
    finally:
        heal()
    wait_for(lambda: state_of(world.cold_health)[0] == 200, "the proxy to be ready again")
    assert world.cold.get_object(Bucket="outage", Key="during")["Body"].read() == b"during"
    assert refused(lambda: world.cold.head_object(Bucket="outage", Key="not")).response["Error"]["Code"] == "404"


def test_a_revoked_token_costs_no_request(world: World) -> None:
    world.openbao.admin.call("POST", "sys/leases/revoke-prefix/auth/approle/login")
    assert world.cold.get_object(Bucket="outage", Key="before")["Body"].read() == b"before"
    world.openbao.admin.call("POST", "sys/leases/revoke-prefix/auth/approle/login")
    world.cold.put_object(Bucket="outage", Key="after", Body=b"after")
    assert world.cold.get_object(Bucket="outage", Key="after")["Body"].read() == b"after"


def test_no_key_and_no_token_stands_in_the_log(world: World) -> None:
    secret_id = (world.directory / "login" / "secret-id").read_text()
    for name in ("warm", "cold"):
        log = (world.directory / name / "s3proxy.log").read_text()
        assert '"logged_in"' in log
        assert secret_id not in log
        assert "vault:v" not in log
        assert re.search(r"\bs\.[A-Za-z0-9]{20,}", log) is None
