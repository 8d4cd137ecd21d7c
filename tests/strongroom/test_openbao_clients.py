"""What both clients of OpenBao promise, each tried with the same servers: that of all calls, and that of logins."""

import asyncio
import contextlib
import gzip
import json
import re
import ssl
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devstack.authority import Authority
from devstack.server import free_port
from strongroom.errors import ConfigError, PeerError, StrongroomError
from strongroom.openbao.client import OpenBao
from strongroom.openbao.connection import Answer, Call, Endpoint, OpenBaoUnavailableError, Route
from strongroom.secret import Secret
from tests.support.bridge.openbao_clients import Exchange, every_client
from tests.support.bridge.scripted_openbao import Answer as Act
from tests.support.bridge.scripted_openbao import ScriptedOpenBao, answer, cut, scripted, then_silence

TOKEN = b"t0ken-7f3a"
OK = answer(b'{"a":1}')
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CUT = b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"a":1}'
NOT_REACHED = "OpenBao cannot be reached (ADDRESS)"
RESET = "OpenBao cannot be reached (ADDRESS: Connection reset by peer)"
LATE = "OpenBao did not answer within N s (ADDRESS)"
NONSENSE = "OpenBao answers with something that is not a JSON object"
SILENT = threading.Event()


def call(path: str = "kv/a", *, within_s: float = 20.0, **more: Any) -> Call:  # noqa: ANN401 - what Call takes
    made = Call(operation="read", method="GET", path=path, deadline=time.monotonic() + within_s, token=Secret(TOKEN))
    return replace(made, **more)


def endpoint(server: ScriptedOpenBao, ca_file: Path | None = None, **more: Any) -> Endpoint:  # noqa: ANN401
    return Endpoint(server.address, ca_file, **more)


def refusal(exchange: Exchange, at: Endpoint, *calls: Call) -> tuple[StrongroomError, str]:
    """Return the error of a call, and the outcome that was counted."""
    outcomes: list[str] = []
    with pytest.raises(StrongroomError) as caught:
        exchange(at, *(calls or [call()]), observe=lambda _, outcome, __: outcomes.append(outcome))
    return caught.value, outcomes[-1]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def tls(authority: Authority) -> ssl.SSLContext:
    files = authority.issue_server("openbao")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    return context


@pytest.fixture(autouse=True)
def _end_silence() -> Iterator[None]:
    SILENT.clear()
    yield
    SILENT.set()


@every_client
@pytest.mark.parametrize(
    ("sent", "status", "document"),
    [
        (OK, 200, {"a": "1"}),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, {}),
        (answer(b"", b"HTTP/1.1 404 Not Found"), 404, {}),
        (answer(b'{"errors":["no"]}', b"HTTP/1.1 403 Forbidden"), 403, {"errors": ["no"]}),
        (CHUNKED + b'3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n', 200, {"a": "1"}),
        (cut(b'HTTP/1.0 200 OK\r\n\r\n{"a":1}'), 200, {"a": "1"}),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, {"a": "1"}),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000 + b'\r\nContent-Length: 7\r\n\r\n{"a":1}', 200, {"a": "1"}),
    ],
    ids=["length", "204", "404", "403", "chunks", "until the end", "interim", "long header"],
)
def test_answers_are_read(exchange: Exchange, sent: bytes | Act, status: int, document: dict[str, object]) -> None:
    with scripted(sent) as server:
        assert exchange(endpoint(server), call()) == Answer(status, document)


@every_client
@pytest.mark.parametrize(
    ("sent", "message", "outcome"),
    [
        (answer(b"{}", b"HTTP/1.1 503 S"), "OpenBao is sealed or starting", "503"),
        (answer(b"{}", b"HTTP/1.1 500 E"), "OpenBao answers with status 500", "500"),
        (answer(b"{}", b"HTTP/1.1 429 T"), "OpenBao answers with status 429", "429"),
        (answer(b"canary"), NONSENSE, "nonsense"),
        (answer(b"[]"), NONSENSE, "nonsense"),
        (b"canary\r\n\r\n", NOT_REACHED, "unreachable"),
        (b"", NOT_REACHED, "unreachable"),
        (cut(b"", reset=True), RESET, "unreachable"),
        (cut(CUT), NOT_REACHED, "unreachable"),
        (cut(CUT, reset=True), RESET, "unreachable"),
        (CHUNKED + b"canary\r\n", NOT_REACHED, "unreachable"),
        (then_silence(b"", SILENT), LATE, "timeout"),
        (then_silence(b"HTTP/1.1 200 OK\r\n", SILENT), LATE, "timeout"),
        (
            answer(b"Client sent an HTTP request to an HTTPS server.\n", b"HTTP/1.0 400 Bad Request"),
            "OpenBao at ADDRESS speaks TLS, and openbao_address is http",
            "400",
        ),
    ],
)
def test_what_is_no_answer_is_told_in_the_same_words(
    exchange: Exchange, sent: bytes | Act, message: str, outcome: str
) -> None:
    patience: dict[str, Any] = {"connect_timeout_s": 60, "read_timeout_s": 0.4 if message == LATE else 60}
    with scripted(sent) as server:
        error, counted = refusal(exchange, endpoint(server, **patience), call(within_s=60))
        told = re.sub(r"within [0-9.]+ s", "within N s", error.message)
        assert (told, counted) == (message.replace("ADDRESS", server.address), outcome)
    assert error.hint


