"""Whole paths that become variables: which names, by which rules, and what is refused."""

import json

import pytest

from devstack.openbao import OpenBaoServer
from tests.support.bridge.process import BridgeProcess, bundle_request


def test_a_whole_path_becomes_variables_without_those_named_or_excluded(
    bridge: BridgeProcess, bao: OpenBaoServer
) -> None:
    bao.admin.put_v2("kv", "shop/env", {"HOME": "/x", "A": "1", "B": "2", "NONE": None})
    reply = bridge.bundle(bundle_request(from_path=("bao:kv/shop/env",), exclude=("HOME",), A="bao:kv/shop/db#user"))
    assert reply.values == {"A": "app", "B": "2"}
    names = [record["name"] for record in bridge.audit(reply.headers["X-Request-Id"])]
    assert sorted(str(name) for name in names) == ["A", "B", "NONE"]


@pytest.mark.parametrize(
    "key",
    [
        "LD_PRELOAD",
        "LD_AUDIT",
        "DYLD_INSERT_LIBRARIES",
        "GLIBC_TUNABLES",
        "MALLOC_CONF",
        "GCONV_PATH",
        "RESOLV_HOST_CONF",
        "STRONGROOM_REQUIRE",
        "not-a-name",
        "1ST",
    ],
)
def test_a_key_that_must_not_become_a_variable_is_refused(bridge: BridgeProcess, bao: OpenBaoServer, key: str) -> None:
    bao.admin.put_v2("kv", "shop/evil", {key: "/tmp/evil.so"})  # noqa: S108 - a value
    reply = bridge.bundle(bundle_request(from_path=("bao:kv/shop/evil",)))
    assert reply.status == 422
    assert key in reply.detail
    assert bridge.bundle(bundle_request(from_path=("bao:kv/shop/evil",), exclude=(key,))).values == {}


ODD = {"tls.crt": "c", "db-password": "p", "1st": "f", "GOOD": "g", "m\u00fcll": "m"}


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("?names=skip", {"GOOD": "g"}),
        ("?names=convert", {"tls_crt": "c", "db_password": "p", "_1st": "f", "GOOD": "g", "m_ll": "m"}),
        ("?names=skip&prefix=X_", {"X_1st": "f", "X_GOOD": "g"}),
        ("?names=convert&prefix=X_&case=upper&include=*s*&exclude=*.crt", {"X_DB_PASSWORD": "p", "X_1ST": "f"}),
        ("?include=GOOD", {"GOOD": "g"}),
        ("?exclude=tls.crt&exclude=db-*&exclude=1st&exclude=m%C3%BCll", {"GOOD": "g"}),
    ],
)
def test_keys_that_cannot_be_variables_are_skipped_or_converted_where_that_is_asked_for(
    bridge: BridgeProcess, bao: OpenBaoServer, option: str, values: dict[str, str]
) -> None:
    bao.admin.put_v2("kv", "shop/odd", dict(ODD))
    reply = bridge.bundle(bundle_request(from_path=(f"bao:kv/shop/odd{option}",)))
    assert reply.values == values
    records = bridge.audit(reply.headers["X-Request-Id"])
    assert {str(record["name"]) for record in records} == values.keys()
    refused = bridge.bundle(bundle_request(from_path=("bao:kv/shop/odd",)))
    assert refused.status == 422
    assert "names=skip" in refused.detail
    assert "?exclude=1st leaves out this one" in refused.detail


@pytest.mark.parametrize(
    "data", [{"LD.PRELOAD": "x"}, {"STRONGROOM-REGION": "x"}, {"a.b": "1", "a-b": "2"}, {"a.b": "1", "a_b": "2"}]
)
def test_a_converted_name_is_held_to_the_same_rules(
    bridge: BridgeProcess, bao: OpenBaoServer, data: dict[str, str]
) -> None:
    bao.admin.put_v2("kv", "shop/evil", dict(data))
    assert bridge.bundle(bundle_request(from_path=("bao:kv/shop/evil?names=convert",))).status == 422


