"""How long a connection serves: no longer than its certificate, its authority, and its greatest age."""

import contextlib
import datetime as dt
import gzip
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devstack.authority import Authority, IssuedFiles
from strongroom.launch.bundle import encode_request
from tests.bridge.conftest import MakeBridge
from tests.support.bridge.process import SHOP, BridgeProcess, bundle_request
from tests.support.process.waiting import wait_for

REQUEST = bundle_request(X="bao:kv/shop/db#user")
BEGINS_S = 5.0  # a busy machine takes seconds to issue a certificate and to shake hands by it
GONE = (http.client.RemoteDisconnected, ConnectionError, ssl.SSLError, http.client.NotConnected)


class Kept:
    """A connection that is kept until the end of the test, and says when the bridge has ended it."""

    def __init__(self, bridge: BridgeProcess, client: IssuedFiles | None = None) -> None:
        context = bridge.context(client)
        self._connection = http.client.HTTPSConnection(*bridge.https, context=context, timeout=60)
        self._connection.connect()
        self._connection.auto_open = 0

    @property
    def socket(self) -> socket.socket:
        assert self._connection.sock is not None
        return self._connection.sock

    def close(self) -> None:
        self._connection.close()

    def ask(self) -> tuple[int, bytes]:
        self._connection.request("POST", "/v1/bundle", encode_request(REQUEST))
        response = self._connection.getresponse()
        return response.status, response.read()

    def statuses(self) -> Iterator[tuple[float, int]]:
        """Ask again and again, busily, until the bridge ends it; give when each was asked, and its status."""
        try:
            while True:
                asked_at = time.time()
                yield asked_at, self.ask()[0]
        except GONE:
            return

    def is_closed(self) -> bool:
        """Return whether the bridge has closed it, without asking."""
        if self._connection.sock is None:  # an answer said that it is the last
            return True
        self.socket.settimeout(0.01)
        try:
            return self.socket.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True


Keep = Callable[..., Kept]


@pytest.fixture
def keep() -> Iterator[Keep]:
    with contextlib.ExitStack() as stack:

        def make(bridge: BridgeProcess, client: IssuedFiles | None = None) -> Kept:
            kept = Kept(bridge, client)
            stack.callback(kept.close)
            return kept

        yield make


def test_a_busy_connection_ends_with_its_certificate(bridge: BridgeProcess, authority: Authority, keep: Keep) -> None:
    end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=BEGINS_S)
    files = authority.issue_client("short", identities=(SHOP,), not_after=end)
    asked = list(keep(bridge, files).statuses())
    statuses = [status for _, status in asked]
    assert statuses[:1] == [200]
    assert set(statuses) <= {200, 403}
    assert max(at for at, status in asked if status == 200) <= end.timestamp()
    assert time.time() >= int(end.timestamp())  # and not before it, which has whole seconds


def test_an_idle_connection_ends_with_its_certificate(
    make_bridge: MakeBridge, authority: Authority, keep: Keep
) -> None:
    bridge = make_bridge(keepalive_timeout_s=600, connection_age_s=600)
    end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=BEGINS_S)
    kept = keep(bridge, authority.issue_client("short-idle", identities=(SHOP,), not_after=end))
    assert kept.ask()[0] == 200
    wait_for(kept.is_closed, "the bridge closes it", timeout_s=30)  # far below keepalive_timeout_s


def test_a_request_after_the_end_of_the_certificate_is_refused(
    make_bridge: MakeBridge, authority: Authority, keep: Keep
) -> None:
    """Without a sweep that comes first, the request itself is looked at."""
    bridge = make_bridge(reload_interval_s=3600)
    end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=BEGINS_S)
    kept = keep(bridge, authority.issue_client("short-late", identities=(SHOP,), not_after=end))
    assert kept.ask()[0] == 200
    wait_for(lambda: time.time() > end.timestamp(), "the certificate ends")
    status, body = kept.ask()
    assert status == 403
    assert b"has ended since this connection began" in body
    wait_for(kept.is_closed, "it was the last answer")


