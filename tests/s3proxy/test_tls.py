"""TLS in, with a certificate that changes under way, and TLS out to the store."""

import asyncio
import contextlib
import http.client
import json
import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography import x509

from devstack.authority import Authority, IssuedFiles
from devstack.s3proxy import ProxyProcess
from devstack.seaweed import REGION, SeaweedServer
from s3proxy.s3api.signer import StoreCredential
from s3proxy.store.client import Endpoint, Store, StoreRequest
from s3proxy.store.connections import Timeouts
from strongroom.errors import UnavailableError
from strongroom.secret import Secret
from strongroom.service.following import FollowedFile
from tests.support.process.waiting import wait_for
from tests.support.tls.silence import wait_for_the_end


class Secured(NamedTuple):
    """A proxy that serves TLS, its authority, and the files of its certificate."""

    proxy: ProxyProcess
    authority: Authority
    files: IssuedFiles


@pytest.fixture
def secured(tmp_path: Path, store: SeaweedServer) -> Iterator[Secured]:
    authority = Authority(tmp_path / "tls")
    files = authority.issue_server("s3")
    settings = {"tls_cert_file": str(files.cert), "tls_key_file": str(files.key), "reload_interval_s": 0.05}
    with ProxyProcess(tmp_path / "proxy", store, settings=settings) as proxy:
        yield Secured(proxy, authority, files)


@contextlib.contextmanager
def client_of(proxy: ProxyProcess, ca_file: Path | None) -> Iterator[Any]:
    client = boto3.client(
        "s3",
        endpoint_url=proxy.url,
        aws_access_key_id=proxy.access_key,
        aws_secret_access_key=proxy.secret_key,
        region_name=REGION,
        verify=str(ca_file) if ca_file else None,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    with contextlib.closing(client):
        yield client


def shown_certificate(secured: Secured) -> int:
    """Return the serial number of the certificate that a new connection gets."""
    context = ssl.create_default_context(cafile=str(secured.authority.ca_file))
    host, _, port = secured.proxy.address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), 30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        der = connection.getpeercert(binary_form=True)
    assert der
    return x509.load_der_x509_certificate(der).serial_number


def serial_of(path: Path) -> int:
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


