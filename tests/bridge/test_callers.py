"""Who is let in: certificates, identities, TLS versions, and slow or many callers."""

import datetime as dt
import http.client
import json
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devstack.authority import Authority
from devstack.openbao import OpenBaoServer
from strongroom.launch.bundle import encode_request
from tests.bridge.conftest import PATIENT, MakeBridge
from tests.support.bridge.process import SHOP, BridgeProcess, bundle_request
from tests.support.process.waiting import wait_for
from tests.support.tls.silence import wait_for_the_end

PLAN = b"POST /v1/plan HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
REQUEST = bundle_request(X="bao:kv/shop/db#user")
REFUSED = (ssl.SSLError, ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected)


def send(bridge: BridgeProcess, context: ssl.SSLContext) -> int:
    return bridge.post("/v1/bundle", encode_request(REQUEST), context=context).status


def test_an_expired_certificate_is_refused(bridge: BridgeProcess, authority: Authority) -> None:
    now = dt.datetime.now(dt.UTC)
    files = authority.issue_client(
        "expired", identities=(SHOP,), not_before=now - dt.timedelta(days=2), not_after=now - dt.timedelta(days=1)
    )
    with pytest.raises(REFUSED):
        send(bridge, bridge.context(files))


def test_a_certificate_of_another_authority_is_refused(bridge: BridgeProcess, tmp_path: Path) -> None:
    files = Authority(tmp_path).issue_client("stranger", identities=(SHOP,))
    with pytest.raises(REFUSED):
        send(bridge, bridge.context(files))


def test_a_server_certificate_is_no_client_certificate(bridge: BridgeProcess) -> None:
    with pytest.raises(REFUSED):
        send(bridge, bridge.context(bridge.server_files))


def test_no_certificate_is_refused(bridge: BridgeProcess) -> None:
    context = ssl.create_default_context(cafile=str(bridge.authority.ca_file))
    with pytest.raises(REFUSED):
        send(bridge, context)


def test_tls_1_2_is_refused(bridge: BridgeProcess) -> None:
    context = bridge.context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(REFUSED):
        send(bridge, context)