def test_all_connections_end_when_the_authorities_change(
    make_bridge: MakeBridge, authority: Authority, tmp_path: Path, keep: Keep
) -> None:
    other = Authority(tmp_path / "other")
    ca_file = tmp_path / "clients.crt"
    ca_file.write_bytes(authority.ca_file.read_bytes() + other.ca_file.read_bytes())
    bridge = make_bridge(client_ca_file=f"example.org={ca_file}")
    stranger = keep(bridge, other.issue_client("stranger", identities=(SHOP,)))
    ours = keep(bridge)
    assert [stranger.ask()[0], ours.ask()[0]] == [200, 200]
    ca_file.write_bytes(authority.ca_file.read_bytes())
    wait_for(lambda: stranger.is_closed() and ours.is_closed(), "both are closed")
    assert keep(bridge).ask()[0] == 200


def test_a_request_of_an_authority_that_was_taken_away_is_refused(
    make_bridge: MakeBridge, authority: Authority, tmp_path: Path, keep: Keep
) -> None:
    """The request is under way while the file changes: its head has come, its body has not."""
    other = Authority(tmp_path / "other")
    ca_file = tmp_path / "clients.crt"
    ca_file.write_bytes(authority.ca_file.read_bytes() + other.ca_file.read_bytes())
    bridge = make_bridge(client_ca_file=f"example.org={ca_file}")
    kept = keep(bridge, other.issue_client("stranger", identities=(SHOP,)))
    body = encode_request(REQUEST)
    kept.socket.sendall(
        b"POST /v1/bundle HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % len(body)
    )  # no end of the head
    ca_file.write_bytes(authority.ca_file.read_bytes())
    wait_for(lambda: bridge.events("tls_reloaded"), "the authority counts no more")
    try:
        kept.socket.sendall(b"\r\n" + body)
        answer = kept.socket.recv(65536)
    except GONE:
        answer = b""
    assert not answer.startswith(b"HTTP/1.1 200")


def test_a_new_server_certificate_ends_no_connection(make_bridge: MakeBridge, authority: Authority, keep: Keep) -> None:
    bridge = make_bridge()
    kept = keep(bridge)
    assert kept.ask()[0] == 200
    authority.issue_server(bridge.server_files.cert.stem)
    wait_for(lambda: bridge.events("tls_reloaded"), "the new certificate is in use")
    assert kept.ask()[0] == 200


def test_a_busy_connection_has_a_greatest_age(make_bridge: MakeBridge, keep: Keep) -> None:
    bridge = make_bridge(connection_age_s=1.5)
    statuses = {status for _, status in keep(bridge).statuses()}
    assert statuses == {200}  # every answer is whole; the last one says that it is


def test_a_client_that_does_not_take_its_answer_is_cut(make_bridge: MakeBridge) -> None:
    bridge = make_bridge(connection_age_s=0.5, keepalive_timeout_s=60)
    body = encode_request(REQUEST)
    request = b"POST /v1/bundle HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.connect(bridge.https)
        with bridge.context().wrap_socket(plain, server_hostname="localhost") as tls:
            tls.settimeout(0.2)
            with contextlib.suppress(OSError):
                while True:
                    tls.sendall(request * 50)  # until nothing goes any longer
            wait_for(lambda: established(bridge) == 0, "the bridge has cut it", timeout_s=30)


def established(bridge: BridgeProcess) -> int:
    """Return how many connections to its port are open on its side."""
    port = f":{bridge.https[1]:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(port) and row[3] == "01" for row in rows)  # 01 is ESTABLISHED (net/tcp_states.h)


