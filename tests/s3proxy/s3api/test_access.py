"""Who may do what: the rights that operations and headers need, and what grants give."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3proxy.s3api.access import require_access
from s3proxy.s3api.credentials import ANONYMOUS, Grant, Principal, Right
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import make_head
from s3proxy.s3api.operation_table import UNSUPPORTED, Operation
from s3proxy.s3api.operations import classify
from tests.s3proxy.s3api.calls import call_of
from tests.support.s3.api import API, example_of


@pytest.mark.parametrize("name", API)
def test_nobody_may_do_anything_without_a_grant(name: str) -> None:
    if Operation(name) in UNSUPPORTED or name == "DeleteObjects":  # which names its keys in the body
        return
    head = example_of(name)
    with pytest.raises(S3Error) as caught:
        require_access(Principal(ANONYMOUS), classify(head))
    assert caught.value.code == "AccessDenied"


@pytest.mark.parametrize("name", API)
def test_whoever_has_all_rights_may_do_everything_that_is_offered(name: str) -> None:
    head = example_of(name)
    if Operation(name) not in UNSUPPORTED:
        require_access(Principal("key", (Grant(("*",), ("",), frozenset(Right)),)), classify(head))


def access(principal: Principal, method: str, target: str, **headers: str) -> str:
    head = make_head(method, target, [(name.replace("_", "-"), value) for name, value in headers.items()])
    try:
        require_access(principal, classify(head))
    except S3Error as error:
        return error.code
    return "allowed"


def test_rights_are_those_of_the_key_and_no_more() -> None:
    some = Principal("some", (Grant(("shop", "log-*"), ("in/", "out/"), frozenset({Right.READ, Right.WRITE})),))
    assert access(some, "GET", "/shop/in/a") == access(some, "PUT", "/log-1/out/b") == "allowed"
    denied = [
        access(some, "GET", "/shop/other/a"),
        access(some, "GET", "/shop/in"),
        access(some, "GET", "/shopping/in/a"),
        access(some, "GET", "/xshop/in/a"),
        access(some, "DELETE", "/shop/in/a"),
        access(some, "GET", "/shop?prefix=in/"),
        access(some, "PUT", "/shop/in/a?acl"),
        access(some, "PUT", "/shop?policy"),
        access(some, "PUT", "/shop"),
        access(some, "PUT", "/shop/in/a", x_amz_copy_source="shop/secret"),
        access(some, "PUT", "/shop/in/a?uploadId=1&partNumber=1", x_amz_copy_source="other/in/x"),
    ]
    assert denied == ["AccessDenied"] * len(denied)
    assert access(some, "PUT", "/shop/in/a", x_amz_copy_source="log-2/out/x") == "allowed"
    ignored = call_of("PUT", "/shop/in/a", x_amz_bypass_governance_retention="true")
    assert not ignored.headers, "nothing is there to be gone past"
    assert access(some, "HEAD", "/shop") == access(some, "GET", "/") == "allowed"
    assert access(some, "HEAD", "/other") == "AccessDenied"
    assert some.visible_buckets(["shop", "other", "log-9"]) == ["shop", "log-9"]


@given(st.lists(st.text("ab*", min_size=1, max_size=8), min_size=1, max_size=3), st.text("ab", max_size=10))
def test_a_star_in_the_name_of_a_bucket_stands_for_anything(patterns: list[str], name: str) -> None:
    meant = any(re.fullmatch(pattern.replace("*", ".*"), name) for pattern in patterns)
    assert Grant(tuple(patterns), ("",), frozenset()).covers(name) == meant


def test_a_bucket_that_is_named_to_be_slow_is_compared_in_one_pass() -> None:
    """The store names those that are listed. A regular expression took minutes; the test's time limit shows it."""
    some = Principal("some", (Grant(("team-*-eu-*-data",), ("",), frozenset()),))
    assert not some.visible_buckets(["team-" + "-eu-" * 250_000])


ALL_BUT_ADMIN = Principal("most", (Grant(("shop",), ("",), frozenset(Right) - {Right.ADMIN}),))


