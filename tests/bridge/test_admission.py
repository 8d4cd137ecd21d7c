"""What callers may take of the bridge: who costs what before it is known who asks, and who keeps others waiting."""

import asyncio
import contextlib
import itertools
import json
import socket
import string
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from hypothesis import given
from hypothesis import strategies as st

from bridge.admission import MAX_DEPTH, decode_body, require_modest
from bridge.fronts.answers import InPieces, in_pieces
from bridge.settings import BridgeSettings
from devstack.authority import Authority
from devstack.openbao import OpenBaoServer
from strongroom.errors import ConfigError
from strongroom.launch.bundle import MAX_REFERENCES, Entry, encode_request
from strongroom.launch.value import parse_value
from strongroom.service.settings import settings_in
from tests.bridge.conftest import PATIENT, MakeBridge
from tests.support.bridge.process import POLICY, BridgeProcess, bundle_request
from tests.support.process.waiting import wait_for

REQUEST = bundle_request(X="bao:kv/shop/db#user")
BOMB = b'{"entries":[' + b"[]," * (300_000) + b"[]]}"
OTHER = "spiffe://example.org/ns/shop/sa/other"


def memory_kib(pid: int, which: str = "VmHWM") -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{which}:"))


def shortest(count: int) -> Iterator[str]:
    """Return this many different names of three characters."""
    letters = string.ascii_letters + string.digits + "_"
    return ("".join(three) for three in itertools.islice(itertools.product(letters, repeat=3), count))


DEAREST: dict[str, Callable[[], str]] = {
    "names": lambda: '{"exclude":["' + '","'.join(shortest(170_000)) + '"]}',
    "one name again and again": lambda: '{"exclude":[' + ",".join(['"AB"'] * 200_000) + "]}",
    "members": lambda: "{" + ",".join(f'"{name}":1' for name in shortest(130_000)) + "}",
    "objects": lambda: '{"entries":[' + ",".join(['{"name":"a"}'] * 80_000) + "]}",
    "texts": lambda: (
        '{"entries":['
        + ",".join(
            f'{{"name":"{name}","parts":[' + '"a",' * 20 + '{"path":"kv/k","key":"k"}]}'
            for name in shortest(MAX_REFERENCES)
        )
        + "]}"
    ),
}


