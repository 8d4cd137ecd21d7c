"""What is known of mounts: asked once, asked again ahead while the mount is in use, and never believed for too long."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from strongroom.errors import DeniedError, NotFoundError, UnavailableError, UndeliverableError
from strongroom.openbao.connection import Answer, Call
from strongroom.openbao.kv import Mount
from strongroom.openbao.secrets import MOUNT_IN_USE_S, MOUNT_TTL_S, SecretStore
from strongroom.secret import Secret

TOKEN = Secret(b"t")


class MountedOpenBao:
    """Has one secret in one engine, whatever that is called and of whatever version it is."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.calls: list[str] = []
        self.mount: dict[str, object] | None = {"path": "kv/", "type": "kv", "options": {"version": "2"}}
        self.down = False

    def clock(self) -> float:
        return self.now

    async def exchange(self, call: Call) -> Answer:
        self.calls.append(call.operation)
        if self.down:
            raise UnavailableError("OpenBao cannot be reached")
        if call.operation == "mount":
            return Answer(403, {"errors": []}) if self.mount is None else Answer(200, {"data": self.mount})
        is_versioned = self.mount is not None and self.mount["options"]
        if call.path != ("kv/data/a" if is_versioned else "kv/a") or self.mount is None:
            return Answer(404, {"errors": []})
        data: dict[str, object] = {"k": "v"}
        return Answer(200, {"data": {"data": data, "metadata": {"version": 1}} if is_versioned else data})


async def read(store: SecretStore) -> object:
    return dict((await store.read("kv/a", 0, token=TOKEN, deadline=0)).data)


async def look_ahead(store: SecretStore) -> int:
    due = store.due()
    for mount in due:
        await store.confirm(TOKEN, mount=mount, deadline=0)
    return len(due)


async def require_one_trip(store: SecretStore, openbao: MountedOpenBao) -> None:
    """Require that a read asks for no mount."""
    openbao.calls.clear()
    assert await read(store) == {"k": "v"}
    assert openbao.calls == ["read"]


def run(test: Callable[[SecretStore, MountedOpenBao], Awaitable[None]]) -> None:
    openbao = MountedOpenBao()
    store = SecretStore(openbao.exchange, holder="the bridge", clock=openbao.clock)
    asyncio.run(test(store, openbao))  # type: ignore[arg-type]


def test_a_mount_in_use_is_known_after_any_pause() -> None:
    async def test(store: SecretStore, openbao: MountedOpenBao) -> None:
        assert await read(store) == {"k": "v"}
        assert openbao.calls == ["mount", "read"]
        for _ in range(600):
            openbao.now += 1
            await look_ahead(store)
        assert 600 / MOUNT_TTL_S <= openbao.calls.count("mount") - 1 <= 2 * 600 / MOUNT_TTL_S
        await require_one_trip(store, openbao)

    run(test)


def test_a_mount_without_a_look_ahead_is_asked_about_again() -> None:
    async def test(store: SecretStore, openbao: MountedOpenBao) -> None:
        await read(store)
        openbao.now += MOUNT_TTL_S
        await read(store)
        assert openbao.calls == ["mount", "read", "mount", "read"]

    run(test)


def test_a_mount_that_nobody_reads_from_any_more_is_not_asked_about_for_ever() -> None:
    async def test(store: SecretStore, openbao: MountedOpenBao) -> None:
        await read(store)
        openbao.now += MOUNT_IN_USE_S
        assert await look_ahead(store) == 0

    run(test)


def test_an_engine_that_was_replaced_is_found_ahead() -> None:
    async def test(store: SecretStore, openbao: MountedOpenBao) -> None:
        await read(store)
        openbao.mount = {"path": "kv/", "type": "kv", "options": None}
        openbao.now += MOUNT_TTL_S / 2
        assert await look_ahead(store) == 1
        await require_one_trip(store, openbao)

    run(test)


@pytest.mark.parametrize(
    ("mount", "error"),
    [(None, DeniedError), ({"path": "kv/", "type": "pki"}, UndeliverableError)],
    ids=["gone", "another type"],
)
def test_an_engine_that_is_gone_is_not_believed_in(mount: dict[str, object] | None, error: type[Exception]) -> None:
    async def test(store: SecretStore, openbao: MountedOpenBao) -> None:
        await read(store)
        openbao.mount = mount
        openbao.now += MOUNT_TTL_S / 2
        with pytest.raises(error):
            await look_ahead(store)
        store.forget(Mount("kv/", 2))
        assert store.due() == []
        with pytest.raises((NotFoundError, DeniedError, UndeliverableError)):
            await read(store)
        assert openbao.calls[-2] == "mount" or openbao.calls[-1] == "mount"

    run(test)


def test_a_mount_below_another_name_is_known_by_that() -> None:
    async def test(store: SecretStore, openbao: MountedOpenBao) -> None:
        openbao.mount = {"path": "kv/deep/", "type": "kv", "options": {"version": "2"}}
        with pytest.raises(NotFoundError):
            await store.read("kv/deep/a", 0, token=TOKEN, deadline=0)
        openbao.mount = {"path": "kv/", "type": "kv", "options": {"version": "2"}}
        openbao.now += MOUNT_TTL_S / 2
        assert await look_ahead(store) == 1
        await require_one_trip(store, openbao)

    run(test)


def test_an_openbao_that_is_away_makes_no_mount_younger_and_it_is_asked_again_when_it_is_back() -> None:
    async def test(store: SecretStore, openbao: MountedOpenBao) -> None:
        await read(store)
        openbao.down = True
        asked = 0
        for _ in range(int(10 * MOUNT_TTL_S)):
            openbao.now += 1
            if due := store.due():
                asked += len(due)
                with pytest.raises(UnavailableError):
                    await look_ahead(store)
        assert asked <= 20
        openbao.calls.clear()
        with pytest.raises(UnavailableError):
            await read(store)
        assert openbao.calls == ["mount"]  # what was known is too old to be believed
        openbao.down = False
        openbao.now += MOUNT_TTL_S / 2
        assert await look_ahead(store) == 1
        await require_one_trip(store, openbao)

    run(test)


def test_a_miss_asks_again_although_the_mount_was_confirmed_lately() -> None:
    async def test(store: SecretStore, openbao: MountedOpenBao) -> None:
        await read(store)
        openbao.now += MOUNT_TTL_S / 2
        await look_ahead(store)
        openbao.mount = {"path": "kv/", "type": "kv", "options": None}
        openbao.now += 2
        assert await read(store) == {"k": "v"}

    run(test)
