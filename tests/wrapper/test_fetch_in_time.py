"""When the bridge is asked again, how long it is waited for, and when it is given up."""

import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING

import pytest

from strongroom.errors import (
    UnavailableError,
)
from strongroom.launch.bundle import BUNDLE_URL_PATH, BundleRequest, Entry
from strongroom.launch.reference import Reference
from tests.support.bridge.fake import FakeBridge, answer, full_backlog, problem, read_request, refusing, response
from tests.support.tls.certificates import Certificates
from tests.wrapper.fetching import BODY, CUT, REQUEST, Load, Memory, fetch, refused
from wrapper.exit_status import UNREACHABLE, status_of
from wrapper.fetch.bridge import Bridge, LostError, NotUpError

if TYPE_CHECKING:
    from wrapper.fetch.dial import Connection


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_bridge_is_asked_again_and_another_size_is_received(
    certificates: Certificates, load: Load, status: int
) -> None:
    scripts = [answer(CUT[:-1]), answer(problem(status, "Retry-After: 0")), answer(response(200, b"another size"))]
    with FakeBridge(certificates.server(), *scripts) as bridge:
        memory = fetch(load(bridge=bridge.url, retries="2"))

    assert memory.mapping[:] == b"another size"
    assert memory.sizes == [len(BODY), 12]
    assert bridge.connections == 3


def test_retry_after_is_waited_for(certificates: Certificates, load: Load) -> None:
    times: list[float] = []

    def play(connection: ssl.SSLSocket) -> None:
        times.append(time.monotonic())
        answer(problem(503, "Retry-After: 1") if len(times) == 1 else response(200, b"x"))(connection)

    with FakeBridge(certificates.server(), play) as bridge:
        fetch(load(bridge=bridge.url, retries="1"))

    assert times[1] - times[0] >= 1


def test_a_bridge_that_stays_busy_is_given_up_with_its_reason(certificates: Certificates, load: Load) -> None:
    with FakeBridge(certificates.server(), answer(problem(503, detail="OpenBao is sealed"))) as bridge:
        error = refused(load(bridge=bridge.url, retries="2"))

    assert type(error) is UnavailableError
    assert "(503): OpenBao is sealed" in error.message
    assert bridge.connections == 3


def test_a_bridge_that_asks_for_more_time_than_there_is_is_given_up_at_once(
    certificates: Certificates, load: Load
) -> None:
    with FakeBridge(certificates.server(), answer(problem(503, "Retry-After: 50"))) as bridge:
        assert type(refused(load(bridge=bridge.url, retries="9", timeout="20"))) is UnavailableError

    assert bridge.connections == 1


def within(seconds: float, started: float) -> bool:
    return time.monotonic() - started < seconds


@pytest.mark.parametrize("place", [0, 150, 1200], ids=["before the head", "in the head", "in the body"])
def test_an_answer_that_drips_ends_at_the_deadline(certificates: Certificates, load: Load, place: int) -> None:
    data = response(200, BODY, f"X-Long: {'x' * 1000}")

    def play(connection: ssl.SSLSocket) -> None:
        read_request(connection)
        connection.sendall(data[:place])
        for byte in data[place:] if place else b"":
            if bridge.wait_stopped(0.05):  # always far sooner than the deadline of one read would be
                return
            connection.sendall(bytes([byte]))
        bridge.until_stopped()

    with FakeBridge(certificates.server(), play) as bridge:
        started = time.monotonic()
        error = refused(load(bridge=bridge.url, attempt_timeout="2"))
        assert within(15, started)

    assert isinstance(error, LostError)
    assert "within 2 s" in error.message


def test_the_whole_timeout_bounds_all_attempts(certificates: Certificates, load: Load) -> None:
    def play(connection: ssl.SSLSocket) -> None:
        read_request(connection)
        bridge.until_stopped()

    with FakeBridge(certificates.server(), play) as bridge:
        started = time.monotonic()
        refused(load(bridge=bridge.url, attempt_timeout="1", timeout="3", retries="1000"))
        assert within(15, started)

    assert 2 <= bridge.connections <= 4