@pytest.mark.parametrize("write", DEAREST.values(), ids=DEAREST.keys())
def test_a_request_takes_no_more_memory_than_is_said_of_those_in_flight(write: Callable[[], str]) -> None:
    rule = settings_in(BridgeSettings)["max_bodies_bytes"].rule
    times = int(rule.why.partition(" times its size")[0].rpartition(" ")[2])
    body = write().encode()
    tracemalloc.start()
    try:
        with contextlib.suppress(ConfigError):
            decode_body(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 10 * len(body) < peak < times * len(body)


def test_a_crowd_of_strangers_costs_little_and_leaves_nothing_behind(make_bridge: MakeBridge) -> None:
    """600 connections that begin TLS and show no certificate; asyncio would take 0.3 MiB for each, and keep it."""
    bridge = make_bridge()
    pid = bridge.process.pid
    before = memory_kib(pid, "VmRSS")
    with contextlib.ExitStack() as stack:
        for _ in range(600):
            plain = stack.enter_context(socket.create_connection(bridge.https, 10))
            plain.sendall(b"\x16\x03\x01")  # the first bytes of a TLS record
        assert bridge.bundle(REQUEST).status == 200
        assert memory_kib(pid) - before < 600 * 160
    wait_for(lambda: memory_kib(pid, "VmRSS") - before < 30 << 10, "the memory comes back")


@pytest.mark.parametrize("url", ["/v1/bundle", "/v1/plan"])
def test_an_identity_without_any_grant_is_refused_before_its_body_is_read(
    bridge: BridgeProcess, authority: Authority, url: str
) -> None:
    nobody = authority.issue_client("nobody", identities=("spiffe://example.org/ns/evil/sa/none",))
    before = memory_kib(bridge.process.pid)
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda _: bridge.post(url, BOMB, context=bridge.context(nobody)), range(6)))
    assert {reply.status for reply in replies} == {403}
    assert "no grant names spiffe://example.org/ns/evil/sa/none" in replies[0].detail
    assert memory_kib(bridge.process.pid) - before < 16 << 10  # six connections, and none of six bodies
    (record,) = bridge.audit(replies[0].headers["X-Request-Id"])
    assert record["decision"] == "denied"
    assert record["operation"] == url.rpartition("/")[2]
    with bridge.connection(nobody) as tls:
        tls.sendall(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n" % url.encode())
        assert tls.recv(12) == b"HTTP/1.1 403"  # and nothing of the body was sent


def test_no_more_of_a_head_is_kept_than_wrappers_send(make_bridge: MakeBridge, authority: Authority) -> None:
    """aiohttp would keep 128 headers of 8 KiB, twice, until the head is complete; then it is asked who sends."""
    bridge = make_bridge()
    nobody = authority.issue_client("nobody", identities=("spiffe://example.org/ns/evil/sa/none",))
    before = memory_kib(bridge.process.pid)
    with contextlib.ExitStack() as stack:
        for _ in range(16):
            tls = stack.enter_context(bridge.connection(nobody))
            tls.sendall(b"POST /v1/bundle HTTP/1.1\r\nHost: x\r\n")
            with contextlib.suppress(OSError):
                for number in range(100):
                    tls.sendall(b"x%d: %b\r\n" % (number, 8000 * b"v"))
        assert bridge.bundle(REQUEST).status == 200
        assert memory_kib(bridge.process.pid) - before < 16 * 400


@pytest.mark.parametrize("header", [b"x: y\r\n" * 40, b"x: %b\r\n" % (1100 * b"y")], ids=["many", "a long one"])
def test_a_head_beyond_any_of_a_wrapper_is_refused(bridge: BridgeProcess, header: bytes) -> None:
    with bridge.connection() as tls:
        tls.sendall(b"POST /v1/bundle HTTP/1.1\r\nHost: x\r\n%bContent-Length: 100\r\n\r\n" % header)
        assert tls.recv(12) == b"HTTP/1.0 400"


def test_a_head_beyond_any_of_a_probe_is_refused(bridge: BridgeProcess) -> None:
    with socket.create_connection(bridge.health, 60) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n%b\r\n" % (b"x: y\r\n" * 40))
        assert plain.recv(12) == b"HTTP/1.0 400"


def test_a_request_of_more_lists_than_any_has_is_refused_unparsed(bridge: BridgeProcess) -> None:
    before = memory_kib(bridge.process.pid)
    reply = bridge.post("/v1/bundle", BOMB)
    assert reply.status == 400
    assert "lists and objects" in reply.detail
    assert memory_kib(bridge.process.pid) - before < 16 << 10


def test_a_body_that_is_announced_as_too_large_is_not_waited_for(bridge: BridgeProcess) -> None:
    with bridge.connection() as tls:
        tls.sendall(b"POST /v1/bundle HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n")
        assert tls.recv(12) == b"HTTP/1.1 413"


def test_bodies_that_come_slowly_keep_nobody_else_out(make_bridge: MakeBridge) -> None:
    """Even of the same identity: 40 bodies of which a byte has come, where 16 requests have a place."""
    bridge = make_bridge(max_requests=16, body_timeout_s=60)
    with contextlib.ExitStack() as stack:
        slow = []
        for _ in range(40):
            tls = stack.enter_context(bridge.connection())
            tls.sendall(b"POST /v1/bundle HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{")
            slow.append(tls)
        with ThreadPoolExecutor(4) as pool:
            replies = list(pool.map(lambda _: bridge.bundle(REQUEST), range(40)))
        assert {reply.status for reply in replies} == {200}
        wait_for(lambda: bridge.metric("strongroom_bridge_requests_in_flight") <= 8, "most had to yield")
        assert slow[0].recv(12) == b"HTTP/1.1 503"


def test_one_identity_does_not_get_all_places(make_bridge: MakeBridge, authority: Authority, tmp_path: Path) -> None:
    with OpenBaoServer(tmp_path / "openbao", authority) as bao:
        bao.write_token_file(tmp_path / "root")
        bao.admin.enable_kv("kv", version=2)
        bao.admin.put_v2("kv", "shop/db", {"user": "app"})
        settings = {"openbao_address": bao.address, "openbao_token_file": tmp_path / "root"}
        bridge = make_bridge(**settings, **PATIENT, max_requests=4)
        assert bridge.bundle(REQUEST).status == 200
        other = authority.issue_client("other", identities=(OTHER,))
        bao.pause()
        with ThreadPoolExecutor(4) as pool:
            waiting = [pool.submit(bridge.bundle, REQUEST) for _ in range(3)]
            wait_for(lambda: bridge.metric("strongroom_bridge_requests_in_flight") == 3, "three requests in flight")
            reply = bridge.bundle(REQUEST)
            assert reply.status == 503
            assert "of this identity, and takes 3" in reply.detail
            waiting.append(pool.submit(bridge.bundle, REQUEST, client=other))
            wait_for(lambda: bridge.metric("strongroom_bridge_requests_in_flight") == 4, "another one gets in")
            bao.resume()
            assert {future.result().status for future in waiting} == {200}


def test_the_bytes_of_all_requests_at_work_are_bounded(
    make_bridge: MakeBridge, authority: Authority, tmp_path: Path
) -> None:
    with OpenBaoServer(tmp_path / "openbao", authority) as bao:
        bao.write_token_file(tmp_path / "root")
        bao.admin.enable_kv("kv", version=2)
        bao.admin.put_v2("kv", "shop/db", {"user": "app"})
        settings = {"openbao_address": bao.address, "openbao_token_file": tmp_path / "root"}
        bridge = make_bridge(**settings, **PATIENT, max_body_bytes=100_000, max_bodies_bytes=100_000)
        assert bridge.bundle(REQUEST).status == 200
        bao.pause()
        large = bundle_request({f"X{number}": "bao:kv/shop/db#user" for number in range(800)})
        assert 40_000 < len(encode_request(large)) < 75_000
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(bridge.bundle, large)
            wait_for(lambda: bridge.metric("strongroom_bridge_requests_in_flight") == 1, "a large one is in flight")
            reply = bridge.bundle(large)
            assert reply.status == 503
            assert "bytes of requests" in reply.detail
            bao.resume()
            assert first.result().status == 200
        assert bridge.bundle(large).status == 200


def test_answers_that_are_not_read_keep_their_places(
    make_bridge: MakeBridge, bao: OpenBaoServer, authority: Authority
) -> None:
    """Their memory is in use; so who does not read comes to its share, and not to all memory and connections."""
    bao.admin.put_v2("kv", "shop/large", {"k": "x" * 900_000})
    bridge = make_bridge(max_requests=8)
    large = bundle_request({f"X{number}": "bao:kv/shop/large#k" for number in range(8)})
    body = encode_request(large)
    assert len(bridge.bundle(large).body) > 7_200_000
    before = memory_kib(bridge.process.pid)
    head = b"POST /v1/bundle HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    with contextlib.ExitStack() as stack:
        for number in range(6):
            stack.enter_context(bridge.connection()).sendall(head + body)
            wait_for(lambda: len(bridge.audit()) == (number + 2) * 8, "it is answered")  # noqa: B023 - called here
        for _ in range(20):
            reply = bridge.bundle(large)
            assert reply.status == 503
            assert "of this identity, and takes 6" in reply.detail
        assert bridge.metric("strongroom_bridge_requests_in_flight") == 6
        assert memory_kib(bridge.process.pid) - before < 6 * 12 << 10
        other = authority.issue_client("other", identities=(OTHER,))
        assert bridge.bundle(REQUEST, client=other).status == 200
    wait_for(lambda: not bridge.metric("strongroom_bridge_requests_in_flight"), "the places are free again")
    assert bridge.bundle(large).status == 200


def test_who_takes_a_large_answer_too_slowly_is_cut_off() -> None:
    size = 64 << 20  # more than the kernel has room for

    async def run() -> None:
        sent: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            response = in_pieces(web.Response(body=bytes(size)))
            assert isinstance(response, InPieces)
            sent.set_result(await response.send(request, grace_s=0.2, least_bytes_per_s=1 << 30))
            return response

        async with RawTestServer(answer) as server:
            reader, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert not await sent
            with contextlib.suppress(ConnectionError):
                assert len(await reader.read(-1)) < size
            writer.close()

    asyncio.run(run())


@pytest.mark.parametrize("url", ["/v1/bundle", "/v1/plan"])
@pytest.mark.parametrize("as_file", [False, True])
def test_a_large_secret_that_is_referred_to_again_and_again_costs_its_size_once(
    make_bridge: MakeBridge, bao: OpenBaoServer, url: str, *, as_file: bool
) -> None:
    """As many references as a request may have are 7 GB."""
    bao.admin.put_v2("kv", "shop/large", {"k": "x" * 900_000})
    bridge = make_bridge()
    before = memory_kib(bridge.process.pid)
    parts = [{"path": "kv/shop/large", "key": "k"}] * 64
    kind = {"as": "file", "decode": "base64"} if as_file else {}
    entries = [{"name": f"X{number}", "parts": parts} | kind for number in range(MAX_REFERENCES // 64)]
    reply = bridge.post(url, json.dumps({"entries": entries}, separators=(",", ":")).encode())
    assert memory_kib(bridge.process.pid) - before < 150 << 10
    if url == "/v1/plan":
        assert reply.status == 200
        return
    assert reply.status == 422
    assert "; at most" in reply.detail
    assert {record["decision"] for record in bridge.audit()} == {"withheld"}


def test_a_policy_that_names_a_caller_lets_it_in_without_a_restart(
    make_bridge: MakeBridge, authority: Authority
) -> None:
    bridge = make_bridge()
    late = authority.issue_client("late", identities=("spiffe://example.org/ns/late/sa/a",))
    assert bridge.bundle(REQUEST, client=late).status == 403
    bridge.policy_file.write_text(
        POLICY + '[[grant]]\nidentity = "spiffe://example.org/ns/late/sa/*"\npaths = ["kv/shop/db"]\n'
    )
    wait_for(lambda: bridge.bundle(REQUEST, client=late).status == 200, "the new grant counts")


names = st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.dictionaries(names, st.lists(texts, max_size=3), max_size=40), st.booleans())
def test_every_legal_request_is_modest(variables: dict[str, list[str]], escape: bool) -> None:  # noqa: FBT001
    """Texts may hold brackets, quotes and backslashes."""
    entries = [Entry(name, [*parts, *parse_value("bao:a/b#c")]) for name, parts in variables.items()]
    request = bundle_request()
    request.entries = entries
    body = encode_request(request)
    require_modest(body if escape else json.dumps(json.loads(body), ensure_ascii=False).encode())


@given(st.binary(max_size=300))
def test_whatever_is_parsed_is_no_deeper_than_a_request(body: bytes) -> None:
    body = bytes(b'[]{}",:\\ a1'[byte % 11] for byte in body)
    try:
        require_modest(body)
        document = json.loads(body)
    except (ConfigError, ValueError):
        return
    assert depth(document) <= MAX_DEPTH


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@pytest.mark.parametrize(
    "body",
    [b'"' + b'\\"' * 500_000, b'"' + b'a"' * 500_000, b"[ " * 80_000, b"\\" * 1_000_000, b'{"a":' * 80_000],
    ids=["escapes", "texts", "open", "backslashes", "deep"],
)
def test_no_body_takes_long_to_look_through(body: bytes) -> None:
    """A scan that went over the rest for each of its bytes would run into the time limit of all tests."""
    with contextlib.suppress(ConfigError):
        require_modest(body)
