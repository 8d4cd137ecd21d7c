"""What a handshake may cost, of whoever shows a certificate, or none that holds."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.authority import Authority
from strongroom.service.tls_alert import MAX_HANDSHAKE_BYTES
from strongroom.service.tls_reload import ReloadingServerContext
from strongroom.tls import client_context
from tests.bridge.conftest import MakeBridge
from tests.bridge.test_admission import memory_kib
from tests.support.bridge.process import SHOP, BridgeProcess, bundle_request
from tests.support.process.waiting import wait_for

REQUEST = bundle_request(X="bao:kv/shop/db#user")
RECORD = b"\x17\x03\x03\x40\x00" + bytes(16 << 10)
GONE = (ssl.SSLError, ConnectionError)


def context_with(authority: Authority, folder: Path, *, others: int) -> ssl.SSLContext:
    """Return the context of a workload that shows some certificates behind its own, which no chain needs."""
    files = authority.issue_client("long", identities=(SHOP,))
    more = authority.issue_client("more", identities=(SHOP,)).cert.read_bytes()
    chain = folder / "chain.crt"
    chain.write_bytes(files.cert.read_bytes() + others * more)
    return client_context(str(authority.ca_file), str(chain), str(files.key))


def test_a_chain_as_long_as_any_is_taken(bridge: BridgeProcess, authority: Authority, tmp_path: Path) -> None:
    context = context_with(authority, tmp_path, others=15)
    assert bridge.post("/v1/plan", b"{}", context=context).status == 200


def test_more_certificates_than_any_chain_has_are_refused_unparsed(
    make_bridge: MakeBridge, authority: Authority, tmp_path: Path
) -> None:
    """OpenSSL takes 100 KiB of them, and keeps objects of megabytes as long as the connection."""
    bridge = make_bridge()
    context = context_with(authority, tmp_path, others=130)
    before = memory_kib(bridge.process.pid)
    for _ in range(8):
        with pytest.raises(GONE):
            bridge.post("/v1/plan", b"{}", context=context)
    told = bridge.events("peer_certificate_refused")
    assert [f"more than {MAX_HANDSHAKE_BYTES} bytes" in str(one["reason"]) for one in told] == [True] * 8
    assert {one["peer"] for one in told} == {"127.0.0.1"}
    assert memory_kib(bridge.process.pid) - before < 2 << 10
    assert bridge.bundle(REQUEST).status == 200


def test_what_follows_a_handshake_that_failed_is_not_kept(make_bridge: MakeBridge, tmp_path: Path) -> None:
    """Its connection stays open for the alert, and a stranger's bytes were kept meanwhile."""
    bridge = make_bridge()
    stranger = Authority(tmp_path / "other").issue_client("stranger", identities=(SHOP,))
    before = memory_kib(bridge.process.pid)
    with (
        socket.create_connection(bridge.https, 60) as plain,
        bridge.context(stranger).wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        wait_for(lambda: bridge.events("peer_certificate_refused"), "the certificate is refused")
        with socket.socket(fileno=tls.detach()) as bare:
            bare.settimeout(60)
            for _ in range(4_000):
                bare.sendall(RECORD)
    assert memory_kib(bridge.process.pid) - before < 8 << 10
    assert bridge.bundle(REQUEST).status == 200


@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
def test_what_comes_with_the_end_of_a_handshake_is_read_whole(size: int, authority: Authority) -> None:
    own, files = authority.issue_server("own"), authority.issue_client("any", identities=(SHOP,))
    server = ReloadingServerContext(cert_file=own.cert, key_file=own.key, ca_file=authority.ca_file)
    client = client_context(str(authority.ca_file), str(files.cert), str(files.key))
    to_server, to_client, sent = ssl.MemoryBIO(), ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, sent, server_hostname="localhost")
    far = server.front.wrap_bio(to_server, to_client, server_side=True)
    request = bytes(range(256)) * (2 * MAX_HANDSHAKE_BYTES // 256)

    def arrive() -> Iterator[bytes]:
        while sent.pending:
            to_server.write(sent.read(size))
            with contextlib.suppress(ssl.SSLWantReadError):
                far.do_handshake()
                while True:
                    yield far.read(1 << 16)

    with contextlib.suppress(ssl.SSLWantReadError):
        near.do_handshake()
    assert b"".join(arrive()) == b""
    near.do_handshake()
    near.write(request)
    assert b"".join(arrive()) == request
