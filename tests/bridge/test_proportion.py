"""What one request of a granted identity may cost: answer, audit and the event loop, in proportion to what it sends."""

import asyncio
import dataclasses
import itertools
import json
import re
import tracemalloc
from collections.abc import Awaitable, Coroutine, Sequence
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.admission import decode_body
from bridge.audit import MAX_DENIED_RECORDS, AuditRecord, Caller, encode_records
from bridge.fronts.answers import problem_of
from bridge.policy import Policy, make_grant
from bridge.reads import SecretSource
from bridge.room import Room
from bridge.service import AuditTrail, Limits, Service
from bridge.settings import BridgeSettings
from strongroom.errors import StrongroomError
from strongroom.identity import MAX_ID_BYTES, parse_spiffe_id
from strongroom.launch.bundle import (
    MAX_NAME_CHARS,
    MAX_PARTS,
    MAX_REFERENCES,
    BundleRequest,
    Entry,
    encode_request,
)
from strongroom.launch.problem import encode_problem
from strongroom.launch.reference import Reference, spell_path
from strongroom.launch.whole_path import FromPath
from strongroom.service.settings import settings_in
from tests.bridge.conftest import MakeBridge
from tests.bridge.rooms import ample_room, limits_with
from tests.bridge.secret_source import FakeSecretSource
from tests.bridge.test_service import FakePolicies
from tests.support.bridge.process import SHOP, bundle_request

MIB = 1 << 20
CALLER = Caller(parse_spiffe_id(SHOP), "192.0.2.1", "0123456789abcdef")
LONGEST = f"{SHOP}-".ljust(MAX_ID_BYTES, "x")
# Records say who asked, from where and when, and a name again for each of 64 parts of its value; the answer of a check
# says all of that, too, and for what is missing the next step.
FACTORS = {"bundle": 16, "plan": 16, "check": 36}
CONSTANT = 100_000  # a hundred records of denials, fifty failures in a problem


class Records:
    """An audit trail that keeps what a file would hold."""

    def __init__(self) -> None:
        self.content = b""

    async def record(self, caller: Caller, records: Sequence[AuditRecord]) -> None:
        self.content += encode_records(caller, records, now=1.7e9)

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.content.splitlines()]


def service(audit: AuditTrail, source: SecretSource | None = None, limits: Limits | None = None) -> Service:
    grant = make_grant(identities=[SHOP, LONGEST], paths=["kv/shop/**"], keys=["k*"])
    secrets = source or FakeSecretSource({"kv/shop/a": [{"k": "value"}]})
    return Service(
        policies=FakePolicies(Policy((grant,))), secrets=secrets, audit=audit, limits=limits or limits_with()
    )


def ask(
    asked: Service, operation: str, request: BundleRequest, room: Room | None = None, *, caller: Caller = CALLER
) -> Coroutine[object, object, bytes]:
    operations = {"bundle": asked.bundle, "plan": asked.plan, "check": asked.check}
    return operations[operation](caller, request, room or ample_room())


async def answer_of(work: Awaitable[bytes]) -> bytes:
    try:
        return await work
    except StrongroomError as error:
        return encode_problem(problem_of(error))


paths = st.sampled_from(["kv/shop/a", "kv/shop/none", "kv/a", "kv/" + "p" * 1021])
references = st.builds(Reference, paths, st.sampled_from(["k", "x", "k" * 512]), optional=st.booleans())
names = st.sampled_from([1, 20, MAX_NAME_CHARS])


