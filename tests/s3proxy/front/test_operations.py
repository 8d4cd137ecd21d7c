"""Which operation a request is: compared with botocore's model of the S3 API, and the hostile cases."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import botocore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3proxy.front.access import require_access
from s3proxy.front.canonical import encode_path
from s3proxy.front.credentials import ANONYMOUS, Grant, Principal, Right
from s3proxy.front.errors import S3Error
from s3proxy.front.head import RequestHead, make_head
from s3proxy.front.operation_table import UNSUPPORTED, Operation
from s3proxy.front.operations import Call, classify, copy_source

DOMAINS = ("s3.example.com",)
OURS = {Operation.POST_OBJECT, Operation.CORS_PREFLIGHT}  # answered by S3, but in no list of its operations
# Not S3's own endpoint: S3 Express and Object Lambda have hosts of their own.
FOREIGN = {"ListDirectoryBuckets", "WriteGetObjectResponse"}


def api_operations() -> dict[str, Any]:
    folder = Path(botocore.__file__).parent / "data" / "s3" / "2006-03-01"
    model = json.loads(gzip.decompress((folder / "service-2.json.gz").read_bytes()))
    return {name: model["operations"][name] | {"shapes": model["shapes"]} for name in model["operations"]}


# Names that botocore keeps for what is called otherwise now; the requests are the same.
RENAMED = {"GetBucketLifecycle", "PutBucketLifecycle", "GetBucketNotification", "PutBucketNotification"}
API = {name: model for name, model in api_operations().items() if name not in FOREIGN | RENAMED}


def example_of(name: str) -> RequestHead:
    """Build a request for an operation from botocore's model: its path, constant query and required members."""
    model = API[name]
    target = model["http"]["requestUri"].replace("{Bucket}", "bucket").replace("{Key+}", "a/key")
    shape = model["shapes"].get(model.get("input", {}).get("shape"), {})
    headers = []
    for member in shape.get("required", []):
        where = shape["members"][member]
        if where.get("location") == "querystring":
            target += ("&" if "?" in target else "?") + where["locationName"] + "=1"
        elif where.get("location") == "header":
            headers.append((where["locationName"], "bucket/source"))
    return make_head(model["http"]["method"], target, headers)


def call_of(method: str, target: str, **headers: str) -> Call:
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return classify(make_head(method, target, pairs), domains=DOMAINS)


def code_of(method: str, target: str, **headers: str) -> str:
    with pytest.raises(S3Error) as caught:
        call_of(method, target, **headers)
    return caught.value.code


@pytest.mark.parametrize("name", API)
def test_every_operation_of_the_api_is_known_by_its_name(name: str) -> None:
    if Operation(name) in UNSUPPORTED:
        with pytest.raises(S3Error) as caught:
            classify(example_of(name))
        assert (caught.value.code, caught.value.message) == ("NotImplemented", f"{name} is not implemented.")
    else:
        assert classify(example_of(name)).operation.value == name


def test_the_table_holds_no_operation_that_the_api_has_not() -> None:
    assert {operation.value for operation in set(Operation) - OURS} == set(API)


@pytest.mark.parametrize("name", API)
def test_nobody_may_do_anything_without_a_grant(name: str) -> None:
    if Operation(name) in UNSUPPORTED or name == "DeleteObjects":  # which names its keys in the body
        return
    head = example_of(name)
    with pytest.raises(S3Error) as caught:
        require_access(Principal(ANONYMOUS), classify(head), head)
    assert caught.value.code == "AccessDenied"


@pytest.mark.parametrize("name", API)
def test_whoever_has_all_rights_may_do_everything_that_is_offered(name: str) -> None:
    head = example_of(name)
    if Operation(name) not in UNSUPPORTED:
        require_access(Principal("key", (Grant(("*",), ("",), frozenset(Right)),)), classify(head), head)


KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=100).filter(lambda key: len(key.encode()) <= 1024)