def readiness(proxy: ProxyProcess) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(proxy.health_address, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def test_clients_trust_the_authority_and_nobody_else(secured: Secured) -> None:
    with client_of(secured.proxy, secured.authority.ca_file) as s3:
        with contextlib.suppress(s3.exceptions.BucketAlreadyExists, s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket="tls")
        s3.put_object(Bucket="tls", Key="over", Body=b"tls")
        assert s3.get_object(Bucket="tls", Key="over")["Body"].read() == b"tls"
    with client_of(secured.proxy, None) as stranger, pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
        stranger.list_buckets()


def test_a_new_certificate_is_shown_and_established_connections_go_on(secured: Secured) -> None:
    with client_of(secured.proxy, secured.authority.ca_file) as s3:
        s3.list_buckets()
        before = shown_certificate(secured)
        fresh = secured.authority.issue_server("fresh")
        shutil.copy(fresh.key, secured.files.key)
        shutil.copy(fresh.cert, secured.files.cert)
        wait_for(lambda: shown_certificate(secured) == serial_of(fresh.cert), "the new certificate to be shown")
        assert serial_of(fresh.cert) != before
        s3.list_buckets()


def test_a_broken_certificate_leaves_the_old_one_and_is_told(secured: Secured) -> None:
    before = shown_certificate(secured)
    secured.files.cert.write_text("no certificate")
    wait_for(lambda: "is not a PEM file" in readiness(secured.proxy)[1]["tls"]["detail"], "the broken file to be told")
    status, state = readiness(secured.proxy)
    assert status == 200
    assert "no certificate" not in state["tls"]["detail"]
    assert "the certificate holds until 20" in state["tls"]["detail"]
    assert shown_certificate(secured) == before


def test_the_store_is_reached_by_tls_and_must_show_a_trusted_certificate(tmp_path: Path) -> None:
    ours, strangers = Authority(tmp_path / "ours"), Authority(tmp_path / "strangers")
    with SeaweedServer(tmp_path / "store", tls=ours.issue_server("store")) as secure:
        address = {"store_address": secure.tls_address}
        trusting = address | {"store_ca_file": str(ours.ca_file)}
        with ProxyProcess(tmp_path / "trusting", secure, settings=trusting) as proxy, client_of(proxy, None) as s3:
            s3.create_bucket(Bucket="tls")
            s3.put_object(Bucket="tls", Key="out", Body=b"sealed")
            assert s3.get_object(Bucket="tls", Key="out")["Body"].read() == b"sealed"
            assert readiness(proxy)[0] == 200
        distrusting = address | {"store_ca_file": str(strangers.ca_file)}
        with ProxyProcess(tmp_path / "distrusting", secure, settings=distrusting) as proxy:
            with client_of(proxy, None) as s3, pytest.raises(ClientError) as caught:
                s3.list_objects_v2(Bucket="tls")
            assert caught.value.response["Error"]["Code"] == "SlowDown"
            status, state = readiness(proxy)
            assert (status, state["store"]["ok"]) == (503, False)


@pytest.mark.parametrize(
    ("common_name", "hosts", "trusted"),
    [("store", ("localhost",), True), ("store", ("elsewhere.example.org",), False), ("localhost", (), False)],
    ids=["its name", "another host", "a common name only"],
)
def test_the_store_is_known_by_the_names_of_its_certificate(
    tmp_path: Path, common_name: str, hosts: tuple[str, ...], *, trusted: bool
) -> None:
    authority = Authority(tmp_path / "tls")
    files = authority.issue_server(common_name, hosts=hosts, identities=("spiffe://example.org/ns/shop/sa/api",))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files.cert, files.key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def ask() -> int:
        async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls) as server:
            endpoint = Endpoint(
                address=f"https://localhost:{server.sockets[0].getsockname()[1]}",
                region="r",
                timeouts=Timeouts(connect_s=20.0, idle_s=20.0),
                connections=1,
                ca_file=authority.ca_file,
            )
            credential = StoreCredential("key", Secret(b"secret"), None)
            store = Store(endpoint, FollowedFile("store_credentials", lambda _: credential))
            try:
                async with store.exchange(StoreRequest(method="GET")) as response:
                    return response.status
            finally:
                await store.close()

    if trusted:
        assert asyncio.run(ask()) == 200
    else:
        with pytest.raises(UnavailableError, match="certificate"):
            asyncio.run(ask())


@pytest.mark.parametrize("spoken", [b"GET / HTTP/1.1\r\nHost: s3\r\n\r\n", b"\x00" * 64])
def test_who_does_not_speak_tls_is_dropped_at_once(secured: Secured, spoken: bytes) -> None:
    host, _, port = secured.proxy.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:  # half of a handshake's time limit
        connection.sendall(spoken)
        with contextlib.suppress(ConnectionResetError):
            while connection.recv(4096):
                pass


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["nothing", "half", "whole"]
)
def test_a_stranger_that_falls_silent_after_the_handshake_is_gone_at_the_deadline(
    tmp_path: Path, store: SeaweedServer, sent: bytes
) -> None:
    """It takes no part in the end of TLS either, for which asyncio would wait another 30 s."""
    authority = Authority(tmp_path / "tls")
    files = authority.issue_server("s3")
    settings = {"tls_cert_file": str(files.cert), "tls_key_file": str(files.key), "head_timeout_s": 3.0}
    with ProxyProcess(tmp_path / "proxy", store, settings=settings) as proxy:
        host, _, port = proxy.address.rpartition(":")
        context = ssl.create_default_context(cafile=str(authority.ca_file))
        with socket.create_connection((host, int(port)), 30) as plain:
            tls = context.wrap_socket(plain, server_hostname="localhost")
            tls.sendall(sent)
            wait_for_the_end(tls)
