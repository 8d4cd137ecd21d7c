"""The service against fakes of its ports: what is read, what is recorded, and in which order."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from bridge.audit import AuditRecord, Caller
from bridge.policy import Policy, make_grant
from bridge.reads import SecretSource
from bridge.service import Limits, RefusedError, Service
from strongroom.errors import DeniedError, StrongroomError, UnavailableError, UndeliverableError
from strongroom.identity import parse_spiffe_id
from strongroom.launch.bundle import BundleRequest
from strongroom.launch.filters import filtered
from strongroom.launch.region import read_values
from strongroom.openbao.kv import Reading
from tests.bridge.rooms import ample_room, limits_with
from tests.bridge.secret_source import FakeSecretSource
from tests.support.bridge.process import SHOP, bundle_request

CALLER = Caller(parse_spiffe_id(SHOP), "192.0.2.1", "r1")


@dataclass
class FakePolicies:
    value: Policy


@dataclass
class FakeAudit:
    error: StrongroomError | None = None
    records: list[tuple[str, str]] = field(default_factory=list)

    async def record(self, caller: Caller, records: Sequence[AuditRecord]) -> None:
        assert caller is CALLER
        if self.error:
            raise self.error
        self.records += [(record.name, record.decision.value) for record in records]


def service(
    source: SecretSource, audit: FakeAudit, *, limits: Limits | None = None, policies: FakePolicies | None = None
) -> Service:
    grant = make_grant(identities=[SHOP], paths=["kv/shop/**"])
    return Service(
        policies=policies or FakePolicies(Policy((grant,))), secrets=source, audit=audit, limits=limits or limits_with()
    )


def ask(asked: Service, request: BundleRequest) -> dict[str, bytes]:
    return read_values(asyncio.run(asked.bundle(CALLER, request, ample_room())))


def test_each_path_and_version_is_read_once() -> None:
    source, audit = FakeSecretSource({"kv/shop/a": [{"k": "1", "l": "2"}, {"k": "3"}]}), FakeAudit()
    request = bundle_request(
        A="bao:kv/shop/a#k",
        B="${bao:kv/shop/a#k}${bao:kv/shop/a#k#1}",
        C="bao:kv/shop/a#l#1",
        from_path=("bao:kv/shop/a",),
    )
    assert ask(service(source, audit), request) == {"A": b"3", "B": b"31", "C": b"2", "k": b"3"}
    assert sorted(source.reads) == [("kv/shop/a", 0), ("kv/shop/a", 1)]
    assert audit.records == [("A", "allowed"), ("B", "allowed"), ("B", "allowed"), ("C", "allowed"), ("k", "allowed")]


def test_nothing_is_read_when_one_reference_is_denied() -> None:
    source, audit = FakeSecretSource({"kv/shop/a": [{"k": "1"}]}), FakeAudit()
    with pytest.raises(RefusedError) as caught:
        ask(service(source, audit), bundle_request(A="bao:kv/shop/a#k", B="bao:kv/b#k", from_path=("bao:kv/c",)))
    assert [(failure.name, failure.path) for failure in caught.value.failures] == [("B", "kv/b"), ("", "kv/c")]
    assert source.reads == []
    assert audit.records == [("B", "denied"), ("", "denied")]


@pytest.mark.parametrize("reference", ["bao:kv/shop/a#k", "bao:kv/b#k", "bao:kv/shop/none#k"])
def test_no_answer_leaves_without_its_record(reference: str) -> None:
    source = FakeSecretSource({"kv/shop/a": [{"k": "1"}]})
    with pytest.raises(UnavailableError, match="disk"):
        ask(service(source, FakeAudit(error=UnavailableError("disk"))), bundle_request(A=reference))


def test_what_openbao_does_not_answer_is_recorded_and_fails_the_request() -> None:
    lost = UnavailableError("OpenBao is sealed", retry_after_s=5)
    source, audit = FakeSecretSource({"kv/shop/a": [{"k": "1"}]}, failing={"kv/shop/b": lost}), FakeAudit()
    request = bundle_request(A="bao:kv/shop/a#k", B="bao:kv/shop/b#k?default=x")
    with pytest.raises(UnavailableError, match="sealed") as caught:
        ask(service(source, audit), request)
    assert caught.value.retry_after_s == 5
    assert audit.records == [("A", "withheld"), ("B", "unavailable")]


def test_one_policy_holds_for_the_whole_request() -> None:
    """A whole path is decided key by key after the read; a policy that changes meanwhile must not mix in."""
    empty = Policy(())
    policies = FakePolicies(Policy((make_grant(identities=[SHOP], paths=["kv/shop/a"]),)))

    class Edits:
        async def read(
            self,
            path: str,
            version: int,
            keys: frozenset[str] | None = None,  # noqa: ARG002
            *,
            identity: str = "",  # noqa: ARG002
        ) -> Reading:
            assert (path, version) == ("kv/shop/a", 0)
            policies.value = empty
            return Reading(1, {"K": "1"})

    asked = service(Edits(), FakeAudit(), policies=policies)
    request = bundle_request(from_path=("bao:kv/shop/a",))
    assert ask(asked, request) == {"K": b"1"}
    with pytest.raises(RefusedError):
        ask(asked, request)


class Slow:
    """Counts how many reads are under way."""

    def __init__(self, pause_s: float) -> None:
        self.now = self.most = 0
        self._pause_s = pause_s

    async def read(
        self,
        path: str,
        version: int,
        keys: frozenset[str] | None = None,  # noqa: ARG002
        *,
        identity: str = "",  # noqa: ARG002
    ) -> Reading:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self._pause_s)
        finally:
            self.now -= 1
        return Reading(version, {"k": path})


def test_one_request_leaves_room_for_others() -> None:
    slow = Slow(0.001)
    request = bundle_request({f"V{number}": f"bao:kv/shop/{number}#k" for number in range(20)})
    assert len(ask(service(slow, FakeAudit(), limits=limits_with(reads_at_once=3)), request)) == 20
    assert slow.most == 3


def test_a_request_that_takes_too_long_is_given_up_as_a_whole() -> None:
    slow, audit = Slow(60), FakeAudit()
    request = bundle_request(A="bao:kv/shop/1#k", B="bao:kv/shop/2#k?optional")
    with pytest.raises(UnavailableError, match=r"reading 2 paths from OpenBao took longer than 0\.05 s"):
        ask(service(slow, audit, limits=limits_with(reading_s=0.05)), request)
    assert audit.records == [("A", "unavailable"), ("B", "unavailable")]
    assert slow.now == 0


def test_a_request_of_one_path_is_given_up_the_same_way() -> None:
    slow, audit = Slow(60), FakeAudit()
    request = bundle_request(A="bao:kv/shop/1#k", B="bao:kv/shop/1#l?optional")
    with pytest.raises(UnavailableError, match=r"reading 1 paths from OpenBao took longer than 0\.05 s"):
        ask(service(slow, audit, limits=limits_with(reading_s=0.05)), request)
    assert audit.records == [("A", "unavailable"), ("B", "unavailable")]
    assert slow.now == 0


def test_a_region_that_would_be_too_large_is_refused() -> None:
    source, audit = FakeSecretSource({"kv/shop/a": [{"k": "x" * 900}]}), FakeAudit()
    request = bundle_request(A="bao:kv/shop/a#k")
    assert ask(service(source, audit, limits=limits_with(region_bytes=2000)), request)
    with pytest.raises(UndeliverableError, match=r"1 secrets need .* bytes; at most 1000"):
        ask(
            service(source, audit, limits=limits_with(region_bytes=1000)),
            bundle_request(A="${bao:kv/shop/a#k}" + "x" * 200),
        )
    assert audit.records == [("A", "allowed"), ("A", "withheld")]


def test_filters_are_applied_where_the_parts_are_joined_and_never_to_defaults() -> None:
    source = FakeSecretSource({"kv/shop/a": [{"k": "p@\"s's/\n", "n": 7, "nul": "\0"}]})
    request = bundle_request(
        URL="pg://u:${bao:kv/shop/a#k|url}@db",
        JSON='{"a": "@{bao:kv/shop/a#k|json}"}',
        SHELL="x=${bao:kv/shop/a#k|shell}",
        B64="bao:kv/shop/a#k|base64",
        NUMBER="bao:kv/shop/a#n|url",
        NUL="bao:kv/shop/a#nul|url",
        DEFAULT="bao:kv/shop/a#none|url?default=a b",
        PLAIN="bao:kv/shop/a#k",
    )
    assert ask(service(source, FakeAudit()), request) == {
        "URL": b"pg://u:p%40%22s%27s%2F%0A@db",
        "JSON": b'{"a": "p@\\"s\'s/\\n"}',
        "SHELL": b"x='p@\"s'\\''s/\n'",
        "B64": b"cEAicydzLwo=",
        "NUMBER": b"7",
        "NUL": b"%00",
        "DEFAULT": b"a b",
        "PLAIN": b"p@\"s's/\n",
    }
    assert source.reads == [("kv/shop/a", 0)]


def test_a_filter_that_has_no_form_for_a_value_stops_the_launch() -> None:
    source, audit = FakeSecretSource({"kv/shop/a": [{"nul": "a\0b"}]}), FakeAudit()
    with pytest.raises(RefusedError, match="NUL byte"):
        ask(service(source, audit), bundle_request(A="bao:kv/shop/a#nul|shell"))
    assert audit.records == [("A", "undeliverable")]


def test_what_filters_make_is_measured_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def spied(filter_name: str, value: bytes) -> bytes:
        made.append(len(value))
        return filtered(filter_name, value)

    monkeypatch.setattr("bridge.resolve.filtered", spied)
    source = FakeSecretSource({"kv/shop/a": [{"k": "\1" * 1000, "l": "\1" * 1000}]})
    request = bundle_request(A="bao:kv/shop/a#k|json", B="bao:kv/shop/a#l|json")
    with pytest.raises(RefusedError, match="more than any answer can have"):
        ask(service(source, FakeAudit(), limits=limits_with(region_bytes=7000, files_bytes=0)), request)
    assert made == [1000]


def test_the_filter_of_a_wrapper_that_does_not_know_filters_is_a_key_that_is_not_there() -> None:
    source = FakeSecretSource({"kv/shop/a": [{"k": "canary"}]})
    request = bundle_request(A="bao:kv/shop/a#k%7Curl")
    with pytest.raises(RefusedError, match="the wrapper is older than filters"):
        ask(service(source, FakeAudit()), request)


@pytest.mark.parametrize("count", [499, 500, 501])
def test_large_requests_are_computed_the_same_way(count: int) -> None:
    data: Mapping[str, object] = {f"k{number}": f"v{number}" for number in range(count)}
    source = FakeSecretSource({"kv/shop/a": [data]})
    request = bundle_request({key: f"bao:kv/shop/a#{key}" for key in data})
    assert ask(service(source, FakeAudit()), request) == {key: str(value).encode() for key, value in data.items()}


def test_a_caller_without_identity_has_no_say() -> None:
    asked = service(FakeSecretSource({}), FakeAudit())
    with pytest.raises(DeniedError):
        asyncio.run(
            asked.bundle(Caller(parse_spiffe_id("https://example.org"), "", ""), bundle_request(), ample_room())
        )