def test_a_partner_may_not_name_our_workloads(make_bridge: MakeBridge, authority: Authority, tmp_path: Path) -> None:
    partner = Authority(tmp_path / "partner", name="A partner's authority")
    bridge = make_bridge(client_ca_file=f"example.org={authority.ca_file},partner.example={partner.ca_file}")
    bridge.policy_file.write_text(
        bridge.policy_file.read_text()
        + '[[grant]]\nidentity = "spiffe://partner.example/api"\npaths = ["kv/shop/db"]\n'
    )
    theirs = partner.issue_client("theirs", identities=("spiffe://partner.example/api",))
    wait_for(lambda: bridge.bundle(REQUEST, client=theirs).status == 200, "the partner's own name is let in")
    reply = bridge.bundle(REQUEST, client=partner.issue_client("forged", identities=(SHOP,)))
    assert reply.status == 403
    assert f"the authority that signed the certificate of {SHOP} may not name example.org" in reply.detail
    reply = bridge.bundle(REQUEST, client=authority.issue_client("ours", identities=("spiffe://partner.example/api",)))
    assert reply.status == 403
    assert bridge.bundle(REQUEST).status == 200


def test_the_certificate_of_an_authority_is_no_workload(bridge: BridgeProcess, authority: Authority) -> None:
    """Anyone who has it could make more of them, with any name; X509-SVID, section 5.2."""
    reply = bridge.bundle(REQUEST, client=authority.issue_client("signs", identities=(SHOP,), signs=True))
    assert reply.status == 403
    assert "is that of an authority, not of a workload" in reply.detail


def test_bodies_that_come_slowly_do_not_keep_the_connections_of_others(
    make_bridge: MakeBridge, authority: Authority
) -> None:
    few = "import sys, bridge.app, bridge.main as m; bridge.app._CONNECTIONS = 16; sys.exit(m.main(sys.argv[1:]))"
    bridge = make_bridge("-c", few, body_timeout_s=300, keepalive_timeout_s=300)
    other = authority.issue_client("other", identities=("spiffe://example.org/ns/shop/sa/other",))
    with contextlib.ExitStack() as stack:
        for _ in range(16):
            slow = stack.enter_context(bridge.connection())
            slow.sendall(b"POST /v1/bundle HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx")
        assert bridge.bundle(bundle_request(A="bao:kv/shop/db#user"), client=other).status == 200
    assert bridge.bundle(bundle_request(A="bao:kv/shop/db#user")).status == 200


def test_who_sends_bodies_in_pieces_again_and_again_does_not_keep_newcomers_out(
    make_bridge: MakeBridge, authority: Authority
) -> None:
    few = "import sys, bridge.app, bridge.main as m; bridge.app._CONNECTIONS = 16; sys.exit(m.main(sys.argv[1:]))"
    bridge = make_bridge("-c", few)
    body = encode_request(REQUEST)
    head = b"POST /v1/plan HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    has_asked = threading.Barrier(16 + 1, timeout=60)
    end = threading.Event()

    def ask_on() -> None:
        with bridge.connection() as tls, contextlib.suppress(OSError, http.client.HTTPException):
            asked = 0
            while not end.is_set():
                tls.sendall(head + body[:3])
                end.wait(0.1)  # less than it takes for a place to be displaced
                tls.sendall(body[3:])
                response = http.client.HTTPResponse(tls)
                response.begin()
                response.read()
                asked += 1
                if asked == 2:
                    has_asked.wait()

    other = authority.issue_client("other", identities=("spiffe://example.org/ns/shop/sa/other",))
    with ThreadPoolExecutor(16) as threads:
        for _ in range(16):
            threads.submit(ask_on)
        try:
            has_asked.wait()
            assert bridge.bundle(REQUEST, client=other).status == 200
        finally:
            end.set()


@pytest.mark.parametrize("body", [b"not gzip", gzip.compress(b"{}")], ids=["malformed", "gzip"])
def test_a_body_that_says_that_it_is_compressed_is_not_looked_into(
    make_bridge: MakeBridge, authority: Authority, body: bytes
) -> None:
    """64 KiB of it would become 64 MiB, for anyone who has a certificate."""
    bridge = make_bridge()
    stranger = authority.issue_client("stranger", identities=("spiffe://example.org/ns/none/sa/x",))
    head = b"POST /v1/bundle HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    for client, status, said in ((None, 400, b"Content-Encoding"), (stranger, 403, b"no grant names")):
        with bridge.connection(client) as tls:
            tls.sendall(head + body)
            response = http.client.HTTPResponse(tls)
            response.begin()
            assert response.status == status
            assert said in response.read()
