"""One contract for all key-encryption keys, and what transit alone can do: forbid, forget, be of a wrong type."""

import asyncio
import base64
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from devstack.authority import Authority
from devstack.openbao import OpenBaoServer
from devstack.transit import offer_transit, rotate_key
from s3proxy.keys.kek import Cause, FileKek, Kek, KeyNotAvailableError
from s3proxy.keys.kek_table import KekSettings, KekTable
from s3proxy.keys.policies import Policy
from strongroom.errors import ConfigError, PeerError
from strongroom.sealed.refusal import RefusedError
from strongroom.sealed.wrapping import Form, WrappedKey, parse_wrapped
from strongroom.secret import Secret
from strongroom.service.command import load_settings, parse_arguments

T = TypeVar("T")
Use = Callable[[Callable[[Kek], Awaitable[object]]], object]

RULES = 'path "transit/+/+" { capabilities = ["update"] }\n'
KEY_ID = bytes(range(16))
POLICIES = {name: Policy(name=name, kek=f"transit:{name}", buckets=("*",)) for name in ("main", "other", "rsa", "gone")}


@pytest.fixture(scope="module")
def openbao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBaoServer]:
    directory = tmp_path_factory.mktemp("kek")
    with OpenBaoServer(directory / "openbao", Authority(directory / "tls")) as server:
        server.admin.enable_approle()
        yield server