@st.composite
def requests(draw: st.DrawFn) -> BundleRequest:
    """Requests of few kinds of entries, each again and again: what is multiplied shows by its number."""
    kinds = draw(st.lists(st.tuples(names, references, st.integers(1, MAX_PARTS)), min_size=1, max_size=3))
    often = draw(st.integers(1, MAX_REFERENCES // (len(kinds) * max(parts for *_, parts in kinds))))
    entries = [
        Entry(f"V{number}_{which}".ljust(length, "_"), [reference] * parts)
        for which, (length, reference, parts) in enumerate(kinds)
        for number in range(often)
    ]
    return BundleRequest(entries, draw(st.lists(st.builds(FromPath, paths), max_size=3)), frozenset())


@settings(max_examples=25, deadline=None)
@given(requests(), st.sampled_from(["bundle", "plan", "check"]))
def test_answer_and_audit_of_any_request_are_in_proportion_to_it(request: BundleRequest, operation: str) -> None:
    audit = Records()
    answer = asyncio.run(answer_of(ask(service(audit), operation, request)))
    assert answer
    assert len(answer) + len(audit.content) <= FACTORS[operation] * len(encode_request(request)) + CONSTANT


@pytest.mark.parametrize("operation", ["bundle", "plan", "check"])
@pytest.mark.parametrize("identity", [SHOP, LONGEST], ids=["short", "longest"])
def test_denials_take_no_more_memory_than_is_said_of_requests_in_flight(operation: str, identity: str) -> None:
    """Each says why: an identity of 2 KiB again and again, where a reference has 25 bytes, and a name stands for 64."""
    rule = settings_in(BridgeSettings)["max_bodies_bytes"].rule
    times = int(rule.why.partition(" times its size")[0].rpartition(" ")[2])
    asked = (Reference(f"a/{number:x}", "k") for number in range(MAX_REFERENCES))
    names = (f"V{number}".ljust(MAX_NAME_CHARS, "_") for number in range(MAX_REFERENCES // MAX_PARTS))
    entries = [Entry(name, list(itertools.islice(asked, MAX_PARTS))) for name in names]
    body = encode_request(BundleRequest(entries, [], frozenset()))
    caller = dataclasses.replace(CALLER, identity=parse_spiffe_id(identity))
    audit = Records()
    tracemalloc.start()
    try:
        answer = asyncio.run(answer_of(ask(service(audit), operation, decode_body(body), caller=caller)))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < times * len(body)
    most = 3 * MAX_DENIED_RECORDS * MAX_ID_BYTES  # who asked, in a record and its reason, and in the answer
    assert len(answer) + len(audit.content) <= FACTORS[operation] * len(body) + CONSTANT + most
    if operation != "bundle":
        reasons = [one["reason"] for one in json.loads(answer)["entries"]]
        assert reasons[0] == f"no grant gives {identity} the path a/0"
        assert reasons[-1] == f"no grant gives this identity the path a/{len(reasons) - 1:x}"


@pytest.mark.parametrize("operation", ["bundle", "plan", "check"])
def test_an_answer_counts_until_its_caller_has_taken_it(operation: str) -> None:
    room = ample_room()
    request = bundle_request({f"V{number}": "bao:kv/shop/a#k" for number in range(1000)})
    answer = asyncio.run(ask(service(Records()), operation, request, room))
    assert room.held == len(answer) > 1000


@pytest.mark.parametrize("operation", ["bundle", "plan"])
def test_of_thousands_of_denied_references_each_is_on_record_in_some_lines(operation: str) -> None:
    """What a caller looks for cannot be hidden behind other references."""
    audit = Records()
    paths = [f"kv/other/{number}" for number in range(2999)] + ["kv/treasury/a b"]
    request = bundle_request({f"V{number}": f"bao:{spell_path(path)}#k" for number, path in enumerate(paths)})
    asyncio.run(answer_of(ask(service(audit), operation, request)))
    each, lists = audit.lines[:MAX_DENIED_RECORDS], audit.lines[MAX_DENIED_RECORDS:]
    assert [(line["name"], line["path"]) for line in each] == [
        (f"V{number}", f"kv/other/{number}") for number in range(MAX_DENIED_RECORDS)
    ]
    assert {line["decision"] for line in audit.lines} == {"denied"}
    asked = [text for line in lists for text in cast("list[str]", line["also"])]
    assert asked == [f"{spell_path(path)}#k" for path in paths[MAX_DENIED_RECORDS:]]
    assert asked[-1] == "kv/treasury/a%20b#k"
    assert sum(cast("int", line["count"]) for line in lists) == 3000 - MAX_DENIED_RECORDS
    assert max(map(len, audit.content.splitlines())) < 16 << 10


@pytest.mark.parametrize("character", ["p", "é", "密", "\U00010400", '"', "'", " "])
@pytest.mark.parametrize("count", [1, 300])
def test_no_character_makes_the_line_of_a_denied_reference_longer_than_what_collects_logs_takes(
    character: str, count: int
) -> None:
    """It would be cut, and what a caller looked for would be gone."""
    audit = Records()
    asked = [Reference(f"kv/{number:03}{character * 1000}x", character * 512) for number in range(count)]
    entries = [Entry(f"V{number}".ljust(MAX_NAME_CHARS, "_"), [ref]) for number, ref in enumerate(asked)]
    asyncio.run(answer_of(ask(service(audit), "plan", BundleRequest(entries, [], frozenset()))))
    assert max(map(len, audit.content.splitlines())) < 16 << 10
    each, lists = audit.lines[:MAX_DENIED_RECORDS], audit.lines[MAX_DENIED_RECORDS:]
    assert len(each) + sum(len(cast("list[str]", line["also"])) for line in lists) == count
    assert all(line["path"] == ref.path for line, ref in zip(each, asked, strict=False))


def test_a_path_of_thousands_of_denied_keys_is_some_records_and_one() -> None:
    audit = Records()
    source = FakeSecretSource({"kv/shop/many": [{f"other{number}": "x" for number in range(3000)}]})
    answer = asyncio.run(
        answer_of(ask(service(audit, source), "bundle", bundle_request(from_path=("bao:kv/shop/many",))))
    )
    assert b"does not grant 3000 of its 3000 keys" in answer
    assert len(audit.lines) == MAX_DENIED_RECORDS + 1
    assert audit.lines[-1]["path"] == "kv/shop/many"


@pytest.mark.parametrize(("operation", "include"), [("bundle", ()), ("check", ()), ("check", ("none",))])
def test_a_path_that_is_taken_again_and_again_is_looked_through_and_recorded_so_often_and_no_more(
    operation: str, include: tuple[str, ...]
) -> None:
    audit = Records()
    source = FakeSecretSource({"kv/shop/many": [{f"k{number}": "" for number in range(10_000)}]})
    paths = [FromPath("kv/shop/many", prefix=f"P{number}_", include=include) for number in range(64)]
    answer = asyncio.run(answer_of(ask(service(audit, source), operation, BundleRequest([], paths, frozenset()))))
    assert b"the whole paths have more than 65535 keys together" in answer
    assert len(audit.lines) <= 65_535 + 64
    refused = [line for line in audit.lines if not line["key"]]
    assert [(line["path"], line["version"], line["decision"]) for line in refused] == [
        ("kv/shop/many", 1, "undeliverable")
    ] * (64 - 6)


@pytest.mark.parametrize(("exclude", "looked_at"), [((), 8), (("a*b",), 4), (("a*b",) * 8, 0)])
def test_the_characters_of_keys_are_looked_at_so_often_and_no_more(exclude: tuple[str, ...], looked_at: int) -> None:
    """A few kilobytes of request would keep a thread of the bridge for minutes, which all others share."""
    audit = Records()
    source = FakeSecretSource({"kv/shop/long": [{f"k{number:0249}": "" for number in range(2000)}]})
    paths = [FromPath("kv/shop/long", prefix=f"P{number}_", exclude=exclude) for number in range(64)]
    answer = asyncio.run(answer_of(ask(service(audit, source), "bundle", BundleRequest([], paths, frozenset()))))
    assert b"the whole paths have more than" in answer
    assert sum(bool(line["key"]) for line in audit.lines) == looked_at * 2000
    assert sum(not line["key"] for line in audit.lines) == 64 - looked_at


@pytest.mark.parametrize("operation", ["bundle", "check"])
def test_a_large_path_that_is_taken_again_and_again_is_in_memory_no_more_often_than_an_answer_has_room_for(
    operation: str,
) -> None:
    source = FakeSecretSource({"kv/shop/large": [{"k": "x" * MIB}]})
    request = BundleRequest([], [FromPath("kv/shop/large", prefix=f"P{number}_") for number in range(64)], frozenset())
    asked = service(Records(), source, limits_with(region_bytes=2 * MIB, files_bytes=1024))
    tracemalloc.start()
    try:
        answer = asyncio.run(answer_of(ask(asked, operation, request)))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    told = re.search(rb"(\d+) bytes; at most 2097152 are delivered", answer)
    assert told is not None
    assert int(told[1]) > 64 * MIB  # all of them are counted
    assert peak_bytes < 8 * MIB


@pytest.mark.parametrize("operation", ["bundle", "check"])
@pytest.mark.parametrize(("names", "path"), [("convert", "kv/shop/odd"), ("refuse", "kv/shop/" + "x/" * 240 + "odd")])
def test_keys_that_cannot_be_variables_take_memory_by_their_number_and_not_by_what_is_said_of_them(
    operation: str, names: str, path: str
) -> None:
    """Each text has both keys and paths, spelled out. Of some it is said why, and of the first of each path."""
    audit = Records()
    keys = ["k" + "\U000e0001" * 51 + f"{number:012b}".translate({48: 0xE0041, 49: 0xE0042}) for number in range(800)]
    source = FakeSecretSource({path: [dict.fromkeys(keys, "x")]})
    request = BundleRequest([], [FromPath(path, names=names)] * 3, frozenset())
    tracemalloc.start()
    try:
        answer = asyncio.run(answer_of(ask(service(audit, source), operation, request)))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes - 2 * len(audit.content) < MIB + 3 * 800 * 1024
    lines = [line for line in audit.lines if line["decision"] == "undeliverable"]
    assert len(lines) == 3 * 800 - (names == "convert")  # one has the name that the others want
    assert {line["key"] for line in lines[-800:]} == set(keys)
    assert sum(path in str(line["reason"]) for line in lines) == 100 + 2
    found = json.loads(answer)
    if operation == "bundle":
        assert f"(and {len(lines) - 1} more)" in found["detail"]
    else:
        assert all(path in taken["reason"] for taken in found["from_path"])


@pytest.mark.parametrize("operation", ["bundle", "check"])
def test_a_long_path_of_many_keys_is_not_recorded_for_each_of_them(operation: str) -> None:
    """A path may have a thousand characters, of four bytes each, and the keys of one request are 65,535."""
    audit = Records()
    path = "kv/shop/" + "\U0001f600" * 1000
    source = FakeSecretSource({path: [{f"k{number:05}": "x" for number in range(8192)}]})
    request = BundleRequest([], [FromPath(path, prefix=f"P{number}_") for number in range(7)], frozenset())
    answer = asyncio.run(answer_of(ask(service(audit, source), operation, request)))
    assert b"8388608 characters in their paths together, which each key counts again" in answer
    assert sum(line["decision"] == "undeliverable" for line in audit.lines) == 6
    assert len(audit.content) < 40 * MIB


def test_a_check_tells_of_each_taking_of_a_path_what_came_of_it() -> None:
    source = FakeSecretSource({"kv/shop/odd": [{"k": "x", "k.y": "x", "k.z": "x"}]})
    paths = [
        FromPath("kv/shop/odd", include=("k",)),
        FromPath("kv/other/denied"),
        FromPath("kv/shop/odd", prefix="A_", names="convert"),
        FromPath("kv/shop/odd", prefix="B_"),
        FromPath("kv/shop/odd", prefix="C_", names="skip"),
    ]
    answer = asyncio.run(answer_of(ask(service(Records(), source), "check", BundleRequest([], paths, frozenset()))))
    found = json.loads(answer)["from_path"]
    assert [(path["state"], path["found_version"]) for path in found] == [
        ("exists", 1),
        ("denied", 0),
        ("exists", 1),
        ("undeliverable", 1),
        ("exists", 1),
    ]
    counts = [path["reason"] for path in found if path["state"] == "exists"]
    assert counts == ["1 keys would be variables", "3 keys would be variables", "1 keys would be variables"]


def test_a_check_and_a_bundle_refuse_the_same_number_of_variables() -> None:
    source = FakeSecretSource({"kv/shop/many": [{f"k{number}": "" for number in range(65_535)}]})
    for extra, is_too_many in ((0, False), (1, True)):
        request = bundle_request(dict.fromkeys(["V"][:extra], "bao:kv/shop/many#k1"), from_path=("bao:kv/shop/many",))
        check = json.loads(asyncio.run(answer_of(ask(service(Records(), source), "check", request))))
        bundle = asyncio.run(answer_of(ask(service(Records(), source), "bundle", request)))
        assert ("65536 variables" in check["too_large"], b"65536 secrets" in bundle) == (is_too_many, is_too_many)


def test_a_check_and_a_bundle_refuse_the_same_size_of_all_variables() -> None:
    source = FakeSecretSource({"kv/shop/many": [{f"k{number}": "x" * 6 for number in range(1000)}]})
    request = bundle_request(from_path=("bao:kv/shop/many",))
    size = len(asyncio.run(answer_of(ask(service(Records(), source), "bundle", request))))
    for largest in (size, size - 1):
        asked = service(Records(), source, limits_with(region_bytes=largest))
        check = json.loads(asyncio.run(answer_of(ask(asked, "check", request))))
        bundle = asyncio.run(answer_of(ask(asked, "bundle", request)))
        is_too_large = largest < size
        assert (f"{size} bytes" in check["too_large"], f"{size} bytes".encode() in bundle) == (is_too_large,) * 2


def test_denied_secrets_are_counted_one_by_one(make_bridge: MakeBridge) -> None:
    bridge = make_bridge()
    reply = bridge.bundle(bundle_request({f"V{number}": f"bao:kv/other/{number}#k" for number in range(500)}))
    assert reply.status == 403
    assert "(and 499 more)" in reply.detail
    assert bridge.metric('strongroom_bridge_secrets_total{decision="denied"}') == 500
