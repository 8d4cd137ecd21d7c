"""The gRPC front by real clients on real ports: errors, health, reflection, limits, mutual TLS and the end."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from devstack.authority import Authority
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
from strongroom.grpc.front import GrpcFront, GrpcLimits
from strongroom.service.health import Health, Part
from strongroom.service.listening import Port
from strongroom.service.logs import JsonFormatter

ECHO = "strongroom.test.Echo"
IDENTITY = "spiffe://example.org/ns/shop/sa/api"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
END_S = 20
Grpc = Any  # what gRPC makes at run time


class Echo:
    """A service of bytes, so that it needs no generated code."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.callers: list[list[bytes]] = []

    async def say(self, request: bytes, context: Grpc) -> bytes:
        self.callers.append(context.auth_context().get("x509_subject_alternative_name", []))
        if self.failure:
            raise self.failure
        return request

    async def wait(self, request: bytes, _: Grpc) -> bytes:
        self.begun.set()
        await self.may_end.wait()
        return request

    async def count(self, request: bytes, _: Grpc) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield str(number).encode()
        if self.failure:
            raise self.failure

    def add(self, server: grpc.aio.Server) -> None:
        methods: Grpc = {
            "Say": grpc.unary_unary_rpc_method_handler(self.say),
            "Wait": grpc.unary_unary_rpc_method_handler(self.wait),
            "Count": grpc.unary_stream_rpc_method_handler(self.count),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(ECHO, methods),))


class Running:
    """A front that serves the service, and a client of it."""

    def __init__(self, front: GrpcFront, echo: Echo, health: Health, address: str) -> None:
        self.front, self.echo, self.health, self.address = front, echo, health, address
        self.channel: Grpc = grpc.aio.insecure_channel(address)
        self.parts = {"store": Part(ok=True)}

    async def say(self, message: bytes = b"x", *, channel: Grpc = None, **options: Grpc) -> bytes:
        answer: bytes = await (channel or self.channel).unary_unary(f"/{ECHO}/Say")(message, timeout=END_S, **options)
        return answer

    async def refusal(self, call: Grpc) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        return caught.value


@contextlib.asynccontextmanager
async def running(
    *, listen: str = "127.0.0.1:0", credentials: Grpc = None, limits: GrpcLimits | None = None
) -> AsyncIterator[Running]:
    echo = Echo()
    parts: dict[str, Part] = {"store": Part(ok=True)}

    async def parts_now() -> dict[str, Part]:
        return parts

    health = Health(parts=parts_now, metrics=lambda: b"")
    port = Port(name="grpc", address=listen)
    front = GrpcFront(port, {ECHO: echo.add}, health=health, credentials=credentials, limits=limits)
    (address,) = await front.open()
    one = Running(front, echo, health, address)
    one.parts = parts
    try:
        yield one
    finally:
        await one.channel.close()
        await front.close()


def run(test: Callable[[Running], Coroutine[Any, Any, None]], **options: Grpc) -> None:
    async def inside() -> None:
        async with running(**options) as one, asyncio.timeout(60):
            await test(one)

    asyncio.run(inside())


def test_a_call_is_answered() -> None:
    async def test(one: Running) -> None:
        assert await one.say(b"hello") == b"hello"
        assert [number async for number in one.channel.unary_stream(f"/{ECHO}/Count")(b"3")] == [b"0", b"1", b"2"]

    run(test)