@given(KEYS)
def test_keys_are_decoded_exactly_once_in_both_styles(key: str) -> None:
    raw = encode_path("bucket", key)
    assert (call_of("GET", raw).bucket, call_of("GET", raw).key) == ("bucket", key)
    hosted = call_of("GET", raw.removeprefix("/bucket"), host="Bucket.s3.example.com:8190")
    assert (hosted.bucket, hosted.key, hosted.is_virtual_hosted) == ("bucket", key, True)


@pytest.mark.parametrize(
    ("raw", "key"),
    [("a/../c", "a/../c"), ("a//c", "a//c"), ("/c", "/c"), ("a%2fc", "a/c"), ("a+c", "a+c"), ("a%252fc", "a%2fc"),
     ("./", "./"), ("a?", "a"), ("%C3%A9", "é"), ("a%00c", "a\0c")],
)  # fmt: skip
def test_keys_are_not_normalised(raw: str, key: str) -> None:
    assert call_of("GET", "/bucket/" + raw).key == key


@pytest.mark.parametrize(
    "host", ["s3.example.com", "S3.Example.COM.", "127.0.0.1:8190", "[::1]:8190", "xs3.example.com"]
)
def test_other_hosts_are_path_style(host: str) -> None:
    assert call_of("GET", "/bucket/key", host=host).bucket == "bucket"


@pytest.mark.parametrize(
    ("method", "target", "operation"),
    [
        ("GET", "/", "ListBuckets"),
        ("GET", "/?x-id=ListBuckets", "ListBuckets"),
        ("GET", "/bucket", "ListObjects"),
        ("GET", "/bucket/", "ListObjects"),
        ("GET", "/bucket?list-type=2&prefix=a+b", "ListObjectsV2"),
        ("GET", "/bucket/key?partNumber=2&versionId=x&response-content-type=a", "GetObject"),
        ("HEAD", "/bucket/key?partNumber=2", "HeadObject"),
        ("GET", "/bucket/key?cors", "GetObject"),
        ("GET", "/bucket?analytics&id=1", "GetBucketAnalyticsConfiguration"),
        ("OPTIONS", "/bucket/key", "CorsPreflight"),
    ],
)
def test_parameters_that_name_no_subresource_change_nothing(method: str, target: str, operation: str) -> None:
    assert call_of(method, target).operation.value == operation


def test_forms_are_told_by_their_type() -> None:
    assert call_of("POST", "/bucket", content_type="multipart/form-data; boundary=x").operation is Operation.POST_OBJECT
    assert code_of("POST", "/bucket", content_type="text/plain") == "MethodNotAllowed"


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        ("PUT", "/bucket/key?acl&tagging", "InvalidArgument"),
        ("DELETE", "/bucket?uploadId=1", "InvalidArgument"),
        ("DELETE", "/bucket/?uploadId=1", "InvalidArgument"),
        ("PUT", "/bucket/key?cors", "InvalidArgument"),
        ("PUT", "/bucket/key?uploadId=1", "InvalidArgument"),
        ("PUT", "/bucket/key?partNumber=1", "InvalidArgument"),
        ("GET", "/bucket?prefix=a&prefix=b", "InvalidArgument"),
        ("GET", "/bucket?prefix=a&pref%69x=b", "InvalidArgument"),
        ("GET", "/bucket?list-type=3", "InvalidArgument"),
        ("PATCH", "/bucket/key", "MethodNotAllowed"),
        ("POST", "/bucket/key", "MethodNotAllowed"),
        ("PUT", "/", "MethodNotAllowed"),
        ("PUT", "/bucket?versions", "MethodNotAllowed"),
        ("PUT", "/bucket/key?subresource-of-next-year", "NotImplemented"),
        ("DELETE", "/bucket?subresource-of-next-year=", "NotImplemented"),
        ("PUT", "/bucket?website", "NotImplemented"),
        ("POST", "/bucket/key?select&select-type=2", "NotImplemented"),
        ("GET", "/bucket/key?torrent", "NotImplemented"),
        ("GET", "/bu%2Fcket/key", "InvalidBucketName"),
        ("GET", "/..%2f/key", "InvalidBucketName"),
        ("GET", "//key", "InvalidBucketName"),
        ("GET", "/b%00/key", "InvalidBucketName"),
        ("GET", "/b", "InvalidBucketName"),
        ("GET", "/bucket/%ff", "InvalidURI"),
        ("GET", "/bucket/%", "InvalidURI"),
        ("GET", "/bucket/%zz", "InvalidURI"),
        ("GET", "/bucket?prefix=%ff", "InvalidURI"),
        ("GET", "/bucket/" + "k" * 1025, "KeyTooLongError"),
        ("GET", "/bucket/" + "%C3%A9" * 513, "KeyTooLongError"),
    ],
)
def test_ambiguous_unknown_and_malformed_requests_are_refused(method: str, target: str, code: str) -> None:
    assert code_of(method, target) == code


