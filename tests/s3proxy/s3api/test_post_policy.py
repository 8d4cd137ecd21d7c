"""Uploads by form: AWS's example, botocore's forms, and every condition that does not hold."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.post_policy import PostUpload, verify_post
from s3proxy.s3api.signing_keys import Scope, SigningKeys, derive_key, sign
from tests.support.s3.requests import ACCESS_KEY_ID, AWS, CREDENTIAL, CREDENTIALS, NOW

EXAMPLE = AWS["post-form"]
EXAMPLE_TIME = datetime(2015, 12, 29, 12, tzinfo=UTC)
SCOPE = Scope("20130524", "us-east-1")
SIGNING = {
    "x-amz-algorithm": "AWS4-HMAC-SHA256",
    "x-amz-credential": f"{ACCESS_KEY_ID}/{SCOPE}",
    "x-amz-date": "20130524T000000Z",
}


def upload(fields: dict[str, str], *, now: datetime = NOW, filename: str = "f.txt", bucket: str = "b") -> PostUpload:
    return verify_post(
        fields.items(), bucket=bucket, filename=filename, credentials=CREDENTIALS, keys=SigningKeys(), now=now
    )


def form(conditions: list[Any], *, expiration: str = "2013-05-24T01:00:00.000Z", **fields: str) -> dict[str, str]:
    """Return a form with a policy that is signed and allows what every form holds."""
    own = [{name: value} for name, value in SIGNING.items()]
    return signed({"expiration": expiration, "conditions": own + conditions}, **fields)


def signed(document: object, **fields: str) -> dict[str, str]:
    policy = base64.b64encode(json.dumps(document).encode()).decode()
    signature = sign(derive_key(CREDENTIAL.secret_key, SCOPE), policy.encode())
    given = {name.replace("_", "-"): value for name, value in fields.items()}
    return {"key": "in/a"} | SIGNING | {"policy": policy, "x-amz-signature": signature} | given


def refused(fields: dict[str, str], **options: Any) -> S3Error:
    with pytest.raises(S3Error) as caught:
        upload(fields, **options)
    return caught.value


def test_the_example_of_aws_is_accepted() -> None:
    fields = dict(EXAMPLE["fields"])
    found = upload(fields, now=EXAMPLE_TIME, filename="C:\\fakepath\\photo.jpg", bucket="sigv4examplebucket")
    assert (found.principal.name, found.key) == (ACCESS_KEY_ID, "user/user1/photo.jpg")
    assert found.fields["x-amz-meta-uuid"] == "14365123651274"
    late = refused(fields, now=EXAMPLE_TIME + timedelta(days=1), bucket="sigv4examplebucket")
    assert (late.code, late.message) == ("AccessDenied", "Invalid according to Policy: Policy expired.")
    assert refused(fields, now=EXAMPLE_TIME, bucket="other").code == "AccessDenied"


@pytest.mark.parametrize("name", [name for name, _ in EXAMPLE["fields"]])
def test_no_field_of_the_example_can_be_changed_or_left_out(name: str) -> None:
    fields = dict(EXAMPLE["fields"])
    where = {"now": EXAMPLE_TIME, "bucket": "sigv4examplebucket"}
    if name not in {"x-amz-meta-tag", "key", "Content-Type"}:  # these only have to begin with something
        refused(fields | {name: fields[name] + "x"}, **where)
    refused({other: value for other, value in fields.items() if other != name}, **where)


KEY = ["starts-with", "$key", "in/"]


@pytest.mark.parametrize(
    ("conditions", "fields"),
    [
        ([KEY], {"key": "out/a"}),
        ([["eq", "$key", "in/a"]], {"key": "in/ab"}),
        ([{"key": "in/a"}], {"key": "in/A"}),
        ([KEY, ["starts-with", "$acl", ""]], {}),
        ([KEY, {"acl": "private"}], {"acl": "public-read"}),
        ([KEY], {"acl": "private"}),
        ([KEY, {"bucket": "other"}], {}),
        ([], {}),
    ],
)
def test_conditions_that_do_not_hold_and_fields_without_one_are_refused(
    conditions: list[Any], fields: dict[str, str]
) -> None:
    assert refused(form(conditions, **fields)).code == "AccessDenied"


def test_a_filename_cannot_lead_out_of_its_prefix() -> None:
    assert upload(form([KEY], key="in/${filename}"), filename="../../x/y").key == "in/y"
    assert refused(form([KEY], key="${filename}"), filename="in/a").code == "AccessDenied"


@pytest.mark.parametrize("count", [1, 2, 64])
def test_a_key_that_a_filename_makes_too_long_is_refused(count: int) -> None:
    key, longest = "in/" + "${filename}" * count, (1024 - len("in/")) // count
    assert len(upload(form([KEY], key=key), filename="x" * longest).key) == len("in/") + longest * count
    assert refused(form([KEY], key=key), filename="x" * (longest + 1)).code == "KeyTooLongError"


def test_sizes_are_limited_by_all_ranges_together() -> None:
    found = upload(form([KEY, ["content-length-range", 2, 9], ["Content-Length-Range", 1, 5]]))
    found.require_size(2)
    found.require_size(5)
    with pytest.raises(S3Error) as small:
        found.require_size(1)
    with pytest.raises(S3Error) as large:
        found.require_size(6)
    assert (small.value.code, large.value.code) == ("EntityTooSmall", "EntityTooLarge")


def test_ignored_fields_need_no_condition() -> None:
    assert upload(form([KEY], x_ignore_me="x")).key == "in/a"


def test_a_form_without_policy_is_anonymous() -> None:
    assert upload({"key": "a"}).principal.is_anonymous


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "UserKeyMustBeSpecified"),
        ({"key": ""}, "UserKeyMustBeSpecified"),
        ({"key": "a", "x-amz-signature": "0" * 64}, "InvalidArgument"),
        ({"key": "a", "AWSAccessKeyId": "x", "signature": "y"}, "InvalidArgument"),
        ({"key": "a", "policy": "e30="}, "InvalidArgument"),
        ({"key": "a", "Key": "b"}, "InvalidArgument"),
        (form([KEY], x_amz_algorithm="AWS4"), "InvalidArgument"),
        (form([KEY], x_amz_security_token="t"), "InvalidToken"),
        (form([KEY], x_amz_credential="x"), "InvalidArgument"),
        (form([KEY], x_amz_credential=f"OTHER/{SCOPE}"), "InvalidAccessKeyId"),
        (form([KEY], x_amz_date="20130525T000000Z"), "InvalidArgument"),
        (form([KEY], x_amz_signature="0" * 64), "SignatureDoesNotMatch"),
        (form([KEY], expiration="never"), "InvalidPolicyDocument"),
        (form([KEY, ["like", "$key", "x"]]), "InvalidPolicyDocument"),
        (form([KEY, ["eq", "key", "x"]]), "InvalidPolicyDocument"),
        (form([KEY, {"acl": 1}]), "InvalidPolicyDocument"),
        (form([KEY, "x"]), "InvalidPolicyDocument"),
        (form([KEY, ["content-length-range", "0", 5]]), "InvalidPolicyDocument"),
        (signed([]), "InvalidPolicyDocument"),
        (signed({"expiration": "2014-01-01T00:00:00Z"}), "InvalidPolicyDocument"),
        (signed({"conditions": []}), "InvalidPolicyDocument"),
    ],
)
def test_malformed_forms_are_refused(fields: dict[str, str], code: str) -> None:
    assert refused(fields).code == code


@pytest.mark.parametrize("policy", ["", "%%%", "e30", base64.b64encode(b"[" * 40_000).decode(), "A" * 70_000])
def test_hostile_policies_are_refused(policy: str) -> None:
    fields = form([KEY]) | {"policy": policy}
    fields["x-amz-signature"] = sign(derive_key(CREDENTIAL.secret_key, SCOPE), policy.encode())
    assert refused(fields).code == "InvalidPolicyDocument"
