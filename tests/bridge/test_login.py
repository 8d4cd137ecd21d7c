"""The bridge's own login: when it renews, when it logs in anew, and what it does while OpenBao is away."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from strongroom.errors import ConfigError, PeerError, UnavailableError
from strongroom.openbao.connection import Answer, Call
from strongroom.openbao.lease import Lease, Step, next_step
from strongroom.openbao.login import (
    LOCKED_RETRY_S,
    REFUSED_RETRY_S,
    RETRY_S,
    Credentials,
    Login,
    LoginRefusedError,
)
from strongroom.openbao.refusals import SharedRefusals


@pytest.mark.parametrize(
    ("lease", "now", "step"),
    [
        (Lease(0, 0, renewable=False, first_ttl_s=0), 1e9, Step.KEEP),  # for ever
        (Lease(100, 60, renewable=True, first_ttl_s=60), 139.9, Step.KEEP),
        (Lease(100, 60, renewable=True, first_ttl_s=60), 140, Step.RENEW),
        (Lease(100, 60, renewable=False, first_ttl_s=60), 140, Step.LOGIN),
        (Lease(100, 29, renewable=True, first_ttl_s=60), 128, Step.LOGIN),  # has met its max_ttl
    ],
)
def test_when_a_token_is_due(lease: Lease, now: float, step: Step) -> None:
    assert next_step(lease, now) is step


class ScriptedOpenBao:
    """Grants AppRole tokens t1, t2, … of 60 s; says what the test wants to the rest."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.granted = 0
        self.alive: set[bytes] = set()
        self.renewed_ttl = 60
        self.looked_up_ttl: int | str = 60
        self.down = False
        self.refusal: int | None = None

    async def exchange(self, call: Call) -> Answer:
        self.calls.append(call.operation)
        if self.down:
            raise UnavailableError("OpenBao cannot be reached")
        if call.operation == "login" and self.refusal:
            return Answer(self.refusal, {"errors": ["refused"]})
        if call.operation == "login":
            self.granted += 1
            token = f"t{self.granted}"
            self.alive.add(token.encode())
            return Answer(200, {"auth": {"client_token": token, "lease_duration": 60, "renewable": True}})
        assert call.token is not None
        if call.token.reveal() not in self.alive:
            return Answer(403, {"errors": ["permission denied"]})
        if call.operation == "renew":
            return Answer(200, {"auth": {"lease_duration": self.renewed_ttl, "renewable": True}})
        return Answer(200, {"data": {"ttl": str(self.looked_up_ttl), "renewable": True}})


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def approle(tmp_path: Path) -> Credentials:
    (tmp_path / "role").write_text("role\n")
    (tmp_path / "secret").write_text("secret\n")
    return Credentials(role_id_file=tmp_path / "role", secret_id_file=tmp_path / "secret")


def run(credentials: Credentials, test: Callable[[Login, ScriptedOpenBao, Clock], Awaitable[None]]) -> None:
    async def inner() -> None:
        openbao, clock = ScriptedOpenBao(), Clock()
        await test(Login(credentials, openbao.exchange, clock=clock), openbao, clock)

    asyncio.run(inner())


def test_a_token_of_a_file_is_renewed_even_if_little_of_it_was_left_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a")

    async def test(login: Login, openbao: ScriptedOpenBao, clock: Clock) -> None:
        openbao.alive.add(b"a")
        openbao.looked_up_ttl = 6
        await login.tick()
        assert login.ttl_s == 6
        clock.now += 4
        await login.tick()
        assert openbao.calls == ["lookup", "renew"]
        assert login.ttl_s == 60
        openbao.renewed_ttl = 20  # its max_ttl is near, and there is no other way to get a token
        clock.now += 40
        await login.tick()
        clock.now += 14
        await login.tick()
        assert openbao.calls == ["lookup", "renew", "renew", "renew"]

    run(Credentials(token_file=tmp_path / "token"), test)