@pytest.fixture(scope="module")
def login(openbao: OpenBaoServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    settings = offer_transit(openbao, tmp_path_factory.mktemp("login"), keys=("main", "other"))
    openbao.admin.call("POST", "transit/keys/rsa", {"type": "rsa-2048"})
    openbao.admin.write_policy("strongroom-s3proxy", RULES)
    return settings


def settings_of(**given: object) -> KekSettings:
    flags = [f"--{name}={value}" for name, value in given.items()]
    return load_settings(KekSettings, prefix="", arguments=parse_arguments(flags), environ={})


def use_transit(login: dict[str, object], policy: str, work: Callable[[Kek], Awaitable[T]]) -> T:
    async def run() -> T:
        settings = settings_of(**login)
        session = settings.openbao.session()
        assert session is not None
        try:
            return await work(KekTable(settings, session).of([POLICIES[policy]])[policy])
        finally:
            await session.close()

    return asyncio.run(run())


@pytest.fixture(params=["file", "transit"])
def use(request: pytest.FixtureRequest, tmp_path: Path) -> Use:
    if request.param == "file":
        (tmp_path / "kek").write_bytes(base64.b64encode(os.urandom(32)))

        async def with_file(work: Callable[[Kek], Awaitable[object]]) -> object:
            return await work(FileKek(tmp_path / "kek"))

        return lambda work: asyncio.run(with_file(work))
    login = request.getfixturevalue("login")
    return lambda work: use_transit(login, "main", work)


def test_a_wrapped_key_unwraps(use: Use) -> None:
    secret = Secret(os.urandom(32))

    async def work(kek: Kek) -> None:
        wrapped = await kek.wrap(secret, policy="main", key_id=KEY_ID)
        again = parse_wrapped(wrapped.encode())
        assert (await kek.unwrap(again, policy="main", key_id=KEY_ID)).reveal() == secret.reveal()
        assert secret.reveal() not in wrapped.ciphertext

    use(work)


def test_each_wrapping_is_another_one(use: Use) -> None:
    async def work(kek: Kek) -> None:
        wrapped = [await kek.wrap(Secret(bytes(32)), policy="main", key_id=KEY_ID) for _ in range(2)]
        assert wrapped[0].ciphertext != wrapped[1].ciphertext

    use(work)


@pytest.mark.parametrize("place", [("other", KEY_ID), ("main", bytes(16))])
def test_a_key_of_another_policy_or_id_is_refused(use: Use, place: tuple[str, bytes]) -> None:
    async def work(kek: Kek) -> None:
        wrapped = await kek.wrap(Secret(bytes(32)), policy="main", key_id=KEY_ID)
        with pytest.raises(RefusedError) as caught:
            await kek.unwrap(wrapped, policy=place[0], key_id=place[1])
        assert caught.value.rule == 6

    use(work)


@pytest.mark.parametrize("at", [0, 11, 12, 43, 44, 59])
def test_a_damaged_key_is_refused(use: Use, at: int) -> None:
    async def work(kek: Kek) -> None:
        wrapped = await kek.wrap(Secret(bytes(32)), policy="main", key_id=KEY_ID)
        damaged = bytearray(wrapped.ciphertext)
        damaged[at] ^= 1
        with pytest.raises(RefusedError):
            await kek.unwrap(WrappedKey(wrapped.form, wrapped.version, bytes(damaged)), policy="main", key_id=KEY_ID)

    use(work)


def test_a_key_of_the_other_form_is_refused(use: Use) -> None:
    async def work(kek: Kek) -> None:
        wrapped = await kek.wrap(Secret(bytes(32)), policy="main", key_id=KEY_ID)
        other = Form.KEY_FILE if wrapped.form is Form.TRANSIT else Form.TRANSIT
        with pytest.raises(RefusedError):
            await kek.unwrap(WrappedKey(other, wrapped.version, wrapped.ciphertext), policy="main", key_id=KEY_ID)

    use(work)


def test_versions_open_until_they_are_retired(openbao: OpenBaoServer, login: dict[str, object]) -> None:
    async def wrap(kek: Kek) -> WrappedKey:
        return await kek.wrap(Secret(bytes(32)), policy="other", key_id=KEY_ID)

    async def unwrap(kek: Kek, wrapped: WrappedKey) -> bytes:
        return (await kek.unwrap(wrapped, policy="other", key_id=KEY_ID)).reveal()

    old = use_transit(login, "other", wrap)
    version = rotate_key(openbao, "other")
    new = use_transit(login, "other", wrap)
    assert (old.version, new.version) == (version - 1, version)
    assert use_transit(login, "other", lambda kek: unwrap(kek, old)) == bytes(32)
    openbao.admin.call("POST", "transit/keys/other/config", {"min_decryption_version": version})
    assert use_transit(login, "other", lambda kek: unwrap(kek, new)) == bytes(32)
    # Not damage: nothing is wrong with the object, and the version can be brought back.
    with pytest.raises(KeyNotAvailableError, match=f"version {version - 1} .* is retired") as caught:
        use_transit(login, "other", lambda kek: unwrap(kek, old))
    assert caught.value.cause is Cause.RETIRED
    assert f"min_decryption_version={version - 1}" in caught.value.hint
    newer = WrappedKey(Form.TRANSIT, version + 1, new.ciphertext)
    with pytest.raises(KeyNotAvailableError, match=f"no version {version + 1}") as caught:
        use_transit(login, "other", lambda kek: unwrap(kek, newer))
    assert caught.value.cause is Cause.TOO_NEW


def test_a_key_that_does_not_exist_is_not_made_and_is_no_damage(
    openbao: OpenBaoServer, login: dict[str, object]
) -> None:
    async def wrap(kek: Kek) -> None:
        # Lastingly: coming again does not help. And a new key would open nothing that is sealed already.
        with pytest.raises(KeyNotAvailableError, match="transit/encrypt/gone") as caught:
            await kek.wrap(Secret(bytes(32)), policy="gone", key_id=KEY_ID)
        assert "restore" in caught.value.hint
        assert "do not make a new one" in caught.value.hint
        assert "bao write" not in caught.value.hint
        with pytest.raises(KeyNotAvailableError, match="transit/decrypt/gone") as caught:
            await kek.unwrap(WrappedKey(Form.TRANSIT, 1, bytes(60)), policy="gone", key_id=KEY_ID)
        assert caught.value.cause is Cause.GONE
        assert "do not make a new one" in caught.value.hint
        assert "bao write" not in caught.value.hint

    use_transit(login, "gone", wrap)
    with pytest.raises(PeerError, match="404"):
        openbao.admin.call("GET", "transit/keys/gone")


def test_a_key_of_a_type_without_associated_data_wraps_nothing(login: dict[str, object]) -> None:
    async def wrap(kek: Kek) -> None:
        await kek.wrap(Secret(bytes(32)), policy="rsa", key_id=KEY_ID)

    with pytest.raises(PeerError):
        use_transit(login, "rsa", wrap)


def test_a_dead_token_is_replaced_once(openbao: OpenBaoServer, login: dict[str, object]) -> None:
    async def work(kek: Kek) -> None:
        wrapped = await kek.wrap(Secret(bytes(32)), policy="main", key_id=KEY_ID)
        openbao.admin.call("POST", "sys/leases/revoke-prefix/auth/approle/login")
        assert len(await kek.unwrap(wrapped, policy="main", key_id=KEY_ID)) == 32

    use_transit(login, "main", work)


def test_a_right_that_is_taken_away_is_told_and_logs_in_once(openbao: OpenBaoServer, login: dict[str, object]) -> None:
    """Forbidden by a token that lives is an answer, and no reason to log in again and again."""
    openbao.admin.write_policy("strongroom-s3proxy", RULES.replace("update", "deny"))
    try:

        async def wrap(kek: Kek) -> None:
            with pytest.raises(KeyNotAvailableError, match="does not let the proxy use transit/encrypt/main"):
                await kek.wrap(Secret(bytes(32)), policy="main", key_id=KEY_ID)

        use_transit(login, "main", wrap)
    finally:
        openbao.admin.write_policy("strongroom-s3proxy", RULES)


def test_policies_whose_key_cannot_be_found_stop_the_start(tmp_path: Path) -> None:
    made = KekTable(settings_of(), None)
    for kek in ("file", "transit:main"):
        with pytest.raises(ConfigError, match="policy main"):
            made.of([Policy(name="main", kek=kek, buckets=("*",))])
    (tmp_path / "kek").write_text("c2hvcnQ=")
    with pytest.raises(ConfigError, match="32 bytes"):
        FileKek(tmp_path / "kek")
