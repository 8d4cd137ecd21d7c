"""Who sent a request: AWS's examples, botocore's signatures, and everything that must be refused."""

from datetime import timedelta
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3proxy.s3api.canonical import encode_query
from s3proxy.s3api.claims import Payload
from s3proxy.s3api.credentials import Credential, Credentials, Principal
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead, make_head
from s3proxy.s3api.scope import http_date
from s3proxy.s3api.signing_keys import Scope, SigningKeys, derive_key
from s3proxy.s3api.sigv4 import Verifier
from strongroom.secret import Secret
from tests.support.s3.requests import (
    ACCESS_KEY_ID,
    AWS,
    CREDENTIALS,
    HOST,
    NOW,
    SECRET_KEY,
    aws_request,
    sign_with_botocore,
    verifier,
)

UNSIGNED = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}


def refused(head: RequestHead, *, after: timedelta = timedelta(0)) -> str:
    with pytest.raises(S3Error) as caught:
        verifier().verify(head, now=NOW + after)
    assert SECRET_KEY not in str(caught.value.details) + caught.value.message
    return caught.value.code


def changed(head: RequestHead, **headers: str) -> RequestHead:
    """Return a head with some headers replaced or, by "", left out."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    pairs = [(name, value) for name, value in head.headers if name not in given]
    target = f"{head.raw_path}?{head.raw_query}" if head.raw_query else head.raw_path
    return make_head(head.method, target, pairs + [(name, value) for name, value in given.items() if value])


def with_query(head: RequestHead, raw_query: str) -> RequestHead:
    return make_head(head.method, f"{head.raw_path}?{raw_query}", head.headers)


def presigned(target: str = "/b/k", *, expires_s: int = 600, method: str = "GET") -> RequestHead:
    return sign_with_botocore(method, target, headers={}, presign_s=expires_s)


@pytest.mark.parametrize("name", AWS["requests"])
def test_the_examples_of_aws_are_accepted(name: str) -> None:
    verified = verifier().verify(aws_request(name), now=NOW)
    assert verified.principal.name == ACCESS_KEY_ID
    assert (verified.chunk_signing is not None) == name.startswith("chunked")


@pytest.mark.parametrize("name", AWS["requests"])
def test_the_examples_of_aws_are_refused_with_any_other_method_path_query_or_host(name: str) -> None:
    head = aws_request(name)
    target = head.raw_path + ("?" + head.raw_query if head.raw_query else "")
    others = [
        make_head("DELETE", target, head.headers),
        make_head(head.method, "/x" + target, head.headers),
        make_head(head.method, target + ("&" if head.raw_query else "?") + "versionId=1", head.headers),
        changed(head, host="other.example.com"),
    ]
    assert [refused(other) for other in others] == ["SignatureDoesNotMatch"] * 4


SEGMENTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
RAW_PATHS = st.one_of(
    st.lists(SEGMENTS.map(lambda text: quote(text, safe="")), min_size=1, max_size=4).map(lambda p: "/" + "/".join(p)),
    st.sampled_from(["/b/a/../c", "/b/./c", "/b//c", "/b/a%2fb", "/b/a%2Fb", "/b/a+b", "/b/%7e", "/b/a@b:c=d,e", "/"]),
)
QUERIES = st.lists(
    st.tuples(SEGMENTS.filter(bool), SEGMENTS).filter(lambda pair: not pair[0].startswith("X-Amz-")), max_size=4
)
HEADERS = st.dictionaries(
    st.from_regex(r"x-amz-meta-[a-z0-9-]{1,10}", fullmatch=True),
    st.from_regex(r"[!-~]([ -~]{0,12}[!-~])?", fullmatch=True),
    max_size=4,
)


@given(path=RAW_PATHS, query=QUERIES, headers=HEADERS, method=st.sampled_from(["GET", "PUT", "HEAD", "DELETE"]))
def test_what_botocore_signs_in_headers_is_accepted(
    path: str, query: list[tuple[str, str]], headers: dict[str, str], method: str
) -> None:
    raw_query = encode_query(query)
    target = f"{path}?{raw_query}" if raw_query else path
    head = sign_with_botocore(method, target, headers=headers | UNSIGNED)
    assert (head.raw_path, head.raw_query) == (path, raw_query)
    assert verifier().verify(head, now=NOW).principal.name == ACCESS_KEY_ID


@given(path=RAW_PATHS, query=QUERIES, headers=HEADERS, method=st.sampled_from(["GET", "PUT", "HEAD", "DELETE"]))
def test_what_botocore_presigns_is_accepted(
    path: str, query: list[tuple[str, str]], headers: dict[str, str], method: str
) -> None:
    raw_query = encode_query(query)
    target = f"{path}?{raw_query}" if raw_query else path
    head = sign_with_botocore(method, target, headers=headers, presign_s=600)
    assert verifier().verify(head, now=NOW).payload is Payload.UNSIGNED


@given(st.data())
def test_no_changed_character_of_a_signed_request_is_accepted(data: st.DataObject) -> None:
    head = data.draw(st.sampled_from([aws_request("get-object"), aws_request("presigned-get")]))
    target = list(f"{head.raw_path}?{head.raw_query}" if head.raw_query else head.raw_path)
    headers = [list(pair) for pair in head.headers]
    place = data.draw(st.integers(-len(headers), len(target) - 1))
    character = data.draw(st.sampled_from("aZ0%/&=;,-~"))
    if place >= 0:
        old, target[place] = target[place], character
    else:
        text = headers[place][1]
        at = data.draw(st.integers(0, len(text) - 1))
        old = text[at]
        headers[place][1] = text[:at] + character + text[at + 1 :]
    if old == character:
        return
    try:
        changed_head = make_head(head.method, "".join(target), [(name, value) for name, value in headers])
        principal = verifier().verify(changed_head, now=NOW).principal
    except S3Error:
        return
    assert principal.is_anonymous


def test_a_path_that_was_signed_in_its_encoded_form_is_accepted_when_it_is_sent_bare() -> None:
    signed = sign_with_botocore("GET", "/b/a%40b%2Cc?prefix=a%20b", headers=UNSIGNED)
    sent = make_head("GET", "/b/a@b,c?prefix=a+b", signed.headers)
    assert verifier().verify(sent, now=NOW).principal.name == ACCESS_KEY_ID
    assert refused(make_head("GET", "/b/a@b,c?prefix=a%2Bb", signed.headers)) == "SignatureDoesNotMatch"


@pytest.mark.parametrize("minutes", [-16, 16])
def test_skew_beyond_15_minutes_is_refused(minutes: int) -> None:
    assert refused(aws_request("get-object"), after=timedelta(minutes=minutes)) == "RequestTimeTooSkewed"


@pytest.mark.parametrize("minutes", [-15, 15])
def test_skew_of_15_minutes_is_accepted(minutes: int) -> None:
    verifier().verify(aws_request("get-object"), now=NOW + timedelta(minutes=minutes))


@pytest.mark.parametrize("place", ["header", "query"])
def test_an_unsigned_amz_header_is_refused_and_named(place: str) -> None:
    head = presigned() if place == "query" else sign_with_botocore("PUT", "/b/k", headers=UNSIGNED)
    with pytest.raises(S3Error) as caught:
        verifier().verify(changed(head, x_amz_copy_source="/other/secret"), now=NOW)
    assert (caught.value.code, caught.value.details) == ("AccessDenied", {"HeadersNotSigned": "x-amz-copy-source"})


def test_a_host_that_is_not_signed_is_refused() -> None:
    head = aws_request("get-object")
    text = head.header("authorization").replace("SignedHeaders=host;", "SignedHeaders=")
    assert refused(changed(head, authorization=text)) == "AccessDenied"


def test_a_signed_header_that_is_missing_is_refused() -> None:
    assert refused(changed(aws_request("get-object"), range="")) == "SignatureDoesNotMatch"


def test_an_unknown_access_key_is_refused_by_name() -> None:
    head = aws_request("get-object")
    text = head.header("authorization").replace(ACCESS_KEY_ID, "AKIAOTHER")
    assert refused(changed(head, authorization=text)) == "InvalidAccessKeyId"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("AWS4-HMAC-SHA256 ", "AWS4-ECDSA-P256-SHA256 ", "InvalidRequest"),
        ("AWS4-HMAC-SHA256 ", "AWS ", "InvalidRequest"),
        ("AWS4-HMAC-SHA256 ", "", "InvalidRequest"),
        ("20130524/us", "20130523/us", "AuthorizationHeaderMalformed"),
        ("/s3/", "/iam/", "AuthorizationHeaderMalformed"),
        ("aws4_request", "aws4", "AuthorizationHeaderMalformed"),
        ("Signature=", "Signature=0", "AuthorizationHeaderMalformed"),
        ("Signature=", "Sig=", "AuthorizationHeaderMalformed"),
        (",Signature=", ",Signature=a,Signature=", "AuthorizationHeaderMalformed"),
        ("SignedHeaders=host", "SignedHeaders=host;host", "AuthorizationHeaderMalformed"),
        ("SignedHeaders=host", "SignedHeaders=Host", "AuthorizationHeaderMalformed"),
        ("SignedHeaders=host", "SignedHeaders=", "AuthorizationHeaderMalformed"),
        ("us-east-1", "us-west-1", "SignatureDoesNotMatch"),
    ],
)
def test_a_malformed_authorization_header_is_refused(old: str, new: str, code: str) -> None:
    head = aws_request("get-object")
    text = head.header("authorization")
    assert old in text
    assert refused(changed(head, authorization=text.replace(old, new))) == code


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x_amz_date": ""}, "AccessDenied"),
        ({"x_amz_date": "20130524"}, "AccessDenied"),
        ({"x_amz_date": "20130532T000000Z"}, "AccessDenied"),
        ({"x_amz_content_sha256": ""}, "MissingSecurityHeader"),
        ({"x_amz_content_sha256": "e3b0"}, "InvalidArgument"),
        ({"x_amz_content_sha256": "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"}, "NotImplemented"),
        ({"x_amz_security_token": "token"}, "InvalidToken"),
    ],
)
def test_missing_or_malformed_security_headers_are_refused(headers: dict[str, str], code: str) -> None:
    assert refused(changed(aws_request("get-object"), **headers)) == code


def test_the_date_header_will_do_when_there_is_no_other() -> None:
    head = sign_with_botocore("GET", "/b/k", headers=UNSIGNED)
    by_date = changed(head, date="Fri, 24 May 2013 00:00:00 GMT", x_amz_date="")
    assert refused(by_date) == "SignatureDoesNotMatch"  # the date is read, but botocore signed the other header
    assert refused(changed(head, date="yesterday", x_amz_date="")) == "AccessDenied"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("X-Amz-Expires=600", "X-Amz-Expires=0", "AuthorizationQueryParametersError"),
        ("X-Amz-Expires=600", "X-Amz-Expires=604801", "AuthorizationQueryParametersError"),
        ("X-Amz-Expires=600", "X-Amz-Expires=-1", "AuthorizationQueryParametersError"),
        ("X-Amz-Expires=600", "X-Amz-Expires=%D9%A1", "AuthorizationQueryParametersError"),
        ("X-Amz-Expires=600", "X-Amz-Expires=601", "SignatureDoesNotMatch"),
        ("X-Amz-Expires=600&", "", "AuthorizationQueryParametersError"),
        ("X-Amz-Expires=600", "X-Amz-Expires=600&X-Amz-Expires=600", "AuthorizationQueryParametersError"),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=AWS4", "AuthorizationQueryParametersError"),
        ("X-Amz-Date=20130524", "X-Amz-Date=20130525", "AuthorizationQueryParametersError"),
        ("X-Amz-Date=20130524T000000Z", "X-Amz-Date=now", "AuthorizationQueryParametersError"),
        ("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=", "AuthorizationQueryParametersError"),
        ("%2Fs3%2F", "%2Fsts%2F", "AuthorizationQueryParametersError"),
        ("X-Amz-Signature=", "X-Amz-Signature=zz", "AuthorizationQueryParametersError"),
        ("X-Amz-Signature=", "X-Amz-Security-Token=t&X-Amz-Signature=", "InvalidToken"),
        ("X-Amz-Signature=", "X-Amz-Content-Sha256=STREAMING-UNSIGNED&X-Amz-Signature=", "InvalidArgument"),
        ("X-Amz-Expires=600", "X-Amz-Expires=600%", "InvalidURI"),
    ],
)
def test_malformed_presigned_urls_are_refused(old: str, new: str, code: str) -> None:
    head = presigned()
    assert old in head.raw_query
    assert refused(with_query(head, head.raw_query.replace(old, new))) == code


def test_a_presigned_url_is_good_from_a_little_before_its_date_until_it_expires() -> None:
    head = presigned(expires_s=604_800)
    for after in (timedelta(minutes=-15), timedelta(days=7)):
        verifier().verify(head, now=NOW + after)
    assert refused(head, after=timedelta(days=7, seconds=1)) == "AccessDenied"
    assert refused(head, after=timedelta(minutes=-16)) == "AccessDenied"


def test_both_forms_of_authentication_at_once_are_refused() -> None:
    head = presigned()
    assert refused(changed(head, authorization="AWS4-HMAC-SHA256 Credential=x")) == "InvalidArgument"


def test_headers_that_a_presigner_moved_into_the_query_are_given_back_and_no_others() -> None:
    query = "versionId=1&x-amz-acl=private&x-amz-meta-a-b=c%20d"
    head = verifier().verify(presigned(f"/b/k?{query}", method="PUT"), now=NOW).head
    assert [pair for pair in head.headers if pair[0] != "host"] == [("x-amz-acl", "private"), ("x-amz-meta-a-b", "c d")]


@pytest.mark.parametrize(
    "query",
    ["x-amz-meta-a=b%0d%0aHost:%20x", "x-amz-meta-a=b%00", "x-amz-meta-a=b%7f", "x-amz-meta-a%20=b",
     "x-amz-acl%3A%20public-read=b", "x-amz-m%C3%A9ta=b", "x-amz-meta-a%0d%0a=b", "x-amz-meta-a(=b"],
)  # fmt: skip
def test_what_cannot_be_a_header_is_not_moved_into_the_query(query: str) -> None:
    assert refused(presigned(f"/b/k?{query}")) == "InvalidArgument"


def test_a_header_is_in_the_query_or_beside_it_once() -> None:
    assert refused(presigned("/b/k?x-amz-acl=private&X-Amz-Acl=public-read")) == "InvalidArgument"
    twice = sign_with_botocore("PUT", "/b/k?x-amz-acl=private", headers={}, presign_s=600)
    assert refused(changed(twice, x_amz_acl="public-read")) == "AccessDenied", "and is not signed there"


def test_blanks_around_the_value_of_a_moved_header_do_not_count() -> None:
    head = verifier().verify(presigned("/b/k?x-amz-acl=%20private%09", method="PUT"), now=NOW).head
    assert head.header("x-amz-acl") == "private"


@pytest.mark.parametrize("region", ["", "127.0.0.1", "s3.example.com", "eu-west-1", "a_b", "*", "r" * 255])
def test_every_region_is_accepted(region: str) -> None:
    head = sign_with_botocore("GET", "/b/k", headers={}, region=region)
    assert f"/20130524/{region}/s3/" in head.header("authorization")
    assert verifier().verify(head, now=NOW).principal.name == ACCESS_KEY_ID
    url = sign_with_botocore("GET", "/b/k", headers={}, region=region, presign_s=600)
    assert verifier().verify(url, now=NOW).principal.name == ACCESS_KEY_ID


def test_a_presigned_url_with_an_unsigned_payload_header_is_accepted_and_with_a_hash_refused() -> None:
    verifier().verify(changed(presigned(), x_amz_content_sha256="UNSIGNED-PAYLOAD"), now=NOW)
    assert refused(changed(presigned(), x_amz_content_sha256="0" * 64)) == "AccessDenied"


def test_a_preflight_is_anonymous_whatever_its_url_is_signed_for() -> None:
    asked = presigned(method="PUT")
    head = make_head(
        "OPTIONS", f"{asked.raw_path}?{asked.raw_query}", [("Host", HOST), ("Origin", "https://a.example")]
    )
    assert verifier().verify(head, now=NOW + timedelta(days=1)).principal.is_anonymous


def test_a_request_without_signature_is_anonymous() -> None:
    verified = verifier().verify(make_head("GET", "/b/k", [("Host", HOST)]), now=NOW)
    assert verified.principal.is_anonymous
    assert verified.payload is Payload.UNSIGNED


@pytest.mark.parametrize(
    ("target", "headers", "code"),
    [
        ("/b/k?AWSAccessKeyId=a&Signature=b&Expires=1", {}, "AccessDenied"),
        ("/b/k?X-Amz-Signature=" + "0" * 64, {}, "AuthorizationQueryParametersError"),
        ("/b/k", {"authorization": ""}, "InvalidRequest"),
        ("/b/k", {"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, "AccessDenied"),
        ("/b/k", {"x-amz-security-token": "t"}, "InvalidToken"),
    ],
)
def test_a_broken_signature_is_not_taken_for_none(target: str, headers: dict[str, str], code: str) -> None:
    assert refused(make_head("GET", target, [("host", HOST), *headers.items()])) == code


def test_a_region_is_no_longer_than_a_host() -> None:
    """A thousand are kept, of whoever knows an access key id; a form has room for one of 80 KB."""
    head = sign_with_botocore("GET", "/b/k", headers={}, region="r" * 256)
    with pytest.raises(S3Error) as caught:
        verifier().verify(head, now=NOW)
    assert caught.value.code == "AuthorizationHeaderMalformed"


def test_only_given_regions_are_accepted() -> None:
    near = Verifier(CREDENTIALS, keys=SigningKeys(), regions=frozenset({"us-east-1"}))
    near.verify(aws_request("get-object"), now=NOW)
    far = Verifier(CREDENTIALS, keys=SigningKeys(), regions=frozenset({"eu-central-1"}))
    with pytest.raises(S3Error) as caught:
        far.verify(aws_request("get-object"), now=NOW)
    assert (caught.value.code, caught.value.details["Region"]) == ("AuthorizationHeaderMalformed", "eu-central-1")


def test_a_secret_that_was_changed_is_not_hidden_by_the_cache() -> None:
    keys = SigningKeys()
    Verifier(CREDENTIALS, keys=keys).verify(aws_request("get-object"), now=NOW)
    other = Credential(ACCESS_KEY_ID, Secret(b"another secret key"), Principal(ACCESS_KEY_ID))
    with pytest.raises(S3Error, match="does not match"):
        Verifier(Credentials({ACCESS_KEY_ID: other}), keys=keys).verify(aws_request("get-object"), now=NOW)


def test_the_cache_of_signing_keys_is_bounded_and_right() -> None:
    keys = SigningKeys(max_keys=3)
    credential = CREDENTIALS.require(ACCESS_KEY_ID)
    scopes = [Scope("20130524", f"region-{number % 7}") for number in range(50)]
    for scope in scopes:
        assert keys.key_for(credential, scope).reveal() == derive_key(credential.secret_key, scope).reveal()
    assert len(keys._keys) == 3


def test_a_repeated_header_that_must_be_single_is_refused() -> None:
    with pytest.raises(S3Error, match="x-amz-date"):
        make_head("GET", "/", [("X-Amz-Date", "a"), ("x-amz-date", "a")])


@pytest.mark.parametrize("target", ["http://host/b/k", "*", "", "b/k", "/b/k#x"])
def test_a_target_that_is_no_path_is_refused(target: str) -> None:
    with pytest.raises(S3Error) as caught:
        make_head("GET", target, [])
    assert caught.value.code == "InvalidURI"


@pytest.mark.parametrize("date", ["99991231T235959Z", "00010101T000000Z"])
def test_a_presigned_date_at_the_end_of_all_calendars_is_refused(date: str) -> None:
    query = (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={ACCESS_KEY_ID}%2F{date[:8]}%2Fus-east-1%2Fs3%2Faws4_request"
        f"&X-Amz-Date={date}&X-Amz-Expires=604800&X-Amz-SignedHeaders=host&X-Amz-Signature={'0' * 64}"
    )
    with pytest.raises(S3Error) as caught:
        verifier().verify(make_head("GET", f"/bucket/key?{query}", [("Host", HOST)]), now=NOW)
    assert caught.value.code == "AccessDenied"


@pytest.mark.parametrize(
    "date",
    ["Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Fri, 24 May 2013 00:00:00 +99999999999999999999", "", "x"],
)
def test_a_date_that_is_beyond_all_calendars_is_none(date: str) -> None:
    assert http_date(date) is None
    signed = sign_with_botocore("GET", "/bucket/key", headers={})
    headers = [(name, value) for name, value in signed.headers if name != "x-amz-date"]
    with pytest.raises(S3Error, match="valid Date"):
        verifier().verify(make_head("GET", "/bucket/key", [*headers, ("Date", date)]), now=NOW)
