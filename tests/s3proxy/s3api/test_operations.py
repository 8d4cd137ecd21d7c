"""Which operation a request is: compared with botocore's model of the S3 API, and the hostile cases."""

import re
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3proxy.s3api.canonical import canonical_headers, encode_path, encode_text
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import make_head
from s3proxy.s3api.names import parse_copy_source, require_key, require_prefix
from s3proxy.s3api.operation_table import UNSUPPORTED, Operation
from s3proxy.s3api.operations import classify, host_bucket
from tests.s3proxy.s3api.calls import DOMAINS, call_of, code_of
from tests.support.s3.api import API, example_of

OURS = {Operation.POST_OBJECT, Operation.CORS_PREFLIGHT}  # answered by S3, but in no list of its operations


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


NOT_IN_XML = "".join(map(chr, {*range(32)} - {9, 10, 13}))
KEYS = st.text(st.characters(codec="utf-8", exclude_characters=NOT_IN_XML), min_size=1, max_size=100).filter(
    lambda key: len(key.encode()) <= 1024 and not {".", ".."} & set(re.split(r"[/\\]", key))
)


@given(KEYS)
def test_keys_are_decoded_exactly_once_in_both_styles(key: str) -> None:
    raw = encode_path("bucket", key)
    assert (call_of("GET", raw).bucket, call_of("GET", raw).key) == ("bucket", key)
    head = make_head("GET", raw.removeprefix("/bucket"), [("host", "Bucket.s3.example.com:8190")])
    hosted = classify(head, domains=DOMAINS)
    assert (hosted.bucket, hosted.key, host_bucket(head, DOMAINS)) == ("bucket", key, "bucket")


@pytest.mark.parametrize(
    ("raw", "key"),
    [("a/..b/c", "a/..b/c"), ("a//c", "a//c"), ("/c", "/c"), ("a%2fc", "a/c"), ("a+c", "a+c"), ("a%252fc", "a%2fc"),
     (".../", ".../"), ("a?", "a"), ("%C3%A9", "é"), ("a%09c", "a\tc"), ("a%252e%252e", "a%2e%2e")],
)  # fmt: skip
def test_keys_are_not_normalised(raw: str, key: str) -> None:
    assert call_of("GET", "/bucket/" + raw).key == key


@pytest.mark.parametrize(
    "raw",
    ["..", ".", "../c", "a/../c", "a/..", "a/.", "./", "a/%2e%2e/c", "a%2f..%2fc", "a//../c", "a\\..\\c", "a%5c..%5cc",
     "a%00c", "a%01c", "a%0bc", "a%1fc"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_keys_that_a_store_could_resolve_or_not_name_are_refused(raw: str, method: str) -> None:
    assert code_of(method, "/bucket/" + raw) == "InvalidArgument"
    assert code_of("PUT", "/bucket/key", x_amz_copy_source="bucket/" + raw) == "InvalidArgument"


PREFIXES = ("prefix", "marker", "start-after", "continuation-token")


@pytest.mark.parametrize("name", PREFIXES)
@pytest.mark.parametrize("value", ["a/../b", "../", "a/./", "a%00", "a%5c..%5cb"])
def test_listings_do_not_begin_where_no_key_can(name: str, value: str) -> None:
    version = "" if name == "marker" else "list-type=2&"
    assert code_of("GET", f"/bucket?{version}{name}={value}") == "InvalidArgument"
    assert call_of("GET", f"/bucket?{version}{name}=a/..").query.get(name) == "a/..", "so begins a/..b"


@pytest.mark.parametrize("value", ["a/b", "..", ".", "a%5cb", "a%00b", "a%0ab", "a%7fb", "x" * 1025])
def test_ids_of_uploads_and_versions_are_no_paths(value: str) -> None:
    for method, target in (
        ("GET", "/bucket/key?uploadId="),
        ("PUT", "/bucket/key?partNumber=1&uploadId="),
        ("POST", "/bucket/key?uploadId="),
        ("DELETE", "/bucket/key?uploadId="),
    ):
        assert code_of(method, target + value) == "NoSuchUpload"
    for method in ("GET", "HEAD", "DELETE"):
        assert code_of(method, f"/bucket/key?versionId={value}") == "InvalidArgument"
    for listing in ("versions&version-id-marker=", "uploads&upload-id-marker="):
        assert code_of("GET", f"/bucket?{listing}{value}") == "InvalidArgument"
    assert code_of("PUT", "/bucket/key", x_amz_copy_source=f"bucket/key?versionId={value}") == "InvalidArgument"


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
        ("GET", "/minio/admin/v3/export-iam?tagging", "InvalidBucketName"),
        ("PUT", "/rustf%73/admin/v3/import-iam?tagging", "InvalidBucketName"),
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
        ("%2Fbucket%2Fkey", ("bucket", "key", "")),
        ("%2fbucket/key", ("bucket", "key", "")),
        ("/bucket%2Fa%2Fkey?versionId=1", ("bucket", "a/key", "1")),
        ("bucket/key?versionId=", ("bucket", "key", "")),
        ("bucket//key", ("bucket", "/key", "")),
        ("bucket/a key", ("bucket", "a key", "")),
        ("bucket/a%20%20%09key", ("bucket", "a  \tkey", "")),
    ],
)
def test_sources_of_copies_are_read(text: str, expected: tuple[str, str, str]) -> None:
    source = call_of("PUT", "/bucket/k", x_amz_copy_source=text).copy_source
    assert source is not None
    assert parse_copy_source(source.header) == source, "what goes to the store names the same"
    assert (source.bucket, source.key, source.version_id) == expected


