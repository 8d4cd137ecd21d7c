"""What every source of secrets does: the fake that other tests use, and the reader in front of a real OpenBao."""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bridge.reads import CoalescingReader, SecretSource
from devstack.authority import Authority
from devstack.openbao import OpenBaoServer
from strongroom.errors import ConfigError, DeniedError, NotFoundError, StrongroomError, UnavailableError
from strongroom.openbao.client import OpenBao
from strongroom.openbao.connection import Call, Endpoint, Route
from strongroom.openbao.login import Credentials
from strongroom.openbao.session import Session
from tests.bridge.secret_source import FakeSecretSource

Ask = Callable[[Callable[[SecretSource], Awaitable[None]]], None]


@pytest.fixture(params=["fake", "real"])
def ask(request: pytest.FixtureRequest, bao: OpenBaoServer, authority: Authority, reader_token_file: Path) -> Ask:
    """Runs a coroutine with a source."""

    def run(test: Callable[[SecretSource], Awaitable[None]]) -> None:
        async def inner() -> None:
            if request.param == "fake":
                first, second = (
                    {"password": "first", "user": "app"},
                    {"password": "second", "user": "app", "host": "db"},
                )
                await test(
                    FakeSecretSource(
                        {"kv/shop/db": [first, second], "kv/shop/deleted": [None]},
                        denied=frozenset({"kv/shop/forbidden"}),
                    )
                )
                return
            credentials = Credentials(token_file=reader_token_file, holder="the bridge")
            session = Session(Endpoint(bao.address, authority.ca_file), credentials, timeout_s=5)
            try:
                await test(CoalescingReader(session.read, at_once=session.at_once, timeout_s=5))
            finally:
                await session.close()

        asyncio.run(inner())

    return run


def test_the_newest_and_an_older_version_are_read(ask: Ask) -> None:
    async def check(source: SecretSource) -> None:
        newest = await source.read("kv/shop/db", 0)
        assert (newest.version, dict(newest.data)) == (2, {"password": "second", "user": "app", "host": "db"})
        assert (await source.read("kv/shop/db", 1)).data["password"] == "first"

    ask(check)


def test_only_the_keys_that_are_wanted_are_kept(ask: Ask) -> None:
    async def check(source: SecretSource) -> None:
        reading = await source.read("kv/shop/db", 0, frozenset({"user", "nothing"}))
        assert dict(reading.data) == {"user": "app"}
        assert reading.size_bytes < 200

    ask(check)


@pytest.mark.parametrize(
    ("path", "version", "error", "reason"),
    [
        ("kv/shop/nothing", 0, NotFoundError, "there is no secret at kv/shop/nothing"),
        ("kv/shop/db", 9, NotFoundError, "there is no version 9 of kv/shop/db"),
        ("kv/shop/deleted", 0, NotFoundError, "version 1 of kv/shop/deleted was deleted"),
        ("kv/shop/forbidden", 0, DeniedError, "OpenBao does not let the bridge read kv/shop/forbidden"),
    ],
)
def test_each_reason_has_its_error(
    ask: Ask, path: str, version: int, error: type[StrongroomError], reason: str
) -> None:
    async def check(source: SecretSource) -> None:
        with pytest.raises(error, match=reason):
            await source.read(path, version)

    ask(check)


def exchange_with(address: str, ca_file: Path) -> None:
    call = Call(operation="x", method="GET", path="sys/health", deadline=time.monotonic() + 5)

    async def work() -> None:
        client = OpenBao(Route(Endpoint(address, ca_file)))
        try:
            await client.exchange(call)
        finally:
            client.close()

    asyncio.run(work())


def test_an_openbao_with_another_authority_is_not_talked_to(bao: OpenBaoServer, tmp_path: Path) -> None:
    """Neither the system's nor certifi's authorities are added to the file."""
    with pytest.raises(UnavailableError, match="certificate of OpenBao is not trusted"):
        exchange_with(bao.address, Authority(tmp_path / "other").ca_file)


@pytest.mark.parametrize(
    ("common_name", "hosts", "called"),
    [("elsewhere", ("elsewhere.example.org",), "127.0.0.1"), ("localhost", (), "localhost")],
    ids=["another host", "a common name only"],
)
def test_an_openbao_with_another_name_is_not_talked_to(
    authority: Authority, common_name: str, hosts: tuple[str, ...], called: str
) -> None:
    files = authority.issue_server(common_name, hosts=hosts, identities=("spiffe://example.org/ns/shop/sa/api",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_shake_hands, args=(listener, context))
        thread.start()
        with pytest.raises(UnavailableError, match="certificate of OpenBao is not trusted"):
            exchange_with(f"https://{called}:{listener.getsockname()[1]}", authority.ca_file)
        thread.join(10)


def _shake_hands(listener: socket.socket, context: ssl.SSLContext) -> None:
    connection, _ = listener.accept()
    with connection, contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
        tls.recv(1)


def test_secrets_do_not_cross_the_network_in_the_clear() -> None:
    with pytest.raises(ConfigError, match="must be https"):
        Route(Endpoint("http://openbao.example.org:8200"))
    Route(Endpoint("http://127.0.0.1:8200"))


def test_a_missing_authority_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"openbao_ca_file=.*no.crt"):
        Route(Endpoint("https://127.0.0.1:8200", tmp_path / "no.crt"))