def test_a_token_is_renewed_at_two_thirds_and_replaced_at_its_max_ttl(approle: Credentials) -> None:
    async def test(login: Login, openbao: ScriptedOpenBao, clock: Clock) -> None:
        await login.tick()
        assert login.ttl_s == 60
        clock.now += 39
        await login.tick()
        assert openbao.calls == ["login"]
        clock.now += 1
        await login.tick()
        assert openbao.calls == ["login", "renew"]
        assert login.ttl_s == 60
        openbao.renewed_ttl = 10
        clock.now += 40
        await login.tick()
        clock.now += 7
        await login.tick()
        assert openbao.calls == ["login", "renew", "renew", "login"]
        assert (await login.token()).reveal() == b"t2"

    run(approle, test)


@pytest.mark.parametrize("told", ["nan", "soon", "9" * 5000])
def test_a_time_to_live_that_is_no_number_grants_nothing_and_stops_nothing(told: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a")

    async def test(login: Login, openbao: ScriptedOpenBao, clock: Clock) -> None:
        openbao.alive.add(b"a")
        openbao.looked_up_ttl = told
        await login.tick()
        with pytest.raises(PeerError, match="a ttl that is not a number"):
            await login.token()
        openbao.looked_up_ttl = 60
        clock.now += 60
        await login.tick()
        assert (await login.token()).reveal() == b"a"

    run(Credentials(token_file=tmp_path / "token"), test)


def test_a_token_stays_in_use_while_openbao_is_away(approle: Credentials) -> None:
    async def test(login: Login, openbao: ScriptedOpenBao, clock: Clock) -> None:
        await login.tick()
        openbao.down, openbao.renewed_ttl = True, 60
        clock.now += 41
        await login.tick()
        await login.tick()
        assert openbao.calls == ["login", "renew"]  # the second tick comes within the pause
        assert (await login.token()).reveal() == b"t1"
        openbao.down = False
        clock.now += 1.1
        await login.tick()
        assert openbao.calls[-1] == "renew"

    run(approle, test)


def test_a_dead_token_is_told_from_a_denied_path(approle: Credentials) -> None:
    async def test(login: Login, openbao: ScriptedOpenBao, _: Clock) -> None:
        token = await login.token()
        assert await login.replace(token) is None
        openbao.alive.clear()
        fresh, also = await asyncio.gather(login.replace(token), login.replace(token))
        assert fresh is not None
        assert fresh.reveal() == b"t2"
        assert fresh is also
        assert openbao.granted == 2

    run(approle, test)


def test_many_callers_cause_one_login_and_hear_of_one_failure(approle: Credentials) -> None:
    async def test(login: Login, openbao: ScriptedOpenBao, clock: Clock) -> None:
        openbao.down = True
        outcomes = await asyncio.gather(*(login.token() for _ in range(20)), return_exceptions=True)
        assert all(isinstance(outcome, UnavailableError) for outcome in outcomes)
        assert all("cannot be reached" in str(outcome) for outcome in outcomes)
        assert openbao.calls == ["login"]
        openbao.down = False
        clock.now += 1.1
        tokens = await asyncio.gather(*(login.token() for _ in range(20)))
        assert {token.reveal() for token in tokens} == {b"t1"}
        assert openbao.calls == ["login", "login"]

    run(approle, test)


def test_a_token_file_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("a\n")

    async def test(login: Login, openbao: ScriptedOpenBao, _: Clock) -> None:
        openbao.alive = {b"a", b"b"}
        assert (await login.token()).reveal() == b"a"
        path.write_text("bad\n")
        await login.tick()
        assert (await login.token()).reveal() == b"a"  # it still lives
        path.write_text("b\n")
        await login.tick()
        assert (await login.token()).reveal() == b"b"
        openbao.alive.clear()
        with pytest.raises(UnavailableError, match="does not accept the token in"):
            await login.replace(await login.token())

    run(Credentials(token_file=path), test)


def test_a_token_of_a_file_is_not_revoked_and_one_of_approle_is(approle: Credentials, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a")

    async def test(login: Login, openbao: ScriptedOpenBao, _: Clock) -> None:
        openbao.alive.add(b"a")
        await login.token()
        await login.revoke()
        expected = ["login", "revoke"] if login._credentials.role_id_file else ["lookup"]
        assert openbao.calls == expected

    run(approle, test)
    run(Credentials(token_file=tmp_path / "token"), test)


@pytest.mark.parametrize("content", [None, b"", b" \n", b"two\nlines", b"\xff"])
def test_a_file_without_a_token_stops_the_start(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigError, match="token: ") as caught:
        run(Credentials(token_file=tmp_path / "token"), lambda *_: asyncio.sleep(0))
    assert caught.value.hint


def test_ids_that_openbao_refused_are_not_tried_again_unchanged(approle: Credentials) -> None:
    """It counts them, and locks the role for all who use it."""

    async def test(login: Login, openbao: ScriptedOpenBao, clock: Clock) -> None:
        openbao.refusal = 400
        assert approle.secret_id_file is not None
        for _ in range(100):
            clock.now += RETRY_S + 0.1
            await login.tick()
            with pytest.raises(LoginRefusedError, match="refused") as caught:
                await login.token()
            assert str(approle.secret_id_file) in caught.value.hint
            approle.secret_id_file.write_text("secret\n")  # an agent that writes the same one again and again
        assert openbao.calls == ["login"]
        clock.now += REFUSED_RETRY_S
        await login.tick()
        assert openbao.calls == ["login", "login"]
        openbao.refusal = None
        approle.secret_id_file.write_text("another\n")
        await login.tick()
        assert (await login.token()).reveal() == b"t1"

    run(approle, test)


def test_a_locked_role_is_named_and_tried_again_soon(approle: Credentials) -> None:
    async def test(login: Login, openbao: ScriptedOpenBao, clock: Clock) -> None:
        openbao.refusal = 403
        with pytest.raises(LoginRefusedError) as caught:
            await login.token()
        for text in ("sys/locked-users", "unlock", "openbao_approle_mount"):
            assert text in caught.value.hint
        openbao.refusal = None
        clock.now += LOCKED_RETRY_S - 1
        await login.tick()
        assert openbao.calls == ["login"]
        clock.now += 1
        await login.tick()
        assert login.ttl_s == 60

    run(approle, test)


def test_a_token_that_has_run_out_is_no_token(approle: Credentials) -> None:
    async def test(login: Login, openbao: ScriptedOpenBao, clock: Clock) -> None:
        await login.token()
        openbao.refusal = 400
        clock.now += 60
        with pytest.raises(LoginRefusedError):
            await login.token()
        with pytest.raises(LoginRefusedError):
            await login.require_live()

    run(approle, test)


def test_a_token_that_openbao_does_not_know_any_more_is_found_before_a_request_meets_it(approle: Credentials) -> None:
    async def test(login: Login, openbao: ScriptedOpenBao, _: Clock) -> None:
        await login.require_live()
        openbao.alive.clear()
        await login.require_live()
        assert (await login.token()).reveal() == b"t2"
        openbao.alive.clear()
        openbao.refusal = 400
        with pytest.raises(LoginRefusedError):
            await login.require_live()
        assert login.ttl_s == 0

    run(approle, test)


def test_a_token_that_may_not_look_itself_up_is_not_replaced_at_every_look(approle: Credentials) -> None:
    class WithoutDefaultPolicy(ScriptedOpenBao):
        async def exchange(self, call: Call) -> Answer:
            if call.operation == "lookup":
                return Answer(403, {"errors": ["permission denied"]})
            return await super().exchange(call)

    async def work() -> None:
        openbao = WithoutDefaultPolicy()
        login = Login(approle, openbao.exchange)
        for _ in range(5):
            await login.require_live()
        assert openbao.granted == 2

    asyncio.run(work())


def test_processes_that_share_their_files_try_refused_ids_once_together(approle: Credentials, tmp_path: Path) -> None:
    """Eight that begin at the same moment would have the role locked."""

    async def work() -> None:
        openbao, clock = ScriptedOpenBao(), Clock()
        openbao.refusal = 400
        logins = [
            Login(approle, openbao.exchange, clock=clock, shared=SharedRefusals(tmp_path, wait_s=5, clock=clock))
            for _ in range(8)
        ]
        outcomes = await asyncio.gather(*(login.token() for login in logins), return_exceptions=True)
        assert all(isinstance(outcome, LoginRefusedError) for outcome in outcomes)
        assert openbao.calls == ["login"]
        openbao.refusal = None
        assert approle.secret_id_file is not None
        approle.secret_id_file.write_text("another\n")
        for login in logins:
            await login.tick()
            assert login.ttl_s == 60

    asyncio.run(work())
