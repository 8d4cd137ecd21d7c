"""One wrong secret id must not lock the role for all who use it: with a real OpenBao and its user lockout."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.authority import Authority
from devstack.openbao import OpenBaoServer
from strongroom.openbao.blocking import BlockingOpenBao
from strongroom.openbao.connection import Answer, Call, Endpoint, Route
from strongroom.openbao.login import RETRY_S, Credentials, Login, LoginRefusedError


@pytest.fixture(scope="module")
def openbao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBaoServer]:
    directory = tmp_path_factory.mktemp("lockout")
    with OpenBaoServer(directory / "openbao", Authority(directory / "tls")) as server:
        server.admin.enable_approle()
        yield server


def locked(openbao: OpenBaoServer) -> int:
    data = openbao.admin.call("GET", "sys/locked-users")["data"]
    assert isinstance(data, dict)
    return int(data["total"])


def test_a_wrong_secret_id_locks_nobody_out_and_a_locked_role_is_named(openbao: OpenBaoServer, tmp_path: Path) -> None:
    role_id, secret_id = openbao.admin.create_role("shared", policies=["default"], ttl="1h")
    (tmp_path / "role").write_text(role_id)
    (tmp_path / "secret").write_text("00000000-0000-0000-0000-000000000000")
    credentials = Credentials(role_id_file=tmp_path / "role", secret_id_file=tmp_path / "secret")
    ahead_s = 0.0
    client = BlockingOpenBao(Route(Endpoint(openbao.address, ca_file=openbao.ca_file)))

    async def exchange(call: Call) -> Answer:
        return await asyncio.to_thread(client.exchange, call)

    login = Login(credentials, exchange, clock=lambda: time.monotonic() + ahead_s)

    async def work() -> None:
        nonlocal ahead_s
        for _ in range(20):
            await login.tick()
            ahead_s += RETRY_S + 0.1
        assert locked(openbao) == 0
        (tmp_path / "secret").write_text(secret_id)
        await login.tick()
        await login.require_live()
        await login.revoke()

        wrong = {"role_id": role_id, "secret_id": "00000000-0000-0000-0000-000000000001"}
        while not locked(openbao):  # somebody else does what we do not
            deadline = time.monotonic() + 10
            call = Call(operation="login", method="POST", path="auth/approle/login", deadline=deadline, body=wrong)
            await exchange(call)
        with pytest.raises(LoginRefusedError, match="permission denied") as caught:
            await login.token()
        assert "bao read sys/locked-users" in caught.value.hint

    asyncio.run(work())