@pytest.mark.parametrize(
    ("error", "code", "pause"),
    [
        (DeniedError("no grant", hint="add a grant"), grpc.StatusCode.PERMISSION_DENIED, None),
        (NotFoundError("no such path", hint="store it"), grpc.StatusCode.NOT_FOUND, None),
        (UndeliverableError("not text", hint="take a file"), grpc.StatusCode.FAILED_PRECONDITION, None),
        (UnavailableError("sealed", hint="unseal", retry_after_s=2.5), grpc.StatusCode.UNAVAILABLE, "3"),
        (PeerError("nonsense", hint="look between"), grpc.StatusCode.UNAVAILABLE, "1"),
        (IntegrityError("damaged", hint="restore"), grpc.StatusCode.DATA_LOSS, None),
        (ConfigError("no JSON", hint="größer"), grpc.StatusCode.INVALID_ARGUMENT, None),
        (StrongroomError("odd", hint="report it"), grpc.StatusCode.INTERNAL, None),
    ],
)
@pytest.mark.parametrize("method", ["Say", "Count"])
def test_an_error_of_ours_is_told_by_the_table(
    error: StrongroomError, code: grpc.StatusCode, pause: str | None, method: str
) -> None:
    async def test(one: Running) -> None:
        one.echo.failure = error
        if method == "Say":
            told = await one.refusal(one.say())
        else:
            stream = one.channel.unary_stream(f"/{ECHO}/Count")(b"2")
            assert [await stream.read(), await stream.read()] == [b"0", b"1"]
            told = await one.refusal(stream.read())
        assert (told.code(), told.details()) == (code, error.message)
        metadata = dict(told.trailing_metadata())
        assert metadata["hint-bin"] == error.hint.encode()
        assert metadata.get("retry-after") == pause

    run(test)


@pytest.mark.parametrize("method", ["Say", "Count"])
def test_what_nobody_expected_tells_its_text_to_nobody(
    method: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async def test(one: Running) -> None:
        one.echo.failure = ValueError("hunter2")
        call = one.say() if method == "Say" else one.channel.unary_stream(f"/{ECHO}/Count")(b"0").read()
        told = await one.refusal(call)
        assert told.code() == grpc.StatusCode.INTERNAL
        assert "hunter2" not in f"{told.details()}{told.debug_error_string()}{told.trailing_metadata()}"

    run(test)
    (line,) = [JsonFormatter("test").format(record) for record in caplog.records]
    assert "hunter2" not in line + "".join(capfd.readouterr())
    assert all(word in line for word in ("call_failed", f"/{ECHO}/{method}", "ValueError", "test_grpc_front.py"))


def test_health_is_the_readiness_of_the_server() -> None:
    async def test(one: Running) -> None:
        stub: Grpc = health_pb2_grpc.HealthStub(one.channel)
        for service in ("", ECHO):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == SERVING
        unknown = await one.refusal(stub.Check(health_pb2.HealthCheckRequest(service="other")))
        assert unknown.code() == grpc.StatusCode.NOT_FOUND
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        one.parts["store"] = Part(ok=False, detail="gone")
        assert (await watch.read()).status == NOT_SERVING
        one.parts["store"] = Part(ok=True)
        assert (await watch.read()).status == SERVING

    run(test)


def test_reflection_lists_the_services() -> None:
    async def test(one: Running) -> None:
        stub: Grpc = reflection_pb2_grpc.ServerReflectionStub(one.channel)
        asked = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        answer = await asked.read()
        names = {service.name for service in answer.list_services_response.service}
        assert names == {ECHO, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}

    run(test)


def test_a_request_that_is_too_large_is_refused() -> None:
    async def test(one: Running) -> None:
        assert await one.say(bytes(1 << 10)) == bytes(1 << 10)
        told = await one.refusal(one.say(bytes((1 << 10) + 1)))
        assert told.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        told = await one.refusal(one.say(metadata=(("x", "y" * (9 << 10)),)))
        assert told.code() == grpc.StatusCode.RESOURCE_EXHAUSTED

    run(test, limits=GrpcLimits(message_bytes=1 << 10))


def test_a_compressed_request_is_refused() -> None:
    """Or a stranger's KiB becomes a MiB."""

    async def test(one: Running) -> None:
        told = await one.refusal(one.say(bytes(100_000), compression=grpc.Compression.Gzip))
        assert told.code() == grpc.StatusCode.UNIMPLEMENTED
        assert one.echo.callers == []

    run(test)


def test_who_says_nothing_is_cut() -> None:
    async def test(one: Running) -> None:
        host, _, number = one.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(number))
        await asyncio.wait_for(reader.read(), END_S)  # until the server ends it
        writer.close()
        assert await one.say() == b"x"

    run(test, limits=GrpcLimits(handshake_s=0.2))


