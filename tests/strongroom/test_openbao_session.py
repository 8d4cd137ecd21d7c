"""What components do with a login at OpenBao: a dead token is replaced, and a refusal that is meant is told."""

import asyncio
import contextlib
import json
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from devstack.authority import Authority
from strongroom.errors import DeniedError, UnavailableError
from strongroom.openbao import secrets
from strongroom.openbao.connection import Endpoint
from strongroom.openbao.login import Credentials
from strongroom.openbao.session import Session
from tests.support.bridge.scripted_openbao import ScriptedOpenBao, answer, scripted
from tests.support.process.waiting import wait_for

Use = Callable[[Session], Awaitable[object]]


async def read(session: Session) -> object:
    return dict((await session.read("kv/a", 0, None, within_s=5)).data)


async def read_secret(session: Session) -> object:
    return await session.read_secret("kv/a")


async def call(session: Session) -> object:
    answer = await session.call("read", "kv/data/a")
    if answer.status == 403:
        raise DeniedError("403", hint="")
    data = answer.document["data"]
    assert isinstance(data, dict)
    return data["data"]


every_use = pytest.mark.parametrize("use", [read, read_secret, call])


class SmallOpenBao(ThreadingHTTPServer):
    """Knows one token and one secret."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.token = "t1"
        self.denies = False
        self.mounted: dict[str, object] = {"path": "kv/", "type": "kv", "options": {"version": "2"}}
        self.reads: list[str] = []
        self.asked: list[str] = []

    def answer(self, path: str, token: str) -> tuple[int, object]:
        if path == "/v1/kv/data/a":
            self.reads.append(token)
        if path.startswith("/v1/sys/internal/ui/mounts/kv"):
            self.asked.append(token)
        if token != self.token or (self.denies and path == "/v1/kv/data/a"):
            return 403, {"errors": ["permission denied"]}
        return 200, {
            "/v1/auth/token/lookup-self": {"data": {"ttl": 60, "renewable": True}},
            "/v1/sys/internal/ui/mounts/kv/a": {"data": self.mounted},
            "/v1/sys/internal/ui/mounts/kv": {"data": self.mounted},
            "/v1/kv/data/a": {"data": {"data": {"k": "v"}, "metadata": {"version": 1}}},
        }[path]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, SmallOpenBao)
        status, document = self.server.answer(self.path, self.headers["X-Vault-Token"])
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - theirs
        pass


@pytest.fixture
def openbao() -> Iterator[SmallOpenBao]:
    with SmallOpenBao() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("t1")
    return tmp_path / "token"


@contextlib.asynccontextmanager
async def session(openbao: SmallOpenBao, token_file: Path) -> AsyncIterator[Session]:
    endpoint = Endpoint(f"http://127.0.0.1:{openbao.server_address[1]}")
    made = Session(endpoint, Credentials(token_file=token_file, holder="the shop"), timeout_s=20)
    try:
        yield made
    finally:
        await made.close()


@every_use
def test_a_dead_token_is_replaced_and_it_is_done_once_more(openbao: SmallOpenBao, token_file: Path, use: Use) -> None:
    def replace_token() -> None:
        openbao.token = "t2"
        token_file.write_text("t2")
        openbao.reads.clear()

    async def work() -> None:
        async with session(openbao, token_file) as used:
            assert await use(used) == {"k": "v"}
            replace_token()
            assert await use(used) == {"k": "v"}

    asyncio.run(work())
    assert openbao.reads[-1] == "t2"
    assert openbao.reads.count("t2") == 1


def test_a_look_ahead_finds_a_dead_token_and_keeps_what_it_knows_of_mounts(
    openbao: SmallOpenBao, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "MOUNT_TTL_S", 0.0)  # due at once, and too old for a read without it

    def replace_token() -> None:
        openbao.token = "t2"
        token_file.write_text("t2")
        openbao.asked.clear()

    async def work() -> None:
        async with session(openbao, token_file) as used:
            await read(used)
            replace_token()
            await used.look_ahead()
            assert openbao.asked == ["t1", "t2"]
            monkeypatch.setattr(secrets, "MOUNT_TTL_S", 60.0)
            assert await read(used) == {"k": "v"}
            assert openbao.asked == ["t1", "t2"]

    asyncio.run(work())


def test_a_look_ahead_never_fails(openbao: SmallOpenBao, token_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "MOUNT_TTL_S", 0.0)

    async def work() -> None:
        async with session(openbao, token_file) as used:
            await read(used)
            openbao.token = "t2"  # and no file has it
            await used.look_ahead()
            openbao.mounted = {"path": "kv/", "type": "pki"}
            openbao.token = "t1"
            await used.tick()
            await used.look_ahead()
            openbao.asked.clear()
            await used.look_ahead()
            assert openbao.asked == []

    asyncio.run(work())


@every_use
def test_a_refusal_that_is_meant_is_not_tried_again(openbao: SmallOpenBao, token_file: Path, use: Use) -> None:
    openbao.denies = True

    async def work() -> None:
        async with session(openbao, token_file) as used:
            with pytest.raises(DeniedError):
                await use(used)

    asyncio.run(work())
    assert openbao.reads == ["t1"]


def test_a_refusal_names_whose_login_it_is(openbao: SmallOpenBao, token_file: Path) -> None:
    openbao.denies = True

    async def work() -> None:
        async with session(openbao, token_file) as used:
            with pytest.raises(DeniedError, match="OpenBao does not let the shop read kv/a"):
                await read(used)

    asyncio.run(work())


def test_another_file_of_authorities_counts_for_the_next_call_and_a_broken_one_for_none(
    tmp_path: Path, token_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection that was made before is not used once its authorities are not in force any more."""
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    files = ours.issue_server("openbao")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files.cert, files.key)
    ca_file = tmp_path / "ca.crt"
    ca_file.write_bytes(ours.ca_file.read_bytes())
    document = {"data": {"ttl": 60, "keys": {}, "data": {"k": "v"}, "metadata": {"version": 1}}}

    async def work(server: ScriptedOpenBao) -> None:
        credentials = Credentials(token_file=token_file, holder="the shop")
        used = Session(Endpoint(server.address, ca_file), credentials, timeout_s=20)
        try:
            await used.call("read", "kv/data/a")
            await used.tick()
            await used.call("read", "kv/data/a")
            assert server.connections == 1
            ca_file.write_text("nothing")
            await used.tick()
            await used.call("read", "kv/data/a")
            assert server.connections == 1
            assert "reload_failed" in caplog.text
            ca_file.write_bytes(theirs.ca_file.read_bytes())
            await used.tick()
            with pytest.raises(UnavailableError, match="certificate of OpenBao is not trusted"):
                await used.call("read", "kv/data/a")
            ca_file.write_bytes(ours.ca_file.read_bytes())
            await used.tick()
            await used.call("read", "kv/data/a")
        finally:
            await used.close()

    with scripted(answer(json.dumps(document).encode()), tls=tls) as server:
        asyncio.run(work(server))


def test_nothing_is_left_open_at_the_end(openbao: SmallOpenBao, token_file: Path) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async def work() -> None:
        for _ in range(5):
            async with session(openbao, token_file) as used:
                await asyncio.gather(*(read(used) for _ in range(8)))

    before = open_files()
    asyncio.run(work())
    wait_for(lambda: open_files() <= before, "both sides have closed")