@given(st.text(max_size=60), st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH"]))
def test_any_target_is_classified_or_refused(text: str, method: str) -> None:
    try:
        call_of(method, "/" + text)
    except S3Error as error:
        assert error.status < 500 or error.status == 501  # noqa: PT017 - it may also be accepted


def test_parameters_of_the_signature_are_not_parameters_of_the_call() -> None:
    query = "X-Amz-Signature=1&X-Amz-Date=2&versionId=a%2Bb"
    assert call_of("GET", f"/bucket/key?{query}").query.pairs == (("versionId", "a+b"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/bucket/a/key", ("bucket", "a/key", "")),
        ("bucket/a%20key%2Bx?versionId=v%2B1", ("bucket", "a key+x", "v+1")),
        ("bucket%2Fkey", ("bucket", "key", "")),
        ("bucket/a+b", ("bucket", "a+b", "")),
        ("bucket/a%3FversionId=1", ("bucket", "a?versionId=1", "")),
    ],
)
def test_sources_of_copies_are_read(text: str, expected: tuple[str, str, str]) -> None:
    source = copy_source(make_head("PUT", "/b/k", [("x-amz-copy-source", text)]))
    assert (source.bucket, source.key, source.version_id) == expected


@pytest.mark.parametrize("text", ["", "/", "bucket", "bucket/", "b/key", "bucket/%zz", "bucket/key?versionId="])
def test_malformed_sources_of_copies_are_refused(text: str) -> None:
    with pytest.raises(S3Error) as caught:
        copy_source(make_head("PUT", "/b/k", [("x-amz-copy-source", text)]))
    assert caught.value.code == "InvalidArgument"


def access(principal: Principal, method: str, target: str, **headers: str) -> str:
    head = make_head(method, target, [(name.replace("_", "-"), value) for name, value in headers.items()])
    try:
        require_access(principal, classify(head), head)
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
        access(some, "PUT", "/shop/in/a", x_amz_bypass_governance_retention="TRUE"),
        access(some, "PUT", "/shop/in/a", x_amz_copy_source="shop/secret"),
        access(some, "PUT", "/shop/in/a?uploadId=1&partNumber=1", x_amz_copy_source="other/in/x"),
    ]
    assert denied == ["AccessDenied"] * len(denied)
    assert access(some, "PUT", "/shop/in/a", x_amz_copy_source="log-2/out/x") == "allowed"
    assert access(some, "HEAD", "/shop") == access(some, "GET", "/") == "allowed"
    assert access(some, "HEAD", "/other") == "AccessDenied"
    assert some.visible_buckets(["shop", "other", "log-9"]) == ["shop", "log-9"]


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
        require_access(Principal("some"), classify(head), head)
    assert caught.value.hint == "no grant of the credentials file gives some read on shop/key"
    assert re.search("some|shop", caught.value.message) is None