@pytest.mark.parametrize(
    ("data", "option", "words"),
    [
        ({"PRELOAD": "x"}, "prefix=LD_", "would steer"),
        ({"path": "x", "PATH": "y"}, "case=upper", "the key 'path' of"),
        ({"a-b": "1", "a.b": "2"}, "names=convert&prefix=X_", "both become the variable X_a_b"),
    ],
)
def test_a_prefix_and_capitals_are_held_to_the_same_rules_and_a_collision_names_both_keys(
    bridge: BridgeProcess, bao: OpenBaoServer, data: dict[str, str], option: str, words: str
) -> None:
    bao.admin.put_v2("kv", "shop/evil", dict(data))
    reply = bridge.bundle(bundle_request(from_path=(f"bao:kv/shop/evil?{option}",)))
    assert reply.status == 422
    assert words in reply.detail
    if len(data) > 1:
        assert all(repr(key) in reply.detail for key in data)
        assert "?exclude=" in reply.detail


@pytest.mark.parametrize("option", ["include=public_*", "include=public_u*&exclude=p*_x", "exclude=private_key"])
def test_what_is_left_out_needs_no_grant(bridge: BridgeProcess, option: str) -> None:
    reply = bridge.bundle(bundle_request(from_path=(f"bao:kv/common?{option}",)))
    assert reply.values == {"public_url": "https://x"}
    assert {record["key"] for record in bridge.audit(reply.headers["X-Request-Id"])} == {"public_url"}


def test_an_excluded_name_excludes_the_converted_one(bridge: BridgeProcess, bao: OpenBaoServer) -> None:
    bao.admin.put_v2("kv", "shop/odd", dict(ODD))
    request = bundle_request(from_path=("bao:kv/shop/odd?names=convert",), exclude=("tls_crt",))
    assert "tls_crt" not in bridge.bundle(request).values


def test_a_key_of_a_whole_path_that_the_policy_does_not_grant_is_denied(bridge: BridgeProcess) -> None:
    reply = bridge.bundle(bundle_request(from_path=("bao:kv/common",)))
    assert (reply.status, reply.failures) == (403, [("", "denied")])
    assert "does not grant 1 of its 2 keys" in reply.detail
    assert b"private_key" not in reply.body  # what it may not read it is not told the name of
    records = bridge.audit(reply.headers["X-Request-Id"])
    assert [(r["key"], r["decision"]) for r in records] == [("private_key", "denied"), ("public_url", "withheld")]
    assert bridge.bundle(bundle_request(from_path=("bao:kv/common",), exclude=("private_key",))).values == {
        "public_url": "https://x"
    }


@pytest.mark.parametrize(
    "options",
    [
        "include={}*",
        "include=*{}*&names=skip",
        "include=public_*&include={}*",
        "exclude={}*",
        "exclude=*{}*&case=upper",
    ],
)
def test_patterns_do_not_tell_the_names_of_keys_that_the_policy_does_not_grant(
    bridge: BridgeProcess, options: str
) -> None:
    """Else a caller would find any name letter by letter, from which patterns are refused and in what numbers."""
    asked = [bundle_request(from_path=(f"bao:kv/common?{options.format(text)}",)) for text in ("priv", "prix")]
    right, wrong = (bridge.bundle(request) for request in asked)
    assert (right.status, wrong.status) == (403, 403)
    assert right.body == wrong.body
    checked = [json.loads(bridge.check(request).body)["from_path"] for request in asked]
    assert checked[0] == checked[1]


def test_an_optional_whole_path_may_be_missing(bridge: BridgeProcess) -> None:
    assert bridge.bundle(bundle_request(from_path=("bao:kv/shop/nothing?optional",))).values == {}
    assert bridge.bundle(bundle_request(from_path=("bao:kv/shop/nothing",))).failures == [("", "missing")]


def test_a_key_in_two_whole_paths_is_refused(bridge: BridgeProcess, bao: OpenBaoServer) -> None:
    bao.admin.put_v2("kv", "shop/one", {"K": "1"})
    bao.admin.put_v2("kv", "shop/two", {"K": "2"})
    reply = bridge.bundle(bundle_request(from_path=("bao:kv/shop/one", "bao:kv/shop/two")))
    assert (reply.status, reply.failures) == (422, [("K", "undeliverable")])