@every_client
def test_neither_token_nor_what_was_received_is_shown_by_an_error(exchange: Exchange) -> None:
    for sent in (b"canary\r\n\r\n", answer(b"canary"), cut(CUT + b"canary"), CHUNKED + b"canary\r\n", b"HTTP/canary"):
        with scripted(sent) as server:
            error, _ = refusal(exchange, endpoint(server, read_timeout_s=0.4))
        seen: list[BaseException] = []
        chain: BaseException | None = error
        while chain is not None:
            seen.append(chain)
            chain = chain.__cause__ or chain.__context__
        shown = "".join(traceback.format_exception(error)) + "".join(map(repr, seen))
        assert TOKEN.decode() not in shown
        assert "canary" not in shown


@every_client
def test_an_answer_that_nobody_asked_for_is_given_to_nobody(exchange: Exchange) -> None:
    with scripted(OK + answer(b'{"b":2}'), OK) as server:
        assert exchange(endpoint(server), call(), call()).document == {"a": "1"}


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://openbao.svc:8200", "openbao.svc:8200"),
        ("http://[::1]:8200", "[::1]:8200"),
        ("https://bücher.example", "xn--bcher-kva.example"),
        ("https://a_b.svc.", "a_b.svc."),
    ],
)
def test_a_host_is_named_as_it_is_looked_up(address: str, host: str) -> None:
    assert f"Host: {host}\r\n".encode() in OpenBao(Route(Endpoint(address)))._headers


@pytest.mark.parametrize("name", ["openbao..svc", "o" * 64 + ".svc"])
def test_what_cannot_be_the_name_of_a_host_is_refused_at_once(name: str) -> None:
    with pytest.raises(ConfigError, match="is not the name of a host") as caught:
        OpenBao(Route(Endpoint(f"https://{name}:8200")))
    assert name in caught.value.message


