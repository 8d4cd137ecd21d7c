"""OpenBao sealed, stopped, killed, restarted; tokens revoked and expired. Never a hang, always a reason."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devstack.authority import Authority
from devstack.openbao import OpenBaoServer
from tests.bridge.conftest import PATIENT, MakeBridge
from tests.support.bridge.process import BridgeProcess, bundle_request
from tests.support.process.waiting import wait_for

REQUEST = bundle_request(X="bao:kv/shop/db#user")
ALL_RULES = 'path "kv/*" { capabilities = ["read"] }'


@pytest.fixture
def own_bao(authority: Authority, tmp_path: Path) -> Iterator[OpenBaoServer]:
    """An OpenBao that the test may harm."""
    yield from serve(tmp_path, authority, "inmem")


@pytest.fixture
def durable_bao(authority: Authority, tmp_path: Path) -> Iterator[OpenBaoServer]:
    """An OpenBao that keeps its data when it is killed."""
    yield from serve(tmp_path, authority, "raft")


def serve(directory: Path, authority: Authority, storage: str) -> Iterator[OpenBaoServer]:
    with OpenBaoServer(directory / "openbao", authority, storage=storage, audit=True) as server:
        server.admin.enable_kv("kv", version=2)
        server.admin.put_v2("kv", "shop/db", {"user": "app"})
        server.admin.write_policy("all", ALL_RULES)
        server.write_token_file(directory / "root")
        yield server


def heals(bridge: BridgeProcess) -> None:
    wait_for(lambda: bridge.bundle(REQUEST).status == 200, "the bridge serves again")


def test_sealed_and_unsealed(own_bao: OpenBaoServer, make_bridge: MakeBridge, tmp_path: Path) -> None:
    own_bridge = make_bridge(openbao_address=own_bao.address, openbao_token_file=tmp_path / "root")
    assert own_bridge.bundle(REQUEST).values == {"X": "app"}
    wait_for(lambda: own_bridge.look("/readyz").status == 200, "it is ready")
    own_bao.admin.seal()
    reply = own_bridge.bundle(REQUEST)
    assert (reply.status, reply.headers["Retry-After"]) == (503, "5")
    assert "OpenBao is sealed" in reply.detail
    assert [record["decision"] for record in own_bridge.audit(reply.headers["X-Request-Id"])] == ["unavailable"]
    wait_for(lambda: own_bridge.look("/readyz").status == 503, "readyz sees it")
    parts = own_bridge.look("/readyz").document
    assert parts["openbao"] == {"ok": False, "detail": "OpenBao is sealed or starting"}
    assert parts["audit"] == {"ok": True, "detail": ""}
    assert own_bridge.look("/healthz").status == 200
    own_bao.unseal()
    heals(own_bridge)


def test_stopped_in_its_tracks(own_bao: OpenBaoServer, make_bridge: MakeBridge, tmp_path: Path) -> None:
    own_bridge = make_bridge(
        openbao_address=own_bao.address,
        openbao_token_file=tmp_path / "root",
        openbao_connect_timeout_s=0.5,
        openbao_read_timeout_s=0.5,
        request_timeout_s=0.6,
    )
    heals(own_bridge)
    own_bao.pause()
    reply = own_bridge.bundle(REQUEST)
    assert reply.status == 503
    told = re.search(r"(?:did not answer within|took longer than) ([0-9.]+) s", reply.detail)
    assert told is not None, reply.detail
    assert 0.5 <= float(told[1]) < 5  # what is set; by default it is 5 and 8
    assert own_bridge.look("/healthz").status == 200
    own_bao.resume()
    heals(own_bridge)


def test_killed_while_a_request_is_at_work_and_restarted(
    durable_bao: OpenBaoServer, make_bridge: MakeBridge, tmp_path: Path
) -> None:
    bridge = make_bridge(openbao_address=durable_bao.address, openbao_token_file=tmp_path / "root", **PATIENT)
    assert bridge.bundle(REQUEST).status == 200
    durable_bao.pause()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(bridge.bundle, REQUEST)
        wait_for(lambda: bridge.metric("strongroom_bridge_requests_in_flight") == 1, "the request is in flight")
        durable_bao.kill()
        reply = waiting.result()  # in time for the client, which waits for a third of the whole deadline
    assert (reply.status, "cannot be reached" in reply.detail) == (503, True)
    assert "Retry-After" in reply.headers
    durable_bao.restart()
    heals(bridge)


def test_a_bridge_starts_before_its_openbao(
    durable_bao: OpenBaoServer, make_bridge: MakeBridge, tmp_path: Path
) -> None:
    durable_bao.kill()
    bridge = make_bridge(openbao_address=durable_bao.address, openbao_token_file=tmp_path / "root")
    assert bridge.bundle(REQUEST).status == 503
    assert bridge.look("/readyz").status == 503
    durable_bao.restart()
    heals(bridge)
    wait_for(lambda: bridge.look("/readyz").status == 200, "it is ready")


def test_a_revoked_token_is_replaced_by_the_next_approle_login(
    own_bao: OpenBaoServer, make_bridge: MakeBridge, tmp_path: Path
) -> None:
    own_bao.admin.enable_approle()
    role_id, secret_id = own_bao.admin.create_role("bridge", policies=["all"], ttl="1h")
    (tmp_path / "role").write_text(role_id)
    (tmp_path / "secret").write_text(secret_id)
    bridge = make_bridge(
        openbao_address=own_bao.address,
        openbao_role_id_file=tmp_path / "role",
        openbao_secret_id_file=tmp_path / "secret",
    )
    assert bridge.bundle(REQUEST).status == 200
    assert 3000 < bridge.metric("strongroom_bridge_openbao_token_ttl_seconds") <= 3600
    accessors = own_bao.admin.call("LIST", "auth/token/accessors")["data"]
    assert isinstance(accessors, dict)
    assert len(accessors["keys"]) == 2  # the root's and the bridge's
    for accessor in accessors["keys"]:
        token = own_bao.admin.call("POST", "auth/token/lookup-accessor", {"accessor": accessor})["data"]
        assert isinstance(token, dict)
        if token["policies"] != ["root"]:
            own_bao.admin.call("POST", "auth/token/revoke-accessor", {"accessor": accessor})
    assert bridge.bundle(REQUEST).status == 200
    assert len(bridge.events("logged_in")) == 2
    assert bridge.events("token_dead")
    assert bridge.stop() == 0
    left = own_bao.admin.call("LIST", "auth/token/accessors")["data"]
    assert isinstance(left, dict)
    assert len(left["keys"]) == 1  # the bridge has given its token back


def test_a_revoked_token_of_a_file_is_replaced_by_a_new_file(
    own_bao: OpenBaoServer, make_bridge: MakeBridge, tmp_path: Path
) -> None:
    first = own_bao.admin.create_token(policies=["all"], ttl="1h")
    (tmp_path / "token").write_text(first)
    bridge = make_bridge(openbao_address=own_bao.address, openbao_token_file=tmp_path / "token")
    assert bridge.bundle(REQUEST).status == 200
    own_bao.admin.revoke_token(first)
    reply = bridge.bundle(REQUEST)
    assert reply.status == 503
    assert "does not accept the token in" in reply.detail
    (tmp_path / "token").write_text(own_bao.admin.create_token(policies=["all"], ttl="1h"))
    heals(bridge)


def test_a_short_token_is_renewed_in_time(own_bao: OpenBaoServer, make_bridge: MakeBridge, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(own_bao.admin.create_token(policies=["all"], ttl="12s"))
    bridge = make_bridge(openbao_address=own_bao.address, openbao_token_file=tmp_path / "token")
    wait_for(lambda: bridge.events("token_renewed"), "a renewal")
    assert bridge.bundle(REQUEST).status == 200


def test_20_launches_at_once_cost_openbao_one_read(
    own_bao: OpenBaoServer, make_bridge: MakeBridge, tmp_path: Path
) -> None:
    bridge = make_bridge(openbao_address=own_bao.address, openbao_token_file=tmp_path / "root", **PATIENT)
    assert bridge.bundle(REQUEST).status == 200
    before = reads_of_db(own_bao)
    own_bao.pause()
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(bridge.bundle, REQUEST) for _ in range(20)]
        wait_for(lambda: bridge.metric("strongroom_bridge_coalesced_reads_total") == 19, "19 have joined the first")
        own_bao.resume()
        assert all(future.result().values == {"X": "app"} for future in waiting)
    assert reads_of_db(own_bao) - before == 1


def reads_of_db(bao: OpenBaoServer) -> int:
    entries = (json.loads(line) for line in bao.audit_file.read_text().splitlines())
    return sum(entry["type"] == "response" and entry["request"]["path"] == "kv/data/shop/db" for entry in entries)


def test_a_login_that_is_dead_is_not_ready_and_a_new_secret_id_heals_it(
    own_bao: OpenBaoServer, make_bridge: MakeBridge, tmp_path: Path
) -> None:
    """Before any request meets it; and the wrong secret id locks nobody out."""
    admin = own_bao.admin
    admin.enable_approle()
    role_id, secret_id = admin.create_role("own", policies=["all"], ttl="1h")
    (tmp_path / "role-id").write_text(role_id)
    (tmp_path / "secret-id").write_text(secret_id)
    bridge = make_bridge(
        openbao_address=own_bao.address,
        openbao_role_id_file=tmp_path / "role-id",
        openbao_secret_id_file=tmp_path / "secret-id",
    )
    wait_for(lambda: bridge.look("/readyz").status == 200, "it is ready")
    admin.call("POST", "auth/approle/role/own/secret-id/destroy", {"secret_id": secret_id})
    admin.call("POST", "sys/leases/revoke-prefix/auth/approle/login")
    wait_for(lambda: bridge.look("/readyz").status == 503, "readyz sees it")
    told = bridge.look("/readyz").document["openbao"]
    assert isinstance(told, dict)
    assert not told["ok"]
    assert "OpenBao refuses the AppRole login" in told["detail"]
    for _ in range(6):
        assert bridge.bundle(REQUEST).status == 503
    data = admin.call("GET", "sys/locked-users")["data"]
    assert isinstance(data, dict)
    assert int(data["total"]) == 0

    fresh = admin.call("POST", "auth/approle/role/own/secret-id")["data"]
    assert isinstance(fresh, dict)
    (tmp_path / "secret-id").write_text(str(fresh["secret_id"]))
    wait_for(lambda: bridge.look("/readyz").status == 200, "the new secret id is taken up")
    assert bridge.bundle(REQUEST).values == {"X": "app"}
