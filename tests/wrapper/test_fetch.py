"""One request to the bridge, against real TLS servers that behave in every way a peer can."""

import datetime as dt
import mmap
import socket
import ssl
import threading
import time
from collections.abc import Callable

import pytest

from strongroom.errors import (
    ConfigError,
    DeniedError,
    IntegrityError,
    NotFoundError,
    PeerError,
    StrongroomError,
    UnavailableError,
    UndeliverableError,
)
from strongroom.launch.bundle import BUNDLE_URL_PATH, PLAN_URL_PATH, BundleRequest, Entry
from strongroom.launch.problem import PROBLEM_MEDIA_TYPE
from strongroom.launch.reference import Reference
from tests.support.bridge.fake import FakeBridge, answer, full_backlog, problem, read_request, response
from tests.support.tls.certificates import Certificates
from wrapper.exit_status import UNREACHABLE, status_of
from wrapper.fetch.bridge import Body, Bridge, LostError, NotUpError
from wrapper.fetch.http import MAX_HEAD_BYTES
from wrapper.settings import WrapperSettings, load_settings

REQUEST = BundleRequest([Entry("A", [Reference("kv/db", "key")])], [], frozenset())
BODY = bytes(range(256)) * 300

Load = Callable[..., WrapperSettings]


@pytest.fixture
def load(certificates: Certificates) -> Load:
    def load(**changes: str) -> WrapperSettings:
        flags = {
            "ca": certificates.ca,
            "cert": certificates.cert,
            "key": certificates.key,
            "timeout": "20",
            "attempt-timeout": "10",
            "wait": "0",
            "retries": "0",
        }
        return load_settings(flags | {name.replace("_", "-"): text for name, text in changes.items()}, {})

    return load