def test_a_bridge_that_does_not_read_the_request_ends_at_the_deadline(certificates: Certificates, load: Load) -> None:
    entries = [Entry(f"V{number}", [Reference("kv/db" + "x" * 900, "key")]) for number in range(8_000)]

    with FakeBridge(certificates.server(), lambda _: bridge.until_stopped()) as bridge:
        started = time.monotonic()
        with pytest.raises(LostError):
            Bridge(load(bridge=bridge.url, attempt_timeout="2")).fetch(
                BUNDLE_URL_PATH, BundleRequest(entries, [], frozenset()), Memory().receive
            )
        assert within(15, started)


def test_a_handshake_that_never_comes_ends_at_the_deadline(load: Load) -> None:
    with FakeBridge(None, lambda _: bridge.until_stopped()) as bridge:
        error = refused(load(bridge=bridge.url, attempt_timeout="1"))

    assert isinstance(error, NotUpError)
    assert "no TLS handshake within 1 s" in error.message


def test_a_connection_that_never_comes_ends_at_the_deadline(load: Load) -> None:
    with full_backlog() as port:
        error = refused(load(bridge=f"https://127.0.0.1:{port}", attempt_timeout="0.3"))

    assert isinstance(error, NotUpError)
    assert "no connection within 0.3 s" in error.message


def test_a_balancer_in_front_of_a_busy_bridge_is_asked_again(certificates: Certificates, load: Load) -> None:
    busy = answer(response(503, b"<html>no server is available", media_type="text/html"))
    with FakeBridge(certificates.server(), busy, answer(response(200, BODY))) as bridge:
        memory = Memory()
        Bridge(load(bridge=bridge.url, retries="1")).fetch(BUNDLE_URL_PATH, REQUEST, memory.receive)

    assert memory.sizes == [len(BODY)]


def test_nobody_at_the_address_is_waited_for_and_then_given_up(load: Load) -> None:
    with refusing() as port:
        started = time.monotonic()
        error = refused(load(bridge=f"https://127.0.0.1:{port}", wait="0.3"))

    assert isinstance(error, NotUpError)
    assert status_of(error) == UNREACHABLE
    assert "Connection refused" in error.message
    assert not within(0.3, started)
    assert within(10, started)


def test_without_a_wait_nobody_at_the_address_is_given_up_at_once(load: Load) -> None:
    with refusing() as port:
        started = time.monotonic()
        assert isinstance(refused(load(bridge=f"https://127.0.0.1:{port}")), NotUpError)
        assert within(5, started)


def test_a_bridge_that_comes_up_while_it_is_waited_for_is_used(certificates: Certificates, load: Load) -> None:
    tried = threading.Event()
    memories: list[Memory] = []
    # The port is bound and does not listen: connections are refused until it does.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        bridge = Bridge(load(bridge=f"https://127.0.0.1:{port}", wait="60", timeout="60"))
        attempt = bridge._connect

        def connect(deadline: float) -> "Connection":
            try:
                return attempt(deadline)
            except NotUpError:
                tried.set()
                raise

        bridge._connect = connect  # type: ignore[method-assign]  # only to see that an attempt failed

        def run() -> None:
            memory = Memory()
            bridge.fetch(BUNDLE_URL_PATH, REQUEST, memory.receive)
            memories.append(memory)

        thread = threading.Thread(target=run)
        thread.start()
        assert tried.wait(30)
        listener.listen()
        plain, _ = listener.accept()
        with certificates.server().wrap_socket(plain, server_side=True) as connection:
            answer(response(200, BODY))(connection)
        thread.join(60)

    assert memories[0].mapping[:] == BODY


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 63 + ".invalid", "a..b", "a" * 300])
def test_a_name_that_does_not_exist_is_nobody_at_the_address(load: Load, host: str) -> None:
    assert isinstance(refused(load(bridge=f"https://{host}:1", attempt_timeout="5")), NotUpError)