def test_a_call_that_ends_with_the_patience_of_its_caller_is_counted_as_late() -> None:
    outcomes: list[str] = []

    async def ask(server: ScriptedOpenBao) -> None:
        openbao = OpenBao(Route(endpoint(server)), observe=lambda _, outcome, __: outcomes.append(outcome))
        deadline = time.monotonic() + 0.3  # the same one for both
        with pytest.raises(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await openbao.exchange(call(deadline=deadline))
        openbao.close()

    with scripted(then_silence(b"", SILENT)) as server:
        for _ in range(5):
            with contextlib.suppress(OpenBaoUnavailableError):  # it may be the first to tell
                asyncio.run(ask(server))
    assert outcomes == ["timeout"] * 5


@every_client
def test_the_request_is_what_openbao_expects(exchange: Exchange) -> None:
    with scripted(OK) as server:
        at = endpoint(server, namespace="team/a")
        exchange(at, call("kv/data/a b%/ü"), call("sys/health", token=None, query={"standbyok": "true"}))
        exchange(at, call("transit/encrypt/k", method="POST", body={"plaintext": "eA=="}))
        exchange(Endpoint(f"http://u%40:p@127.0.0.1:{server.port}/behind/it/"), call("kv/a"))
        assert server.connections == 3
    first, second, third, fourth = ({**_headers(one)} for one in server.requests)
    assert first[""] == "GET /v1/kv/data/a%20b%25/%C3%BC HTTP/1.1"
    assert (first["x-vault-token"], first["x-vault-namespace"]) == (TOKEN.decode(), "team/a")
    assert (first["x-vault-request"], first["host"]) == ("true", f"127.0.0.1:{server.port}")
    assert second[""] == "GET /v1/sys/health?standbyok=true HTTP/1.1"
    assert "x-vault-token" not in second
    assert third[""] == "POST /v1/transit/encrypt/k HTTP/1.1"
    assert third["content-type"] == "application/json"
    assert json.loads(server.requests[2].partition(b"\r\n\r\n")[2]) == {"plaintext": "eA=="}
    assert fourth[""] == "GET /behind/it/v1/kv/a HTTP/1.1"
    assert fourth["authorization"] == "Basic dUA6cA=="
    assert "x-vault-namespace" not in fourth


def _headers(request: bytes) -> dict[str, str]:
    first, *lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return {"": first} | {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


@every_client
@pytest.mark.parametrize("token", [b"a\r\nX-Other: b", b"\xff"])
def test_a_token_that_is_not_one_line_is_not_sent(exchange: Exchange, token: bytes) -> None:
    with scripted(OK) as server:
        error, _ = refusal(exchange, endpoint(server), call(token=Secret(token)))
        assert not server.requests
    assert isinstance(error, PeerError)
    assert "X-Other" not in "".join(traceback.format_exception(error))


@every_client
def test_no_token_follows_a_redirect(exchange: Exchange) -> None:
    with scripted(OK) as elsewhere:
        location = f"HTTP/1.1 307 T\r\nLocation: {elsewhere.address}/v1/kv/a".encode()
        with scripted(answer(b"", location)) as server:
            error, _ = refusal(exchange, endpoint(server))
        assert error.message == "OpenBao answers with status 307"
        assert not elsewhere.requests


@every_client
def test_no_proxy_of_the_environment_is_asked(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with scripted(OK) as server:
        assert exchange(endpoint(server), call()).status == 200


@every_client
def test_one_connection_serves_call_after_call_and_one_that_was_closed_is_replaced(
    exchange: Exchange, authority: Authority, tls: ssl.SSLContext
) -> None:
    with scripted(OK, tls=tls) as server:
        at = endpoint(server, authority.ca_file)
        exchange(at, call(), call(), call())
        assert server.connections == 1
    with scripted(OK, b"", OK) as server:
        exchange(endpoint(server), call(), call())
        assert (server.connections, len(server.requests)) == (2, 3)


@every_client
def test_what_may_not_be_done_twice_is_sent_once(exchange: Exchange) -> None:
    change: dict[str, Any] = {"method": "POST", "body": {"x": 1}}
    with scripted(b"") as server:
        refusal(exchange, endpoint(server), call(**change))
        assert len(server.requests) == 1
        refusal(exchange, endpoint(server), call(**change, repeatable=True))
        assert len(server.requests) == 3


@every_client
def test_an_answer_that_ends_in_the_middle_is_not_asked_for_again(exchange: Exchange) -> None:
    with scripted(cut(CUT)) as server:
        refusal(exchange, endpoint(server))
        assert len(server.requests) == 1


@every_client
def test_tls_that_fails_is_told_as_that_and_not_tried_again(
    exchange: Exchange, authority: Authority, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    with scripted(OK, tls=tls) as server:
        for ca_file, reason in (
            (Authority(tmp_path).ca_file, "unable to get local issuer certificate"),
            (None, "unable to get local issuer certificate"),
        ):
            error, outcome = refusal(exchange, endpoint(server, ca_file))
            told = f"the certificate of OpenBao is not trusted, or TLS fails ({server.address}: {reason})"
            assert (error.message, outcome) == (told, "tls")
        assert server.connections == 2
        assert exchange(endpoint(server, authority.ca_file), call()).status == 200


@every_client
@pytest.mark.parametrize("deadline", [0.3, -1.0])
def test_no_call_outlasts_its_deadline_however_it_is_answered(exchange: Exchange, deadline: float) -> None:
    with scripted(then_silence(CUT, SILENT)) as server:
        begin = time.monotonic()
        refusal(exchange, endpoint(server, read_timeout_s=30), call(within_s=deadline))
        assert time.monotonic() - begin < 10


def drip(connection: Any) -> None:  # noqa: ANN401 - a socket
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not SILENT.wait(0.05):
        connection.sendall(b" ")


@every_client
def test_an_answer_that_drips_ends_at_the_deadline(exchange: Exchange) -> None:
    with scripted(drip) as server:
        error, outcome = refusal(exchange, endpoint(server, read_timeout_s=20), call(within_s=0.5))
    assert outcome == "timeout"
    assert "did not answer within" in error.message


@every_client
def test_a_compressed_answer_cannot_grow_past_what_is_counted(exchange: Exchange) -> None:
    """What is counted is what is parsed: either it is taken compressed, or it is counted when it is not any more."""
    bomb = gzip.compress(b'{"a":"' + b"x" * (40 << 20) + b'"}')
    with scripted(answer(bomb, b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip")) as server:
        error, _ = refusal(exchange, endpoint(server))
    assert NONSENSE in error.message or "more than" in error.message
