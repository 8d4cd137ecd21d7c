"""The short way to verify a signature: it says yes to nothing that the long way would refuse, and keeps no stranger."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3proxy.s3api.canonical import encode_query
from s3proxy.s3api.credentials import Credential, Credentials, Principal
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead, make_head
from s3proxy.s3api.known_signers import KnownSigners
from s3proxy.s3api.signing_keys import SigningKeys
from s3proxy.s3api.sigv4 import Verified, Verifier
from strongroom.secret import Secret
from tests.support.s3.requests import (
    ACCESS_KEY_ID,
    AWS,
    HOST,
    NOW,
    SECRET_KEY,
    aws_request,
    sign_with_botocore,
    verifier,
)

UNSIGNED = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
Pairs = list[tuple[str, str]]


def outcome(by: Verifier, head: RequestHead, now: datetime = NOW) -> object:
    """Everything that the verification of a request tells."""
    try:
        verified = by.verify(head, now=now)
    except S3Error as error:
        return error.code, error.message, error.hint, error.details
    return shown(verified)


def shown(verified: Verified) -> object:
    signing = verified.chunk_signing
    chunks = signing and (signing.key.reveal(), signing.timestamp, signing.scope, signing.seed)
    return verified.principal, verified.head, verified.payload, verified.payload_sha256, chunks


def by_what_is_known(by: Verifier, head: RequestHead, now: datetime = NOW) -> Verified | None:
    return by.verify_known(head, now_s=now.timestamp())


def requests() -> list[RequestHead]:
    """Some that are signed in their headers, each in another way."""
    aws = [aws_request(name) for name, request in AWS["requests"].items() if "presigned" not in name]
    return [
        *(head for head in aws if head.has("authorization")),
        sign_with_botocore("GET", "/b/k", headers=UNSIGNED),
        sign_with_botocore("PUT", "/b/a%20b%2C", headers={"x-amz-content-sha256": "ab" * 32, "x-amz-meta-a": "b"}),
        sign_with_botocore("GET", "/b?list-type=2&prefix=a%2Fb", headers=UNSIGNED),
        sign_with_botocore("PUT", "/b/k?x-id=PutObject", headers=UNSIGNED | {"x-amz-meta-a": "b:  c \t d"}),
    ]


REQUESTS = requests()


def acquainted() -> Verifier:
    """A verifier that has verified all of them."""
    by = verifier()
    for head in REQUESTS:
        by.verify(head, now=NOW)
    return by


ACQUAINTED = acquainted()


@pytest.mark.parametrize("head", REQUESTS)
def test_a_request_of_a_known_signer_is_verified_at_once_as_by_the_long_way(head: RequestHead) -> None:
    found = by_what_is_known(ACQUAINTED, head)
    assert found is not None
    assert shown(found) == outcome(verifier(), head)


@pytest.mark.parametrize("head", REQUESTS)
def test_nothing_is_known_of_whom_nobody_has_verified(head: RequestHead) -> None:
    assert by_what_is_known(verifier(), head) is None


QUERIES = st.dictionaries(
    st.sampled_from(["x-id", "versionId", "list-type", "prefix", "a", "a-b", "A", "Expires2", "acl"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6),
    max_size=3,
)
HEADERS = st.dictionaries(
    st.from_regex(r"x-amz-meta-[a-d]", fullmatch=True), st.from_regex(r"[!-~]([ -~]{0,9}[!-~])?", fullmatch=True)
)


@given(st.sampled_from(["/b/k", "/b/a%40b%2F%C3%A4", "/b//c", "/"]), QUERIES, HEADERS)
def test_whatever_a_known_signer_signs_is_verified_as_by_the_long_way(
    path: str, query: dict[str, str], headers: dict[str, str]
) -> None:
    by = verifier()
    by.verify(sign_with_botocore("GET", "/b/other", headers=UNSIGNED | headers), now=NOW)
    target = f"{path}?{encode_query(query.items())}" if query else path
    head = sign_with_botocore("GET", target, headers=UNSIGNED | headers)

    expected = outcome(verifier(), head)
    assert outcome(by, head) == expected
    known = by_what_is_known(by, head)
    assert known is None or shown(known) == expected
    assert (known is not None) == (not any(name[0].isupper() for name in query))


def _replaced(pairs: Pairs, at: int, place: int, character: str) -> Pairs:
    name, value = pairs[at % len(pairs)]
    place %= len(value) + 1
    changed = value[:place] + character + value[place + 1 :]
    return [(name, changed) if one == (name, value) else one for one in pairs]


CHARACTERS = st.sampled_from(["a", "0", "Z", " ", "\t", "  ", ",", "=", "/", ";", "é", "\udcff", ""])
PLACES = st.integers(0, 300)
CHANGES: list[st.SearchStrategy[Callable[[Pairs], Pairs]]] = [
    st.builds(lambda *how: lambda pairs: _replaced(pairs, *how), PLACES, PLACES, CHARACTERS),
    st.builds(lambda at: lambda pairs: [one for i, one in enumerate(pairs) if i != at % len(pairs)], PLACES),
    st.builds(lambda at: lambda pairs: [*pairs, pairs[at % len(pairs)]], PLACES),
    st.builds(
        lambda more: lambda pairs: [*pairs, more],
        st.sampled_from(
            [
                ("x-amz-acl", "public-read"),
                ("x-amz-security-token", ""),
                ("x-amz-meta-a", "c"),
                ("range", "bytes=0-1"),
                ("x-amz-date", "20130524T000001Z"),
                ("expect", "100-continue"),
            ]
        ),
    ),
    st.builds(
        lambda f: lambda pairs: [(n, f(v)) for n, v in pairs], st.sampled_from([str.upper, str.lower, str.title])
    ),
    st.just(lambda pairs: [(name, f" {value.replace(' ', '  ')}\t") for name, value in pairs]),
]
TARGETS = st.sampled_from(
    [
        "", "", "", "?", "&", "?x=y", "&a", "?X-Amz-Date=1", "&Signature=1", "?Signature=1", "?AWSAccessKeyId=a", "%2F",
        "&%53ignature=1", "?%", "&versionId=1",
    ]
)  # fmt: skip
METHODS = st.sampled_from(["", "", "", "OPTIONS", "DELETE", "GET"])
MINUTES = st.sampled_from([0, 0, 0, -16, -15, -14.99, 14.99, 15, 16, 60 * 24])


@settings(max_examples=600)
@given(st.sampled_from(REQUESTS), METHODS, TARGETS, st.lists(st.one_of(CHANGES), max_size=2), MINUTES)
def test_a_changed_request_is_verified_or_refused_as_by_the_long_way(
    head: RequestHead, method: str, more: str, changes: list[Callable[[Pairs], Pairs]], minutes: float
) -> None:
    pairs = list(head.headers)
    for change in changes:
        pairs = change(pairs) or pairs
    target = (f"{head.raw_path}?{head.raw_query}" if head.raw_query else head.raw_path) + more
    try:
        changed = make_head(method or head.method, target, pairs)
    except S3Error:
        return
    now = NOW + timedelta(minutes=minutes)

    expected = outcome(verifier(), changed, now)
    assert outcome(ACQUAINTED, changed, now) == expected
    known = by_what_is_known(ACQUAINTED, changed, now)
    assert known is None or shown(known) == expected


UNSIGNED_HEADERS = [("x-amz-acl", "public-read"), ("x-amz-security-token", "t"), ("x-amz-copy-source", "/b/k")]


@pytest.mark.parametrize("more", UNSIGNED_HEADERS)
@pytest.mark.parametrize("head", REQUESTS)
def test_an_amz_header_that_a_known_signer_has_not_signed_is_refused(head: RequestHead, more: tuple[str, str]) -> None:
    added = head.with_headers([more])
    assert by_what_is_known(ACQUAINTED, added) is None
    assert outcome(ACQUAINTED, added) == outcome(verifier(), added)


def test_the_session_token_of_a_known_signer_is_refused() -> None:
    by = verifier()
    by.verify(sign_with_botocore("GET", "/b/k", headers=UNSIGNED | {"x-amz-security-token": ""}), now=NOW)
    head = sign_with_botocore("GET", "/b/k", headers=UNSIGNED | {"x-amz-security-token": "t"})
    assert by_what_is_known(by, head) is None
    refused = outcome(by, head)
    assert isinstance(refused, tuple)
    assert refused[0] == "InvalidToken"


def test_a_preflight_of_a_known_signer_is_anonymous() -> None:
    head = sign_with_botocore("OPTIONS", "/b/k", headers=UNSIGNED)
    assert by_what_is_known(ACQUAINTED, head) is None
    assert ACQUAINTED.verify(head, now=NOW).principal.is_anonymous


def test_nothing_is_kept_of_a_request_that_was_refused() -> None:
    by = verifier()
    head = REQUESTS[-1]
    wrong = re.sub("[0-9a-f]{64}$", "0" * 64, head.header("authorization"))
    pairs = [(name, wrong if name == "authorization" else value) for name, value in head.headers]
    for after in (timedelta(0), timedelta(hours=1)):
        outcome(by, make_head(head.method, f"{head.raw_path}?{head.raw_query}", pairs), NOW + after)
    assert by_what_is_known(by, head) is None


def test_another_table_of_credentials_knows_nobody_and_a_removed_key_is_refused() -> None:
    keys = SigningKeys()
    head = REQUESTS[-1]
    other = Credential(ACCESS_KEY_ID, Secret(b"another secret key"), Principal(ACCESS_KEY_ID))
    same = Credential(ACCESS_KEY_ID, Secret(SECRET_KEY.encode()), Principal(ACCESS_KEY_ID))
    codes = []
    for table in ({ACCESS_KEY_ID: same}, {ACCESS_KEY_ID: other}, {}):
        by = Verifier(Credentials(table), keys=keys)
        assert by_what_is_known(by, head) is None
        codes.append(outcome(by, head))
    assert isinstance(codes[0], tuple)
    assert codes[0][0] == same.principal
    assert [code[0] for code in codes[1:] if isinstance(code, tuple)] == ["SignatureDoesNotMatch", "InvalidAccessKeyId"]


def test_what_is_kept_has_a_bound() -> None:
    by = verifier()
    for number in range(2000):
        headers = UNSIGNED | {f"x-amz-meta-{number:0>100}": "v"}
        by.verify(sign_with_botocore("GET", "/b/k", headers=headers), now=NOW)
    (known,) = [kept for kept in vars(by).values() if isinstance(kept, KnownSigners)]
    (kept,) = vars(known).values()
    assert 100 < len(kept) < 2000
    assert sum(len(beginning) for beginning, _ in kept.items()) <= kept.limit
    assert by_what_is_known(by, sign_with_botocore("GET", "/b/k", headers=headers)) is not None


def test_a_known_signer_is_known_on_the_day_of_its_scope_only() -> None:
    head = sign_with_botocore("GET", "/b/k", headers=UNSIGNED)
    by = verifier()
    by.verify(head, now=NOW)
    next_day = NOW + timedelta(days=1)
    pairs = [
        (name, next_day.strftime("%Y%m%dT%H%M%SZ") if name == "x-amz-date" else value) for name, value in head.headers
    ]
    assert by_what_is_known(by, make_head("GET", "/b/k", pairs), next_day.astimezone(UTC)) is None
    assert HOST in dict(pairs).values()
