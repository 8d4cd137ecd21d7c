"""Conditions of reads and of copies, decided without a store (RFC 9110, section 13.2.2; S3 API reference)."""

import pytest

from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead, make_head
from s3proxy.stored.conditions import range_applies, require_conditions, require_match

ETAG, OTHER = '"abc"', '"def"'
BEFORE, MODIFIED, AFTER = (f"Mon, {day:02} Jan 2024 00:00:00 GMT" for day in (1, 8, 15))
HOLDS, FAILED, UNCHANGED = "", "PreconditionFailed", "NotModified"

CASES = [
    ({}, HOLDS),
    ({"if-match": ETAG}, HOLDS),
    ({"if-match": "abc"}, HOLDS),
    ({"if-match": f"{OTHER}, {ETAG}"}, HOLDS),
    ({"if-match": "*"}, HOLDS),
    ({"if-match": OTHER}, FAILED),
    ({"if-unmodified-since": AFTER}, HOLDS),
    ({"if-unmodified-since": MODIFIED}, HOLDS),
    ({"if-unmodified-since": BEFORE}, FAILED),
    ({"if-unmodified-since": "nonsense"}, HOLDS),
    ({"if-match": ETAG, "if-unmodified-since": BEFORE}, HOLDS),
    ({"if-match": OTHER, "if-unmodified-since": AFTER}, FAILED),
    ({"if-none-match": OTHER}, HOLDS),
    ({"if-none-match": ETAG}, UNCHANGED),
    ({"if-none-match": f"W/{ETAG}"}, UNCHANGED),
    ({"if-none-match": "*"}, UNCHANGED),
    ({"if-modified-since": BEFORE}, HOLDS),
    ({"if-modified-since": MODIFIED}, UNCHANGED),
    ({"if-modified-since": AFTER}, UNCHANGED),
    ({"if-modified-since": "nonsense"}, HOLDS),
    ({"if-none-match": OTHER, "if-modified-since": AFTER}, HOLDS),
    ({"if-none-match": ETAG, "if-modified-since": BEFORE}, UNCHANGED),
    ({"if-match": ETAG, "if-none-match": ETAG}, UNCHANGED),
]


def head(headers: dict[str, str]) -> RequestHead:
    return make_head("GET", "/b/k", headers.items())


def outcome(headers: dict[str, str], prefix: str = "") -> str:
    try:
        require_conditions(head(headers), etag=ETAG, last_modified=MODIFIED, prefix=prefix)
    except S3Error as error:
        return error.code
    return HOLDS


@pytest.mark.parametrize(("headers", "expected"), CASES)
def test_of_a_read(headers: dict[str, str], expected: str) -> None:
    assert outcome(headers) == expected


@pytest.mark.parametrize(("headers", "expected"), CASES)
def test_of_the_source_of_a_copy(headers: dict[str, str], expected: str) -> None:
    prefix = "x-amz-copy-source-"
    of_source = {prefix + name: value for name, value in headers.items()}
    assert outcome(of_source, prefix) == (expected and FAILED)
    assert outcome(of_source) == HOLDS


@pytest.mark.parametrize(
    ("condition", "applies"),
    [("", True), (ETAG, True), (OTHER, False), (MODIFIED, True), (AFTER, False), ("x", False), (ETAG.strip('"'), True)],
)
def test_if_range(condition: str, applies: bool) -> None:  # noqa: FBT001 - what is expected
    assert range_applies(head({"if-range": condition}), etag=ETAG, last_modified=MODIFIED) is applies


def test_a_match_takes_the_etag_that_clients_know_and_no_other() -> None:
    for value in (ETAG, f"{OTHER}, {ETAG}", "*"):
        require_match(value, ETAG)
    with pytest.raises(S3Error, match="did not hold"):
        require_match(OTHER, ETAG)


@pytest.mark.parametrize("name", ["if-modified-since", "if-unmodified-since"])
@pytest.mark.parametrize(
    "date", ["Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:00 +99999999999999999999", "x"]
)
def test_a_date_that_is_none_counts_for_nothing(name: str, date: str) -> None:
    head = make_head("GET", "/bucket/key", [(name, date)])
    require_conditions(head, etag='"e"', last_modified="Mon, 01 Jan 2024 00:00:00 GMT")
