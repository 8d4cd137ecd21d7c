"""One request to the bridge, and every answer that a peer can give."""

import itertools
import socket
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import (
    DeniedError,
    IntegrityError,
    NotFoundError,
    PeerError,
    StrongroomError,
    UndeliverableError,
)
from strongroom.launch.bundle import BUNDLE_URL_PATH, PLAN_URL_PATH
from strongroom.launch.problem import PROBLEM_MEDIA_TYPE
from tests.support.bridge.fake import FakeBridge, answer, problem, read_request, response
from tests.support.tls.certificates import Certificates
from tests.wrapper.fetching import BODY, CUT, REQUEST, Load, fetch, refused
from wrapper.exit_status import UNREACHABLE, status_of
from wrapper.fetch.bridge import Bridge, LostError
from wrapper.fetch.http import MAX_HEAD_BYTES, missing_of_head


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


@given(st.text("\r\nx", max_size=12), st.lists(st.integers(1, 4), min_size=1))
def test_reading_a_head_never_takes_a_byte_of_the_body(text: str, sizes: list[int]) -> None:
    answered = text.encode() + b"\r\n\r\n" + b"\r\n\r\n"
    taken = bytearray()
    for size in itertools.cycle(sizes):
        missing = missing_of_head(taken)
        if not missing:
            break
        taken += answered[len(taken) :][: min(size, missing)]

    assert taken == answered[: answered.index(b"\r\n\r\n") + 4]


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
