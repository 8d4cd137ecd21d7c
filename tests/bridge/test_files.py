"""Entries that are files: what they may hold that a variable may not, and how they come."""

import asyncio
import base64
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.policy import Policy, make_grant
from bridge.service import Limits, RefusedError, Service
from devstack.openbao import OpenBaoServer
from strongroom.errors import UndeliverableError
from strongroom.launch.answer import HEAD_BYTES, decode_layout, index_bytes
from strongroom.launch.bundle import FILES_MEDIA_TYPE, REGION_MEDIA_TYPE, BundleRequest, Entry
from strongroom.launch.region import read_values
from strongroom.launch.value import parse_value
from strongroom.openbao.kv import decode_base64
from tests.bridge.conftest import MakeBridge
from tests.bridge.rooms import ample_room, limits_with
from tests.bridge.secret_source import FakeSecretSource
from tests.bridge.test_service import CALLER, FakeAudit, FakePolicies
from tests.support.bridge.process import SHOP, BridgeProcess


def file_request(files: Mapping[str, str], *, decode: tuple[str, ...] = (), **variables: str) -> BundleRequest:
    entries = [Entry(name, parse_value(value), as_file=True, decode=name in decode) for name, value in files.items()]
    return BundleRequest(
        [*entries, *(Entry(name, parse_value(value)) for name, value in variables.items())], [], frozenset()
    )


def parts_of(answer: bytes) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return variables and files of an answer."""
    front = answer[: HEAD_BYTES + index_bytes(answer[:HEAD_BYTES])]
    layout = decode_layout(front, len(answer))
    position = len(front) + layout.region_bytes
    variables = read_values(answer[len(front) : position])
    files: dict[str, bytes] = {}
    for name, size in layout.files.items():
        files[name] = answer[position : position + size]
        position += size
    return variables, files


def ask(
    data: Mapping[str, object], request: BundleRequest, *, audit: FakeAudit | None = None, limits: Limits | None = None
) -> tuple[dict[str, bytes], dict[str, bytes]]:
    service = Service(
        policies=FakePolicies(Policy((make_grant(identities=[SHOP], paths=["kv/shop/**"]),))),
        secrets=FakeSecretSource({"kv/shop/a": [data]}),
        audit=audit or FakeAudit(),
        limits=limits or limits_with(),
    )
    return parts_of(asyncio.run(service.bundle(CALLER, request, ample_room())))


def test_files_and_variables_come_in_one_answer_with_a_record_for_each() -> None:
    audit = FakeAudit()
    request = file_request(
        {"F": "bao:kv/shop/a#k", "G": "x=${bao:kv/shop/a#k}\ny=${bao:kv/shop/a#l}"}, V="bao:kv/shop/a#l"
    )

    assert ask({"k": "1", "l": "2"}, request, audit=audit) == ({"V": b"2"}, {"F": b"1", "G": b"x=1\ny=2"})
    assert audit.records == [("F", "allowed"), ("G", "allowed"), ("G", "allowed"), ("V", "allowed")]


def test_a_nul_byte_may_stand_in_a_file() -> None:
    assert ask({"k": "a\0b"}, file_request({"F": "bao:kv/shop/a#k"})) == ({}, {"F": b"a\0b"})


@given(st.binary(max_size=200), st.sampled_from([b"", b"\n", b" ", b"\r\n"]))
def test_base64_is_decoded_with_the_line_breaks_of_tools(content: bytes, space: bytes) -> None:
    text = base64.b64encode(content)
    assert decode_base64(text[:20] + space + text[20:] + space) == content


@pytest.mark.parametrize("text", ["%%%", "YQ", "YQ=", "Y Q = = =", "YWJj=", "YQ==YQ==", "_-_-", "YWJjé"])
def test_what_is_not_base64_is_undeliverable_and_not_quoted(text: str) -> None:
    audit = FakeAudit()
    request = file_request({"F": "bao:kv/shop/a#k"}, decode=("F",))
    with pytest.raises(RefusedError) as caught:
        ask({"k": text}, request, audit=audit)

    (failure,) = caught.value.failures
    assert (failure.name, failure.path, failure.key, failure.cause) == ("F", "kv/shop/a", "k", "undeliverable")
    assert "not base64" in failure.detail
    assert text not in failure.detail
    assert audit.records == [("F", "undeliverable")]


def test_texts_and_defaults_are_not_decoded() -> None:
    value = "-- ${bao:kv/shop/a#k} ${bao:kv/shop/a#none?default=YQ==}"
    assert ask({"k": "YQ=="}, file_request({"F": value}, decode=("F",)))[1] == {"F": b"-- a YQ=="}


def test_half_of_a_surrogate_pair_is_undeliverable() -> None:
    with pytest.raises(RefusedError, match="not UTF-8"):
        ask({"k": "\ud800"}, file_request({"F": "bao:kv/shop/a#k"}))


def test_a_missing_optional_file_is_left_out_even_when_it_is_the_only_one() -> None:
    assert ask({}, file_request({"F": "bao:kv/shop/a#k?optional"})) == ({}, {})


def test_too_much_for_files_is_withheld_and_names_the_largest() -> None:
    audit = FakeAudit()
    request = file_request({"SMALL": "bao:kv/shop/a#s", "LARGE": "bao:kv/shop/a#l"})
    with pytest.raises(UndeliverableError, match="2 files need 101 bytes, LARGE alone 100; at most 100") as caught:
        ask({"s": "x", "l": "y" * 100}, request, audit=audit, limits=limits_with(files_bytes=100))

    assert "max_files_bytes" in caught.value.hint
    assert audit.records == [("SMALL", "withheld"), ("LARGE", "withheld")]
    assert ask({"s": "", "l": "y" * 100}, request, limits=limits_with(files_bytes=100))[1]["LARGE"] == b"y" * 100


def test_the_limit_of_the_region_is_none_of_files() -> None:
    data = {"k": "x" * 5000}
    assert ask(data, file_request({"F": "bao:kv/shop/a#k"}), limits=limits_with(region_bytes=64))[1] == {
        "F": b"x" * 5000
    }


def test_a_real_bridge_answers_with_a_media_type_of_its_own(bridge: BridgeProcess) -> None:
    reply = bridge.bundle(file_request({"F": "bao:kv/shop/db#password"}, V="bao:kv/shop/db#user"))

    assert (reply.status, reply.headers["Content-Type"]) == (200, FILES_MEDIA_TYPE)
    assert parts_of(reply.body) == ({"V": b"app"}, {"F": b"second"})
    assert bridge.bundle(file_request({}, V="bao:kv/shop/db#user")).headers["Content-Type"] == REGION_MEDIA_TYPE
    assert [record["name"] for record in bridge.audit(reply.headers["X-Request-Id"])] == ["F", "V"]


def test_one_denied_file_stops_all(bridge: BridgeProcess) -> None:
    reply = bridge.bundle(file_request({"F": "bao:kv/shop/db#password", "G": "bao:kv/other/db#k"}))
    assert (reply.status, reply.failures) == (403, [("G", "denied")])


def test_five_megabytes_come_exactly(bao: OpenBaoServer, make_bridge: MakeBridge) -> None:
    content = bytes(range(256)) * (5 << 12)
    bao.admin.put_v2("kv", "shop/large", {"b64": base64.b64encode(content).decode()})
    request = file_request({"F": "bao:kv/shop/large#b64"}, decode=("F",))

    assert parts_of(make_bridge().bundle(request).body)[1] == {"F": content}
    refused = make_bridge(max_files_bytes=1 << 20).bundle(request)
    assert (refused.status, "max_files_bytes" in refused.detail) == (422, True)