def test_a_client_refuses_a_bridge_of_another_authority(bridge: BridgeProcess, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        send(bridge, bridge.context(ca_file=Authority(tmp_path).ca_file))


@pytest.mark.parametrize(
    ("identities", "detail"),
    [
        ((), "the client certificate has 0 URI names"),
        ((SHOP, "spiffe://example.org/ns/other/sa/api"), "the client certificate has 2 URI names"),
        (("https://example.org/ns/shop/sa/api",), "is not a SPIFFE identity"),
        (("spiffe://example.org/ns/other/sa/api",), "no grant names spiffe://example.org/ns/other/sa/api"),
    ],
)
def test_an_identity_that_does_not_count_is_denied(
    bridge: BridgeProcess, authority: Authority, identities: tuple[str, ...], detail: str
) -> None:
    files = authority.issue_client("odd", identities=identities)
    reply = bridge.bundle(REQUEST, client=files)
    assert reply.status == 403
    assert detail in reply.detail


def test_no_session_can_be_resumed(bridge: BridgeProcess) -> None:
    """A resumed session would carry an identity over that may have been taken away."""
    with bridge.connection() as tls:
        body = encode_request(REQUEST)
        tls.sendall(b"POST /v1/bundle HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        assert tls.recv(12) == b"HTTP/1.1 200"
        assert tls.session is None or not tls.session.has_ticket


def test_100_launches_at_once_are_served(bridge: BridgeProcess) -> None:
    request = bundle_request(A="bao:kv/shop/db#password", B="bao:old/shop/db#password", C="bao:kv/shop/db#user#1")
    with ThreadPoolExecutor(100) as pool:
        replies = list(pool.map(lambda _: bridge.bundle(request), range(100)))
    assert all(reply.values == {"A": "second", "B": "from-v1", "C": "app"} for reply in replies)
    ids = {reply.headers["X-Request-Id"] for reply in replies}
    assert len(ids) == 100
    assert sum(record["request_id"] in ids for record in bridge.audit()) == 300


def test_callers_beyond_the_limit_are_told_to_come_back(
    make_bridge: MakeBridge, authority: Authority, tmp_path: Path
) -> None:
    with OpenBaoServer(tmp_path / "openbao", authority) as bao:
        bao.write_token_file(tmp_path / "root")
        bao.admin.enable_kv("kv", version=2)
        bao.admin.put_v2("kv", "shop/db", {"user": "app"})
        settings = {"openbao_address": bao.address, "openbao_token_file": tmp_path / "root"}
        bridge = make_bridge(**settings, **PATIENT, max_requests=2, retry_after_s=7)
        assert bridge.bundle(REQUEST).status == 200
        other = authority.issue_client("other", identities=("spiffe://example.org/ns/shop/sa/other",))
        bao.pause()
        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(bridge.bundle, REQUEST, client=client) for client in (None, other)]
            wait_for(lambda: bridge.metric("strongroom_bridge_requests_in_flight") == 2, "two requests in flight")
            reply = bridge.bundle(REQUEST)
            assert (reply.status, reply.headers["Retry-After"]) == (503, "7")
            assert "at work on 2 requests" in reply.detail
            bao.resume()
            assert [future.result().status for future in waiting] == [200, 200]


def test_large_bodies_and_slow_bodies_are_cut_off(make_bridge: MakeBridge) -> None:
    bridge = make_bridge(max_body_bytes=2000, body_timeout_s=0.2)
    reply = bridge.post("/v1/bundle", b" " * 2001)
    assert (reply.status, reply.document["title"]) == (413, "Content Too Large")

    with bridge.connection() as tls:
        tls.sendall(b"POST /v1/bundle HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        answer = tls.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_handshake_that_never_begins_is_cut_off(make_bridge: MakeBridge) -> None:
    bridge = make_bridge(handshake_timeout_s=0.2)
    with socket.create_connection(bridge.https, 30) as plain:
        assert plain.recv(1) == b""


def test_a_head_that_never_ends_is_cut_off(make_bridge: MakeBridge) -> None:
    bridge = make_bridge(keepalive_timeout_s=0.4)
    with bridge.connection() as tls:
        tls.sendall(b"POST /v1/bundle HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert tls.recv(1) == b""


def test_an_answer_larger_than_a_region_may_be_is_refused(make_bridge: MakeBridge, bao: OpenBaoServer) -> None:
    bao.admin.put_v2("kv", "shop/wide", {"k": "x" * 5000})
    bridge = make_bridge(max_region_bytes=4096)
    reply = bridge.bundle(bundle_request(X="bao:kv/shop/wide#k"))
    assert reply.status == 422
    assert "at most 4096 are delivered" in reply.detail
    assert [record["decision"] for record in bridge.audit()] == ["withheld"]


def test_a_caller_that_leaves_does_no_harm(bridge: BridgeProcess) -> None:
    body = encode_request(REQUEST)
    for cut in (0, 10, len(body) - 1, len(body)):
        with bridge.connection() as tls:
            head = b"POST /v1/bundle HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
            tls.sendall(head + body[:cut])
    wait_for(lambda: bridge.metric("strongroom_bridge_requests_in_flight") == 0, "no request left over")
    assert bridge.bundle(REQUEST).status == 200
    assert not bridge.events("request_crashed")


def test_one_connection_may_ask_twice(bridge: BridgeProcess) -> None:
    host, port = bridge.https
    connection = http.client.HTTPSConnection(host, port, context=bridge.context(), timeout=60)
    for _ in range(2):
        connection.request("POST", "/v1/plan", encode_request(REQUEST))
        assert json.loads(connection.getresponse().read())["identity"] == SHOP
    connection.close()


@pytest.mark.parametrize("sent", [b"", b"POST /v1/plan HT", PLAN], ids=["nothing", "half a head", "a whole request"])
def test_a_client_that_falls_silent_after_the_handshake_is_gone_at_the_deadline(
    make_bridge: MakeBridge, sent: bytes
) -> None:
    """It takes no part in the end of TLS either, for which asyncio would wait another 30 s."""
    bridge = make_bridge(handshake_timeout_s=10, keepalive_timeout_s=2)
    with bridge.connection() as tls:
        tls.sendall(sent)
        if sent == PLAN:
            assert tls.recv(12) == b"HTTP/1.1 200"
        wait_for_the_end(tls)
    assert bridge.bundle(REQUEST).status == 200