def test_connections_are_bounded() -> None:
    async def test(one: Running) -> None:
        host, _, number = one.address.rpartition(":")
        assert await one.say() == b"x"  # the only place
        reader, writer = await asyncio.open_connection(host, int(number))
        assert await asyncio.wait_for(reader.read(), END_S) == b""  # closed without HTTP/2's greeting
        writer.close()
        await one.channel.close()
        async with grpc.aio.insecure_channel(one.address) as successor:
            assert await one.say(channel=successor, wait_for_ready=True) == b"x"

    run(test, limits=GrpcLimits(connections=1))


def test_a_port_that_is_taken_is_told() -> None:
    async def test(one: Running) -> None:
        with pytest.raises(ConfigError, match=f"listen={one.address}: cannot be listened on"):
            async with running(listen=one.address):
                pass

    run(test)


def test_every_address_is_listened_on_without_a_host() -> None:
    async def test(one: Running) -> None:
        number = one.address.rpartition(":")[2]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{number}") as channel:
            assert await one.say(channel=channel) == b"x"

    run(test, listen=":0")


def test_a_drain_finishes_calls_and_takes_no_more() -> None:
    async def test(one: Running) -> None:
        stub: Grpc = health_pb2_grpc.HealthStub(one.channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        call = one.channel.unary_unary(f"/{ECHO}/Wait")(b"late")
        await one.echo.begun.wait()
        one.health.draining = True
        one.front.stop_accepting()
        drain = asyncio.create_task(one.front.drain(END_S))
        assert (await watch.read()).status == NOT_SERVING
        async with grpc.aio.insecure_channel(one.address) as newcomer:
            assert (await one.refusal(one.say(channel=newcomer))).code() == grpc.StatusCode.UNAVAILABLE
        assert not drain.done()
        one.echo.may_end.set()
        assert await call == b"late"
        await drain

    run(test)


def test_a_drain_cuts_what_takes_too_long() -> None:
    async def test(one: Running) -> None:
        call = one.channel.unary_unary(f"/{ECHO}/Wait")(b"never")
        await one.echo.begun.wait()
        one.front.stop_accepting()
        await one.front.drain(0.1)
        assert (await one.refusal(call)).code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}

    run(test)


@pytest.mark.parametrize("client", ["known", "stranger", "nobody"])
def test_mutual_tls(tmp_path: Path, client: str) -> None:
    authority, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs", name="Somebody else")
    server = authority.issue_server("server", hosts=("127.0.0.1",))
    pair = (server.key.read_bytes(), server.cert.read_bytes())
    ca = authority.ca_file.read_bytes()
    credentials = grpc.ssl_server_credentials([pair], root_certificates=ca, require_client_auth=True)
    shown: tuple[bytes | None, bytes | None] = (None, None)
    if client != "nobody":
        issued = (authority if client == "known" else theirs).issue_client("client", identities=(IDENTITY,))
        shown = (issued.key.read_bytes(), issued.cert.read_bytes())

    async def test(one: Running) -> None:
        tls = grpc.ssl_channel_credentials(ca, *shown)
        async with grpc.aio.secure_channel(one.address, tls) as channel:
            if client == "known":
                assert await one.say(channel=channel) == b"x"
                assert one.echo.callers == [[IDENTITY.encode()]]
            else:
                told = await one.refusal(one.say(channel=channel))
                assert told.code() == grpc.StatusCode.UNAVAILABLE
                assert one.echo.callers == []

    run(test, credentials=credentials)


def test_a_port_is_not_shared_unless_it_is_asked_for() -> None:
    """gRPC's own servers let any process of the same user listen on the same port and take their calls."""

    async def test(one: Running) -> None:
        host, _, number = one.address.rpartition(":")
        with socket.socket() as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            with pytest.raises(OSError, match="Address already in use"):
                thief.bind((host, int(number)))

    run(test)