class Memory:
    """Takes what is fetched, in a mapping as the launch does."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.mapping = mmap.mmap(-1, 1)

    def receive(self, body: Body) -> None:
        self.sizes.append(body.size)
        self.mapping = mmap.mmap(-1, body.size)
        body.read_into(memoryview(self.mapping))


def fetch(settings: WrapperSettings) -> Memory:
    memory = Memory()
    Bridge(settings).fetch(BUNDLE_URL_PATH, REQUEST, memory.receive)
    return memory


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def test_a_body_is_received_whole(certificates: Certificates, load: Load) -> None:
    with FakeBridge(certificates.server(), answer(response(200, BODY))) as bridge:
        memory = fetch(load(bridge=bridge.url))

    assert memory.mapping[:] == BODY
    assert memory.sizes == [len(BODY)]
    assert bridge.connections == 1


def test_the_request_is_the_one_that_was_asked_for(certificates: Certificates, load: Load) -> None:
    seen: list[tuple[bytes, bytes]] = []
    identities: list[object] = []

    def play(connection: ssl.SSLSocket) -> None:
        seen.append(read_request(connection))
        identities.append((connection.getpeercert() or {}).get("subjectAltName"))
        connection.sendall(response(200, BODY))

    with FakeBridge(certificates.server(), play) as bridge:
        fetch(load(bridge=bridge.url))

    assert seen[0][0].startswith(b"POST /v1/bundle HTTP/1.1\r\n")
    assert f"\r\nHost: 127.0.0.1:{bridge.port}\r\n".encode() in seen[0][0]
    assert seen[0][1] == b'{"entries":[{"name":"A","parts":[{"path":"kv/db","key":"key"}]}]}'
    assert identities == [(("URI", "spiffe://example.org/ns/shop/sa/api"),)]


@pytest.mark.parametrize("size", [1, 7, 1000, 16_384, 16_385])
def test_a_body_in_odd_pieces_is_put_together(certificates: Certificates, load: Load, size: int) -> None:
    body = BODY[: 300 * size]
    with FakeBridge(certificates.server(), answer(*pieces(response(200, body), size))) as bridge:
        assert fetch(load(bridge=bridge.url)).mapping[:] == body


@pytest.mark.parametrize("length", [1, 8, 16_383, 16_384, 16_385, 2_000_000])
def test_bodies_of_every_size_are_received(certificates: Certificates, load: Load, length: int) -> None:
    body = bytes(range(1, 256)) * (length // 255 + 1)
    with FakeBridge(certificates.server(), answer(response(200, body[:length]))) as bridge:
        assert fetch(load(bridge=bridge.url)).mapping[:] == body[:length]


def test_what_follows_the_body_is_left_alone(certificates: Certificates, load: Load) -> None:
    with FakeBridge(certificates.server(), answer(response(200, BODY) + b"HTTP/1.1 200 OK\r\n\r\n")) as bridge:
        assert fetch(load(bridge=bridge.url)).mapping[:] == BODY


def test_an_address_of_ip_version_6_works(certificates: Certificates, load: Load) -> None:
    with FakeBridge(certificates.server(), answer(response(200, BODY)), family=socket.AF_INET6) as bridge:
        assert fetch(load(bridge=bridge.url)).mapping[:] == BODY


def test_a_name_that_leads_to_several_addresses_is_tried_at_each(certificates: Certificates, load: Load) -> None:
    # localhost is ::1 and 127.0.0.1 on most machines; the bridge listens on the second only.
    with FakeBridge(certificates.server("localhost"), answer(response(200, BODY))) as bridge:
        assert fetch(load(bridge=f"https://localhost:{bridge.port}")).mapping[:] == BODY


def refused(settings: WrapperSettings) -> StrongroomError:
    with pytest.raises(StrongroomError) as caught:
        fetch(settings)
    return caught.value


CUT = response(200, BODY)
REGION_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.strongroom.region\r\n"


@pytest.mark.parametrize(
    "data",
    [b"", b"HTTP", CUT[:60], CUT[: CUT.index(b"\r\n\r\n") + 4], CUT[:-1], CUT[: len(CUT) // 2]],
    ids=["nothing", "status line", "head", "no body", "last byte", "half"],
)
def test_a_cut_answer_is_noticed(certificates: Certificates, load: Load, data: bytes) -> None:
    with FakeBridge(certificates.server(), answer(data)) as bridge:
        error = refused(load(bridge=bridge.url))

    assert isinstance(error, LostError)
    assert "closed the connection without an answer" in error.message or "was cut after" in error.message


@pytest.mark.parametrize(
    "data",
    [
        REGION_HEAD + b"\r\n" + BODY,
        REGION_HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        REGION_HEAD + b"Content-Length: -1\r\n\r\n",
        REGION_HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        response(200, BODY, media_type="text/html"),
        response(200, BODY, media_type="application/json"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        response(204, b""),
        response(301, b"", "Location: https://elsewhere.example/"),
        response(500, b"oops"),
        response(404, b"not found"),
        b"\x00" * 64 + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"A" * (MAX_HEAD_BYTES + 1),
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 4000 + b"\r\n",
    ],
    ids=[
        "no length",
        "chunked",
        "negative length",
        "two lengths",
        "html",
        "json",
        "no type",
        "204",
        "301",
        "500",
        "404 of somebody else",
        "garbage",
        "ssh",
        "endless line",
        "endless head",
    ],
)
def test_an_answer_that_is_none_of_the_bridge_is_a_peer_error_and_is_not_asked_for_again(
    certificates: Certificates, load: Load, data: bytes
) -> None:
    with FakeBridge(certificates.server(), answer(data)) as bridge:
        error = refused(load(bridge=bridge.url, retries="3"))

    assert isinstance(error, PeerError)
    assert status_of(error) == UNREACHABLE
    assert bridge.connections == 1


def test_the_type_of_a_wrong_answer_is_shown_without_its_control_characters(
    certificates: Certificates, load: Load
) -> None:
    with FakeBridge(certificates.server(), answer(response(200, b"x", media_type="a\x9bb"))) as bridge:
        error = refused(load(bridge=bridge.url))

    assert "\\x9b" in error.message
    assert error.message.isprintable()


@pytest.mark.parametrize("length", ["0", "1073741825", "999999999999999999"])
def test_a_length_that_no_region_has_is_refused_before_anything_is_received(
    certificates: Certificates, load: Load, length: str
) -> None:
    from wrapper.memory import SecretMemory  # noqa: PLC0415 - the real one, for its limits

    head = REGION_HEAD + f"Content-Length: {length}\r\n\r\n".encode()
    with (
        FakeBridge(certificates.server(), answer(head)) as bridge,
        pytest.raises(IntegrityError, match="not the size of a region"),
    ):
        Bridge(load(bridge=bridge.url)).fetch(BUNDLE_URL_PATH, REQUEST, SecretMemory("any").receive)


def test_a_document_has_a_limit_too(certificates: Certificates, load: Load) -> None:
    head = (
        f"HTTP/1.1 403 Forbidden\r\nContent-Type: {PROBLEM_MEDIA_TYPE}\r\nContent-Length: 99999999999\r\n\r\n".encode()
    )
    with FakeBridge(certificates.server(), answer(head)) as bridge:
        assert "too long" in refused(load(bridge=bridge.url)).message


FAILURES = {
    cause: {"name": "DB", "path": "kv/db", "key": "pw", "cause": cause, "detail": "because"}
    for cause in ("denied", "missing", "undeliverable")
}


@pytest.mark.parametrize(
    ("causes", "kind", "status"),
    [
        (["denied"], DeniedError, 403),
        (["missing"], NotFoundError, 404),
        (["undeliverable"], UndeliverableError, 422),
        (["missing", "denied"], DeniedError, 403),
        (["undeliverable", "missing"], NotFoundError, 404),
        (["undeliverable", "missing", "denied"], DeniedError, 403),
    ],
)
def test_a_refusal_becomes_an_error_that_names_variable_path_and_cause(
    certificates: Certificates, load: Load, causes: list[str], kind: type[StrongroomError], status: int
) -> None:
    data = problem(status, failures=[FAILURES[cause] for cause in causes])
    with FakeBridge(certificates.server(), answer(data)) as bridge:
        error = refused(load(bridge=bridge.url, retries="3"))

    assert type(error) is kind
    assert error.message.startswith("DB: kv/db#pw: ")
    assert f"({status}): because" in error.message
    assert (f"(and {len(causes) - 1} more)" in error.message) == (len(causes) > 1)
    assert bridge.connections == 1


def test_a_refusal_of_a_whole_path_names_the_path(certificates: Certificates, load: Load) -> None:
    failure = {"name": "", "path": "kv/env", "key": "", "cause": "denied", "detail": "no grant"}
    with FakeBridge(certificates.server(), answer(problem(403, failures=[failure]))) as bridge:
        assert refused(load(bridge=bridge.url)).message == "kv/env: denied (403): no grant"


def test_a_denial_says_where_it_is_granted_and_a_secret_that_is_missing_does_not(
    certificates: Certificates, load: Load
) -> None:
    hints = []
    for cause in ("denied", "missing"):
        with FakeBridge(certificates.server(), answer(problem(403, failures=[FAILURES[cause]]))) as bridge:
            hints.append(refused(load(bridge=bridge.url)).hint)

    assert ["policy.toml" in hint for hint in hints] == [True, False]
    assert all("plan --check" in hint for hint in hints)


@pytest.mark.parametrize(("cause", "status"), [("missing", 404), ("denied", 403)])
def test_the_data_of_the_api_in_a_path_is_pointed_out(
    certificates: Certificates, load: Load, cause: str, status: int
) -> None:
    failure = {"name": "A", "path": "kv/data/shop/My App", "key": "k", "cause": cause, "detail": "no"}
    with FakeBridge(certificates.server(), answer(problem(status, failures=[failure]))) as bridge:
        error = refused(load(bridge=bridge.url))

    assert error.message.startswith("A: kv/data/shop/My%20App#k: ")
    assert error.hint.endswith("without data/: bao:kv/shop/My%20App#KEY")
    assert error.hint.startswith("if ")  # a folder may have that name


def test_a_folder_that_is_called_data_is_none_where_the_secret_was_found(
    certificates: Certificates, load: Load
) -> None:
    failure = {"name": "A", "path": "kv/shop/data/app", "key": "k", "cause": "undeliverable", "detail": "binary"}
    with FakeBridge(certificates.server(), answer(problem(422, failures=[failure]))) as bridge:
        assert "data/" not in refused(load(bridge=bridge.url)).hint


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_of_the_caller_is_a_denial(certificates: Certificates, load: Load, status: int) -> None:
    with FakeBridge(certificates.server(), answer(problem(status, detail="nobody knows you"))) as bridge:
        error = refused(load(bridge=bridge.url))

    assert type(error) is DeniedError
    assert "nobody knows you" in error.message


@pytest.mark.parametrize("status", [400, 404])
def test_an_older_bridge_that_does_not_understand_the_request_is_to_be_upgraded(
    certificates: Certificates, load: Load, status: int
) -> None:
    detail = "entries[0].parts: must be an object with default?, key, optional?, path, version?"
    with FakeBridge(certificates.server(), answer(problem(status, detail=detail))) as bridge:
        error = refused(load(bridge=bridge.url))

    assert type(error) is PeerError
    assert "must be an object with" in error.message
    assert "upgrade bridges before wrappers" in error.hint


def test_a_refusal_cannot_drive_the_terminal(certificates: Certificates, load: Load) -> None:
    failure = {"name": "A\x1b[2J", "path": "kv/\r\nx", "key": "k", "cause": "denied", "detail": "\x9b31m\u202e"}
    with FakeBridge(certificates.server(), answer(problem(403, failures=[failure]))) as bridge:
        assert refused(load(bridge=bridge.url)).message.isprintable()


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
        error = refused(load(bridge=bridge.url, attempt_timeout="0.4"))
        assert within(2, started)

    assert isinstance(error, LostError)
    assert "within 0.4 s" in error.message


def test_the_whole_timeout_bounds_all_attempts(certificates: Certificates, load: Load) -> None:
    def play(connection: ssl.SSLSocket) -> None:
        read_request(connection)
        bridge.until_stopped()

    with FakeBridge(certificates.server(), play) as bridge:
        started = time.monotonic()
        refused(load(bridge=bridge.url, attempt_timeout="0.3", timeout="0.8", retries="1000"))
        assert within(2, started)

    assert 2 <= bridge.connections <= 4


def test_a_bridge_that_does_not_read_the_request_ends_at_the_deadline(certificates: Certificates, load: Load) -> None:
    entries = [Entry(f"V{number}", [Reference("kv/db" + "x" * 900, "key")]) for number in range(8_000)]

    with FakeBridge(certificates.server(), lambda _: bridge.until_stopped()) as bridge:
        started = time.monotonic()
        with pytest.raises(LostError):
            Bridge(load(bridge=bridge.url, attempt_timeout="0.5")).fetch(
                BUNDLE_URL_PATH, BundleRequest(entries, [], frozenset()), Memory().receive
            )
        assert within(3, started)


def test_a_handshake_that_never_comes_ends_at_the_deadline(load: Load) -> None:
    with FakeBridge(None, lambda _: bridge.until_stopped()) as bridge:
        error = refused(load(bridge=bridge.url, attempt_timeout="0.3"))

    assert isinstance(error, NotUpError)
    assert "no TLS handshake within 0.3 s" in error.message


def test_a_connection_that_never_comes_ends_at_the_deadline(load: Load) -> None:
    with full_backlog() as port:
        error = refused(load(bridge=f"https://127.0.0.1:{port}", attempt_timeout="0.3"))

    assert isinstance(error, NotUpError)
    assert "no connection within 0.3 s" in error.message


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


def test_a_page_is_no_plan(certificates: Certificates, load: Load) -> None:
    page = answer(response(200, b"<html>", media_type="text/html; charset=utf-8"))
    with (
        FakeBridge(certificates.server(), page) as bridge,
        pytest.raises(
            PeerError, match="is not a Strongroom bridge of this version: 'text/html; charset=utf-8'"
        ) as raised,
    ):
        Bridge(load(bridge=bridge.url)).fetch_document(PLAN_URL_PATH, REQUEST)
    assert status_of(raised.value) == UNREACHABLE


def test_a_balancer_in_front_of_a_busy_bridge_is_asked_again(certificates: Certificates, load: Load) -> None:
    busy = answer(response(503, b"<html>no server is available", media_type="text/html"))
    with FakeBridge(certificates.server(), busy, answer(response(200, BODY))) as bridge:
        memory = Memory()
        Bridge(load(bridge=bridge.url, retries="1")).fetch(BUNDLE_URL_PATH, REQUEST, memory.receive)

    assert memory.sizes == [len(BODY)]


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


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_nobody_at_the_address_is_waited_for_and_then_given_up(load: Load) -> None:
    started = time.monotonic()
    error = refused(load(bridge=f"https://127.0.0.1:{closed_port()}", wait="0.3"))

    assert isinstance(error, NotUpError)
    assert status_of(error) == UNREACHABLE
    assert "Connection refused" in error.message
    assert not within(0.3, started)
    assert within(2, started)


def test_without_a_wait_nobody_at_the_address_is_given_up_at_once(load: Load) -> None:
    started = time.monotonic()
    assert isinstance(refused(load(bridge=f"https://127.0.0.1:{closed_port()}")), NotUpError)
    assert within(1, started)


def test_a_bridge_that_comes_up_while_it_is_waited_for_is_used(certificates: Certificates, load: Load) -> None:
    port = closed_port()
    tried = threading.Event()
    memories: list[Memory] = []
    # The port is bound and does not listen: connections are refused until it does.
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        bridge = Bridge(load(bridge=f"https://127.0.0.1:{port}", wait="10"))
        attempt = bridge._connect

        def connect(deadline: float) -> ssl.SSLSocket:
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
        assert tried.wait(10)
        listener.listen()
        plain, _ = listener.accept()
        with certificates.server().wrap_socket(plain, server_side=True) as connection:
            answer(response(200, BODY))(connection)
        thread.join(10)

    assert memories[0].mapping[:] == BODY


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 63 + ".invalid", "a..b", "a" * 300])
def test_a_name_that_does_not_exist_is_nobody_at_the_address(load: Load, host: str) -> None:
    assert isinstance(refused(load(bridge=f"https://{host}:1", attempt_timeout="5")), NotUpError)
