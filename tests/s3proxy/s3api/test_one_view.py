"""One view of a request: a header means the same whether it came as one or in the query of a presigned URL.

Generated from botocore's model: every operation, with every ``x-amz-*`` header that the API has, and some more.
"""

from functools import cache
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3proxy.s3api.access import require_access
from s3proxy.s3api.credentials import Grant, Principal, Right
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.operation_table import UNSUPPORTED, Operation
from s3proxy.s3api.operations import classify
from s3proxy.s3api.rules import RULES
from s3proxy.serving.handlers import PASSED_ON
from tests.support.s3.api import API, amz_headers, example_of
from tests.support.s3.requests import NOW, sign_with_botocore, verifier

# Said by the signature itself, or read before a request is understood.
OF_THE_SIGNATURE = {"x-amz-content-sha256", "x-amz-date", "x-amz-security-token", "x-amz-decoded-content-length"}
UNKNOWN = (
    "x-amz-of-next-year", "x-amz-meta-colour", "x-amz-meta-seg1", "x-amz-meta-snowball-auto-extract",
    "x-amz-meta-minio-snowball-prefix", "x-amz-snowball-auto-extract", "x-amz-copy-source-of-next-year",
    "x-amz-trailer", "x-amz-checksum-of-next-year",
)  # fmt: skip
HEADERS = sorted({*amz_headers(), *UNKNOWN} - OF_THE_SIGNATURE)
VALUES = {
    "x-amz-acl": ("private", "public-read"),
    "x-amz-copy-source": ("/other/secret", "/bucket/../other/secret", "bucket/a/key?versionId=x"),
    "x-amz-bypass-governance-retention": ("true", "false", "no"),
    "x-amz-object-lock-mode": ("COMPLIANCE",),
}
ALL = frozenset(Right)
PRINCIPALS = (
    Principal("all", (Grant(("*",), ("",), ALL),)),
    Principal("no-admin", (Grant(("*",), ("",), ALL - {Right.ADMIN}),)),
    Principal("one-bucket", (Grant(("bucket",), ("",), ALL),)),
    Principal("writer", (Grant(("bucket",), ("a/",), frozenset({Right.WRITE})),)),
    Principal("nobody"),
)
OFFERED = [name for name in API if Operation(name) not in UNSUPPORTED]


def outcome(head: RequestHead) -> object:
    """Return all that is decided about a request, for each principal, and all that may go to the store."""
    try:
        verified = verifier().verify(head, now=NOW)
        call = classify(verified.head)
    except S3Error as error:
        return error.code, error.message
    decisions = []
    for principal in PRINCIPALS:
        try:
            require_access(principal, call)
            decisions.append("allowed")
        except S3Error as error:
            decisions.append(error.code)
    parsed = call.operation, call.bucket, call.key, call.query, call.copy_source
    return parsed, sorted(call.headers.items()), tuple(decisions)


def as_header(name: str, more: dict[str, str]) -> RequestHead:
    example = example_of(name)
    target = example.raw_path + (f"?{example.raw_query}" if example.raw_query else "")
    return sign_with_botocore(example.method, target, headers=dict(example.headers) | more)


def in_query(name: str, more: dict[str, str]) -> RequestHead:
    example = example_of(name)
    given = dict(example.headers) | more
    moved = {header: value for header, value in given.items() if header.startswith("x-amz-")}
    left = {header: value for header, value in given.items() if header not in moved}
    # As SDKs do it, which keep the names' capitals.
    query = "&".join(f"{quote(header.title())}={quote(value, safe='')}" for header, value in moved.items())
    target = f"{example.raw_path}?{'&'.join(piece for piece in (example.raw_query, query) if piece)}"
    return sign_with_botocore(example.method, target, headers=left, presign_s=600)


@pytest.mark.parametrize("name", OFFERED)
def test_a_header_means_the_same_in_the_query(name: str) -> None:
    assert outcome(as_header(name, {})) == outcome(in_query(name, {}))
    for header in HEADERS:
        for value in VALUES.get(header, ("true",)):
            expected = outcome(as_header(name, {header: value}))
            assert outcome(in_query(name, {header: value})) == expected, f"{header}: {value}"


@cache
def plain_outcome(name: str) -> object:
    return outcome(as_header(name, {}))


@pytest.mark.parametrize("name", OFFERED)
def test_what_is_in_no_row_of_the_table_changes_nothing(name: str) -> None:
    assert outcome(as_header(name, {"x-amz-of-next-year": "true"})) == plain_outcome(name)
    assert outcome(in_query(name, {"x-amz-of-next-year": "true"})) == plain_outcome(name)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-amz-checksum-of-next-year", "true"),
        ("x-amz-checksum-sha512", ""),
        ("x-amz-checksum-", "AAAA"),
        ("x-amz-sdk-checksum-algorithm", "SHA512"),
        ("x-amz-sdk-checksum-algorithm", ""),
    ],
)
@pytest.mark.parametrize("name", OFFERED)
def test_a_checksum_that_nobody_could_verify_is_refused_wherever_it_is_claimed(
    name: str, header: str, value: str
) -> None:
    for make in (as_header, in_query):
        refusal = outcome(make(name, {header: value}))
        assert isinstance(refusal, tuple)
        assert refusal[0] == "InvalidRequest", make


@given(
    st.sampled_from(OFFERED),
    st.dictionaries(st.sampled_from(HEADERS), st.sampled_from(("true", "/other/x", "")), max_size=4),
)
def test_several_headers_mean_the_same_in_the_query(name: str, more: dict[str, str]) -> None:
    assert outcome(in_query(name, more)) == outcome(as_header(name, more))


SETTING = [name for name in HEADERS if name.startswith(("x-amz-grant-", "x-amz-object-lock-", "x-amz-acl"))]


@pytest.mark.parametrize("header", [*SETTING, "x-amz-bypass-governance-retention"])
@pytest.mark.parametrize("name", OFFERED)
def test_nobody_without_admin_has_a_header_sent_that_sets_what_admin_is_for(name: str, header: str) -> None:
    for head in (as_header(name, {header: "public-read"}), in_query(name, {header: "public-read"})):
        call = classify(verifier().verify(head, now=NOW).head)
        if header in call.headers:
            with pytest.raises(S3Error) as caught:
                require_access(PRINCIPALS[1], call)
            assert caught.value.code == "AccessDenied"


@pytest.mark.parametrize("name", OFFERED)
def test_a_copy_source_goes_to_the_store_with_copies_only_and_with_the_right_to_read_it(name: str) -> None:
    for make in (as_header, in_query):
        head = verifier().verify(make(name, {"x-amz-copy-source": "/other/secret"}), now=NOW).head
        if name not in {"CopyObject", "UploadPartCopy", "PutObject", "UploadPart"}:
            with pytest.raises(S3Error, match="x-amz-copy-source is not a header of"):
                classify(head)
            continue
        call = classify(head)
        assert call.operation.value in {"CopyObject", "UploadPartCopy"}
        assert call.headers["x-amz-copy-source"] == "/other/secret"
        for principal in PRINCIPALS[2:]:
            with pytest.raises(S3Error, match="Access Denied"):
                require_access(principal, call)


def test_every_operation_that_is_passed_on_has_a_row() -> None:
    assert set(PASSED_ON) <= set(RULES)


def test_no_row_sends_what_only_the_proxy_writes() -> None:
    for rule in RULES.values():
        assert not {"x-amz-copy-source", "x-amz-date", "x-amz-content-sha256", "authorization"} & {*rule.headers}
        assert not [name for name in rule.query if name.lower().startswith("x-amz-")]
