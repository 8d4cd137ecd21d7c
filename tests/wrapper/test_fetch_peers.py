"""Who is taken for the bridge, and what is said where each side does not believe the other."""

import datetime as dt
import socket
import ssl

import pytest

from strongroom.errors import (
    ConfigError,
    DeniedError,
)
from strongroom.launch.bundle import BUNDLE_URL_PATH, BundleRequest, Entry
from strongroom.launch.reference import Reference
from tests.support.bridge.fake import FakeBridge, answer, problem, response
from tests.support.tls.certificates import Certificates
from tests.wrapper.fetching import BODY, Load, Memory, refused
from wrapper.exit_status import UNREACHABLE, status_of
from wrapper.fetch.bridge import Bridge


@pytest.mark.parametrize(
    "greeting",
    [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00" * 100],
    ids=["http", "ssh", "zeros"],
)
def test_a_server_without_tls_is_no_bridge(load: Load, greeting: bytes) -> None:
    def play(connection: socket.socket) -> None:
        connection.sendall(greeting)
        bridge.until_stopped()

    with FakeBridge(None, play) as bridge:
        error = refused(load(bridge=bridge.url, retries="3"))

    assert status_of(error) == UNREACHABLE
    assert "HTTPS port" in error.hint


def test_a_server_of_another_authority_is_no_bridge(certificates: Certificates, load: Load) -> None:
    with FakeBridge(certificates.server(), answer(response(200, BODY))) as bridge:
        error = refused(load(bridge=bridge.url, ca=certificates.other_ca, retries="3", wait="5"))

    assert "its certificate does not hold" in error.message
    assert certificates.other_ca in error.hint
    assert bridge.connections == 1


def test_a_server_of_another_name_is_no_bridge(certificates: Certificates, load: Load) -> None:
    with FakeBridge(certificates.server("bridge.example"), answer(response(200, BODY))) as bridge:
        error = refused(load(bridge=bridge.url, retries="3", wait="5"))

    assert "its certificate does not hold" in error.message
    assert "127.0.0.1" in error.message
    assert "STRONGROOM_BRIDGE" in error.hint
    assert bridge.connections == 1


def test_an_expired_server_is_no_bridge(certificates: Certificates, load: Load) -> None:
    with FakeBridge(certificates.server(expired=True), answer(response(200, BODY))) as bridge:
        error = refused(load(bridge=bridge.url, retries="3", wait="5"))

    assert "expired" in error.message
    assert error.hint.startswith("renew the bridge's certificate")
    assert bridge.connections == 1


def test_a_server_with_a_certificate_for_clients_is_no_bridge(certificates: Certificates, load: Load) -> None:
    context = certificates.server()
    context.load_cert_chain(certificates.cert, certificates.key)
    with FakeBridge(context, answer(response(200, BODY))) as bridge:
        error = refused(load(bridge=bridge.url))

    assert "its certificate does not hold" in error.message
    assert "serverAuth" in error.hint


HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("begins", "ends", "words"), [(-2 * HOUR, -HOUR, "it ended on 20"), (HOUR, 2 * HOUR, "not valid until 20")]
)
def test_a_bridge_that_refuses_our_certificate_for_its_dates(
    certificates: Certificates, load: Load, begins: dt.timedelta, ends: dt.timedelta, words: str
) -> None:
    own = certificates.client(begins=begins, ends=ends)
    with FakeBridge(certificates.server(), answer(response(200, BODY))) as bridge:
        error = refused(load(bridge=bridge.url, cert=str(own.cert), key=str(own.key)))

    assert status_of(error) == UNREACHABLE
    assert "refuses our certificate: " in error.message
    assert words in error.message
    assert error.hint.startswith(f"renew --cert {own.cert}")


@pytest.mark.parametrize(
    "data",
    [
        response(403, b'{"errors":["permission denied"]}', media_type="application/json"),
        response(404, b"no such page", media_type="text/plain; charset=utf-8"),
        response(500, b"<html>", media_type="text/html"),
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    ],
    ids=["OpenBao", "text", "page", "nothing"],
)
def test_another_server_with_a_good_certificate_is_no_bridge(
    certificates: Certificates, load: Load, data: bytes
) -> None:
    with FakeBridge(certificates.server(), answer(data)) as bridge:
        error = refused(load(bridge=bridge.url, retries="3", wait="5"))

    assert status_of(error) == UNREACHABLE
    assert error.message.startswith(f"what answers at 127.0.0.1:{bridge.port} is not a Strongroom bridge (")
    assert "STRONGROOM_BRIDGE" in error.hint
    assert bridge.connections == 1


def test_a_bridge_that_does_not_trust_our_certificate_says_so(certificates: Certificates, load: Load) -> None:
    # Many times, because whether its alert or its hanging up is seen first is a race.
    with FakeBridge(certificates.server(), answer(response(200, BODY))) as bridge:
        settings = load(bridge=bridge.url, cert=certificates.stranger_cert, key=certificates.stranger_key, retries="3")
        errors = [refused(settings) for _ in range(20)]

    assert not [error.message for error in errors if "refuses our certificate: " not in error.message]
    assert certificates.stranger_cert in errors[0].hint
    assert bridge.connections == 20


def test_a_bridge_that_hangs_up_on_the_request_is_still_heard(certificates: Certificates, load: Load) -> None:
    # Its last words arrive while we still send, and sending fails.
    entries = [Entry(f"V{number}", [Reference("kv/db" + "x" * 900, "key")]) for number in range(2000)]

    def play(connection: ssl.SSLSocket) -> None:
        connection.recv(100)
        connection.sendall(problem(403, detail="too much"))

    with FakeBridge(certificates.server(), play) as bridge, pytest.raises(DeniedError, match="too much"):
        Bridge(load(bridge=bridge.url)).fetch(
            BUNDLE_URL_PATH, BundleRequest(entries, [], frozenset()), Memory().receive
        )


def test_an_older_tls_is_refused(certificates: Certificates, load: Load) -> None:
    context = certificates.server()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with FakeBridge(context, answer(response(200, BODY))) as bridge:
        assert status_of(refused(load(bridge=bridge.url))) == UNREACHABLE


@pytest.mark.parametrize("name", ["ca", "cert", "key"])
def test_a_missing_file_is_named(load: Load, name: str) -> None:
    with pytest.raises(ConfigError, match=r"/missing\.pem"):
        Bridge(load(bridge="https://127.0.0.1:1", **{name: "/missing.pem"}))
