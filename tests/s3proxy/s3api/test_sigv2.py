"""Presigned URLs of version 2, as botocore and s3cmd make them, and what holders of one may not turn them into."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead, make_head
from s3proxy.s3api.operations import decode_query
from tests.support.s3.requests import ACCESS_KEY_ID, HOST, NOW, SECRET_KEY, verifier

LIFETIME_S = 600


def presigned(
    method: str = "GET", target: str = "/b/k", *, headers: Mapping[str, str] | None = None, auth_path: str | None = None
) -> str:
    """Return the target that botocore signs."""
    request = AWSRequest(method=method, url=f"https://{HOST}{target}", headers=dict(headers or {}), auth_path=auth_path)
    with mock.patch.object(auth.time, "time", return_value=NOW.timestamp()):
        auth.HmacV1QueryAuth(BotoCredentials(ACCESS_KEY_ID, SECRET_KEY), expires=LIFETIME_S).add_auth(request)
    return str(request.url).removeprefix(f"https://{HOST}")


def asked(target: str, method: str = "GET", **headers: str) -> RequestHead:
    return make_head(method, target, [("Host", HOST), *((n.replace("_", "-"), v) for n, v in headers.items())])


def refused(head: RequestHead, **arguments: Any) -> str:
    with pytest.raises(S3Error) as caught:
        verifier().verify(head, **{"now": NOW} | arguments)
    return caught.value.code


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "target",
    ["/b/k", "/b/a%20b%2Bc/%C3%A4", "/b/k?versionId=v%2F1", "/b/k?partNumber=2&uploadId=u", "/b/k?uploads"],
)
def test_what_botocore_signs_is_verified(method: str, target: str) -> None:
    head = asked(presigned(method, target), method)
    verified = verifier().verify(head, now=NOW)
    assert verified.principal.name == ACCESS_KEY_ID
    names = [name for name, _ in decode_query(head.raw_query).pairs]
    assert not {"AWSAccessKeyId", "Signature", "Expires"} & set(names)


def test_headers_that_were_signed_must_be_sent() -> None:
    target = presigned("PUT", headers={"Content-Type": "text/plain"}).replace("&content-type=text%2Fplain", "")
    assert verifier().verify(asked(target, "PUT", content_type="text/plain"), now=NOW).principal.name == ACCESS_KEY_ID
    assert refused(asked(target, "PUT", content_type="text/html")) == "SignatureDoesNotMatch"
    assert refused(asked(target, "PUT")) == "SignatureDoesNotMatch"


@pytest.mark.parametrize("blank", ["\u00a0", "\u2003", "\u0085", "\x1f"])
def test_a_header_is_not_signed_like_one_with_more_at_its_end(blank: str) -> None:
    target = presigned("PUT", headers={"x-amz-copy-source": "/b/k"}).replace("&x-amz-copy-source=%2Fb%2Fk", "")
    assert verifier().verify(asked(target, "PUT", x_amz_copy_source="/b/k"), now=NOW).principal.name == ACCESS_KEY_ID
    assert refused(asked(target, "PUT", x_amz_copy_source=f"/b/k{blank}")) == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    "headers",
    [{"x_amz_copy_source": "/b/other"}, {"x_amz_acl": "public-read"}, {"content_type": "text/html"}],
)
def test_headers_that_nobody_signed_are_refused(headers: dict[str, str]) -> None:
    assert refused(asked(presigned("PUT"), "PUT", **headers)) == "SignatureDoesNotMatch"


@pytest.mark.parametrize("extra", ["acl", "tagging", "attributes", "list-type=2", "prefix=x", "x-amz-acl=private"])
def test_parameters_that_version_2_does_not_sign_are_refused(extra: str) -> None:
    assert refused(asked(f"{presigned()}&{extra}")) == "AccessDenied"


@pytest.mark.parametrize("extra", ["versionId=other", "response-content-type=text/html", "uploadId=u"])
def test_parameters_that_it_signs_cannot_be_added(extra: str) -> None:
    assert refused(asked(f"{presigned()}&{extra}")) == "SignatureDoesNotMatch"


def test_another_method_key_or_secret_is_refused() -> None:
    target = presigned()
    assert refused(asked(target, "PUT")) == "SignatureDoesNotMatch"
    assert refused(asked(target.replace("/b/k", "/b/l"))) == "SignatureDoesNotMatch"
    assert refused(asked(target.replace("Signature=", "Signature=x"))) == "SignatureDoesNotMatch"
    assert refused(asked(target.replace(ACCESS_KEY_ID, "NOBODY"))) == "InvalidAccessKeyId"


def test_a_bucket_in_the_host_is_part_of_what_is_signed() -> None:
    target = presigned(target="/k", auth_path="/b/k")
    assert verifier().verify(asked(target), now=NOW, host_bucket="b").principal.name == ACCESS_KEY_ID
    assert refused(asked(target), host_bucket="other") == "SignatureDoesNotMatch"
    # Signed for bucket b by its path; the host would make b/k a key of another bucket.
    assert refused(asked(presigned()), host_bucket="other") == "SignatureDoesNotMatch"


def test_it_ends_when_it_says_and_lives_no_longer_than_a_week() -> None:
    target = presigned()
    verifier().verify(asked(target), now=NOW + timedelta(seconds=LIFETIME_S))
    assert refused(asked(target), now=NOW + timedelta(seconds=LIFETIME_S + 1)) == "AccessDenied"
    assert refused(asked(target), now=NOW - timedelta(days=8)) == "AccessDenied"
    later = target.replace(f"Expires={int(NOW.timestamp()) + LIFETIME_S}", "Expires=99999999999")
    assert later != target
    assert refused(asked(later)) == "AccessDenied"


@pytest.mark.parametrize("missing", ["AWSAccessKeyId", "Signature", "Expires"])
def test_nothing_of_it_may_be_missing_or_stand_twice(missing: str) -> None:
    path, _, query = presigned().partition("?")
    pieces = query.split("&")
    kept = [piece for piece in pieces if not piece.startswith(missing)]
    assert refused(asked(f"{path}?{'&'.join(kept)}")) == "AccessDenied"
    assert refused(asked(f"{path}?{'&'.join([*pieces, f'{missing}=1'])}")) == "AccessDenied"


@pytest.mark.parametrize("target", ["/b/k?response-content-type=a%26versionId%3Dv", "/b/k?uploadId=u%26uploads"])
def test_two_parameters_are_not_signed_like_one(target: str) -> None:
    assert refused(asked(presigned("GET", target))) == "AccessDenied"


def test_a_url_of_an_old_version_does_not_become_one_of_the_newest() -> None:
    target = presigned("GET", "/b/k?response-content-type=text/plain&versionId=old")
    verifier().verify(asked(target), now=NOW)
    folded = target.replace("&versionId=old", "%26versionId%3Dold")
    assert folded != target
    assert refused(asked(folded)) == "AccessDenied"


def test_only_one_way_of_signing_may_be_used() -> None:
    assert refused(asked(presigned(), authorization="AWS4-HMAC-SHA256 x")) == "InvalidArgument"
    assert refused(asked(f"{presigned()}&X-Amz-Signature={'0' * 64}")) == "InvalidArgument"


def test_version_2_in_a_header_and_signed_chunks_are_refused() -> None:
    assert refused(asked("/b/k", authorization=f"AWS {ACCESS_KEY_ID}:x")) == "InvalidRequest"
    chunked = {"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}
    target = presigned("PUT", headers=chunked).partition("&x-amz-content-sha256")[0]
    head = asked(target, "PUT", x_amz_content_sha256=chunked["x-amz-content-sha256"])
    assert refused(head) == "AccessDenied"