@pytest.mark.parametrize("value", ["true", "TRUE", "yes", "1", "", "true,true", "false,true", "no"])
@pytest.mark.parametrize(("method", "target"), [("DELETE", "/shop/key"), ("POST", "/shop?delete")])
def test_going_past_a_retention_counts_unless_it_says_false(method: str, target: str, value: str) -> None:
    assert access(ALL_BUT_ADMIN, method, target, x_amz_bypass_governance_retention=value) == "AccessDenied"
    for plain in ("false", "False"):
        assert access(ALL_BUT_ADMIN, method, target, x_amz_bypass_governance_retention=plain) == "allowed"
        assert not call_of(method, target, x_amz_bypass_governance_retention=plain).headers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-acl", "public-read"),
        ("x-amz-acl", "authenticated-read"),
        ("x-amz-acl", "private,public-read"),
        ("x-amz-acl", "bucket-owner-read"),
        ("x-amz-acl", "of-next-year"),
        ("x-amz-acl", ""),
        ("x-amz-grant-read", 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'),
        ("x-amz-grant-write-acp", "id=x"),
        ("x-amz-object-lock-mode", "COMPLIANCE"),
        ("x-amz-object-lock-retain-until-date", "2099-01-01T00:00:00Z"),
        ("x-amz-object-lock-legal-hold", "OFF"),
    ],
)
@pytest.mark.parametrize(
    ("method", "target", "more"),
    [
        ("PUT", "/shop/key", {}),
        ("PUT", "/shop/key", {"x_amz_copy_source": "shop/a"}),
        ("POST", "/shop/key?uploads", {}),
    ],
)
def test_what_needs_admin_as_an_operation_needs_it_as_a_header(
    name: str, value: str, method: str, target: str, more: dict[str, str]
) -> None:
    assert access(ALL_BUT_ADMIN, method, target, **more) == "allowed"
    assert access(ALL_BUT_ADMIN, method, target, **more | {name: value}) == "AccessDenied"
    assert access(ALL_BUT_ADMIN, method, target, **more | {"x-amz-acl": "private"}) == "allowed"
    assert access(ALL_BUT_ADMIN, method, target, **more | {"x-amz-acl": "bucket-owner-full-control"}) == "allowed"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_nobody_may_change_the_headers_of_an_answer_by_a_link_alone(method: str) -> None:
    reader = Principal(ANONYMOUS, (Grant(("shop",), ("",), frozenset({Right.READ})),))
    assert access(reader, method, "/shop/key?versionId=1") == "allowed"
    for name in ("cache-control", "content-disposition", "content-encoding", "content-language", "content-type"):
        assert access(reader, method, f"/shop/key?response-{name}=x") == "InvalidRequest"
    assert access(reader, method, "/shop/key?response-expires") == "InvalidRequest"
    assert access(ALL_BUT_ADMIN, method, "/shop/key?response-content-type=text/html") == "allowed"


def test_a_listing_is_allowed_when_all_that_it_can_show_is() -> None:
    lister = Principal("lister", (Grant(("shop",), ("in/",), frozenset({Right.LIST})),))
    assert access(lister, "GET", "/shop?list-type=2&prefix=in/2026") == "allowed"
    for query in ("", "?prefix=", "?prefix=in", "?list-type=2&prefix=other/", "?versions", "?uploads&prefix=i"):
        assert access(lister, "GET", "/shop" + query) == "AccessDenied"


def test_administration_of_a_bucket_needs_the_right_on_all_its_keys() -> None:
    part = Principal("part", (Grant(("shop",), ("in/",), frozenset(Right)),))
    whole = Principal("whole", (Grant(("shop",), ("",), frozenset({Right.ADMIN})),))
    assert access(part, "PUT", "/shop?lifecycle") == "AccessDenied"
    assert access(whole, "PUT", "/shop?lifecycle") == "allowed"
    assert access(whole, "GET", "/shop/key") == "AccessDenied"


def test_every_refusal_of_a_right_says_to_the_operator_what_was_missing() -> None:
    head = make_head("GET", "/shop/key", [])
    with pytest.raises(S3Error) as caught:
        require_access(Principal("some"), classify(head))
    assert caught.value.hint == "no grant of the credentials file gives some read on shop/key"
    assert re.search("some|shop", caught.value.message) is None