@pytest.mark.parametrize("text", ["", "/", "bucket", "bucket/", "b/key", "bucket/%zz", "//bucket/key"])
def test_malformed_sources_of_copies_are_refused(text: str) -> None:
    assert code_of("PUT", "/bucket/k", x_amz_copy_source=text) == "InvalidArgument"


@pytest.mark.parametrize("text", ["bucket/a  key", "bucket/a\tkey", "bucket/a \tkey"])
def test_two_sources_of_copies_are_not_signed_alike(text: str) -> None:
    assert canonical_headers([("x-amz-copy-source", text)]) == "x-amz-copy-source:bucket/a key\n"
    assert code_of("PUT", "/bucket/k", x_amz_copy_source=text) == "InvalidArgument"


@pytest.mark.parametrize(
    "target",
    ["/shop/key?tagging", "/shop/key?retention", "/shop/key?legal-hold", "/shop/key?acl", "/shop", "/shop?policy"],
)
@pytest.mark.parametrize("name", ["x-amz-copy-source", "x-amz-copy-source-range", "x-amz-copy-source-if-match"])
def test_copy_headers_belong_to_copies_only(target: str, name: str) -> None:
    assert code_of("PUT", target, **{name: "/shop/secret"}) == "InvalidArgument"
    assert code_of("GET", target.partition("?")[0], **{name: "/shop/secret"}) == "InvalidArgument"


@pytest.mark.parametrize(
    "name",
    ["x-amz-meta-snowball-auto-extract", "x-amz-meta-minio-snowball-prefix", "minio-snowball-prefix",
     "x-amz-snowball-auto-extract", "x-amz-write-offset-bytes"],
)  # fmt: skip
def test_headers_that_would_make_another_operation_of_a_write_are_refused(name: str) -> None:
    assert code_of("PUT", "/shop/key", **{name: "true"}) == "NotImplemented"


@pytest.mark.parametrize("name", ["size", "last-modified-time", "initiated-time", "of-next-year"])
def test_conditions_that_stores_drop_are_refused(name: str) -> None:
    for target in ("/shop/key", "/shop/key?uploadId=1"):
        assert code_of("DELETE", target, **{f"x-amz-if-match-{name}": "1"}) == "NotImplemented"


@pytest.mark.parametrize("code_point", [0xD800, 0xDBFF, 0xDC80, 0xDCFF, 0xDFFF])
@pytest.mark.parametrize("where", ["{}", "a/{}/b", "a{}"])
def test_half_a_surrogate_pair_is_in_no_name(code_point: int, where: str) -> None:
    name = where.format(chr(code_point))
    for require in (require_key, partial(require_prefix, "prefix")):
        with pytest.raises(S3Error) as caught:
            require(name)
        assert (caught.value.code, caught.value.status) == ("InvalidURI", 400)


@pytest.mark.parametrize("raw", ["%ff", "%ED%A0%80", "\udcff", "%C0%AF"])
def test_names_that_are_not_utf_8_are_refused_wherever_they_come_from(raw: str) -> None:
    for target, headers in (
        (f"/bucket/{raw}", {}),
        (f"/bucket?prefix={raw}", {}),
        (f"/bucket/k?versionId={raw}", {}),
        ("/bucket/k", {"x-amz-copy-source": f"/bucket/{raw}"}),
    ):
        with pytest.raises(S3Error) as caught:
            classify(make_head("PUT" if headers else "GET", target, headers.items()))
        assert caught.value.code in {"InvalidURI", "InvalidArgument"}


@pytest.mark.parametrize(
    "text", ["0", "01", "10001", "100000", "00000000110001", "9" * 5000, "1 ", "+1", "1_0", "¹", ""]
)
def test_a_part_number_has_one_spelling(text: str) -> None:
    assert code_of("PUT", f"/bucket/k?uploadId=u&partNumber={encode_text(text)}") == "InvalidArgument"
    assert call_of("PUT", "/bucket/k?uploadId=u&partNumber=10000").query.get("partNumber") == "10000"


@pytest.mark.parametrize("code_point", [0xE9, 0xDCFF])
def test_a_host_that_no_answer_could_name_is_refused(code_point: int) -> None:
    with pytest.raises(S3Error) as caught:
        make_head("POST", "/bucket", [("Host", f"a{chr(code_point)}.example")])
    assert (caught.value.code, caught.value.status) == ("InvalidRequest", 400)
