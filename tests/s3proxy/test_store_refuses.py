"""What store and OpenBao answer is told as theirs, with what is to be done, and not as the client's or as load."""

import contextlib
import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from devstack.authority import Authority
from devstack.openbao import OpenBaoServer
from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from s3proxy.store.errors import error_in
from strongroom.errors import PeerError
from strongroom.openbao.connection import Call, Endpoint
from tests.s3proxy.conftest import client_of
from tests.support.bridge.fake import refusing
from tests.support.bridge.openbao_clients import exchange
from tests.support.s3.relay import Exchange, StoreRelay

SYSTEM = "system-refused"
DENIED = b"HTTP/1.1 403 Forbidden"


@pytest.fixture
def denied(tmp_path: Path, store: SeaweedServer) -> Iterator[tuple[ProxyProcess, Any]]:
    """A proxy whose credentials at the store have no rights on its own bucket."""

    def deny(exchange: Exchange, head: bytes) -> bytes:
        return re.sub(rb"^HTTP/1.1 \d+[^\r]*", DENIED, head) if exchange.target.startswith(f"/{SYSTEM}") else head

    with StoreRelay(store.address) as relay:
        relay.rewrite = deny
        settings = {"store_address": relay.address, "system_bucket": SYSTEM}
        with (
            ProxyProcess(tmp_path, store, settings=settings) as proxy,
            contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3,
        ):
            yield proxy, s3


def test_a_store_that_keeps_the_proxy_from_its_own_bucket(denied: tuple[ProxyProcess, Any], tmp_path: Path) -> None:
    proxy, s3 = denied
    s3.create_bucket(Bucket="refused")
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket="refused", Key="k", Body=b"x")
    answer = caught.value.response
    # Not AccessDenied, for which one looks at the client's rights, and nothing that an SDK tries again.
    assert answer["Error"]["Code"] == "KMS.KMSInvalidStateException"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert SYSTEM not in answer["Error"]["Message"]
    told = [json.loads(line) for line in (tmp_path / "s3proxy.log").read_text().splitlines()]
    refused = [event for event in told if event["event"] == "key_not_available"]
    assert f"in {SYSTEM}" in refused[-1]["reason"]
    assert re.search(r"the store answers 403 \w+ to GET keyring/main/", refused[-1]["reason"])
    assert f"the right to list, read and write {SYSTEM}" in refused[-1]["hint"]
    with contextlib.closing(http.client.HTTPConnection(proxy.health_address, timeout=30)) as connection:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        state = json.loads(response.read())
    assert response.status == 503
    assert "the store answers 403" in state["policy main"]["detail"]


def test_an_error_of_the_store_itself_is_told_as_its_own() -> None:
    body = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"
    assert error_in(body, 500).hint == "the store answers 500 InternalError; see its log"
    assert error_in(b"", 400).hint == "the store answers 400"


def test_http_to_a_port_of_tls_is_named() -> None:
    error = error_in(b"Client sent an HTTP request to an HTTPS server.\n", 400)
    assert (error.code, error.status) == ("InternalError", 500)
    assert "https://" in error.hint


@pytest.fixture(scope="module")
def openbao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBaoServer]:
    directory = tmp_path_factory.mktemp("refuses")
    with OpenBaoServer(directory / "openbao", Authority(directory / "tls")) as server:
        yield server


def refusal(address: str, ca_file: Path | None = None) -> PeerError:
    call = Call(operation="health", method="GET", path="sys/health", deadline=float("inf"))
    with pytest.raises(PeerError) as caught:
        exchange(Endpoint(address, ca_file=ca_file, connect_timeout_s=5), call)
    assert caught.value.hint
    return caught.value


def test_an_openbao_that_cannot_be_reached_is_named_with_address_and_cause(openbao: OpenBaoServer) -> None:
    port = openbao.address.rpartition(":")[2]
    plain = refusal(f"http://127.0.0.1:{port}")
    assert f"http://127.0.0.1:{port} speaks TLS, and openbao_address is http" in plain.message
    assert "https://" in plain.hint

    with refusing() as held:
        closed = f"https://127.0.0.1:{held}"
        assert refusal(closed).message == f"OpenBao cannot be reached ({closed}: Connection refused)"

    unknown = refusal("https://no-such-host.invalid:8200")
    assert re.search(r"\(https://no-such-host\.invalid:8200: .*(resolution|not known|No address)", unknown.message)

    untrusted = refusal(openbao.address)
    assert "the certificate of OpenBao is not trusted" in untrusted.message
    assert "unable to get local issuer certificate" in untrusted.message
    assert "openbao_ca_file" in untrusted.hint
