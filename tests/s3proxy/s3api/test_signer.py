"""Requests to the store: signed as botocore signs them, and accepted by our own verifier."""

from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from hypothesis import assume, given
from hypothesis import strategies as st

from s3proxy.s3api.canonical import EMPTY_SHA256, encode_path, encode_query
from s3proxy.s3api.head import make_head
from s3proxy.s3api.signature import AUTH_PARAMETERS
from s3proxy.s3api.signer import Signer, StoreCredential
from strongroom.secret import Secret
from tests.support.s3.requests import ACCESS_KEY_ID, HOST, NOW, SECRET_KEY, verifier

KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
QUERIES = st.lists(st.tuples(KEYS, KEYS), max_size=4, unique_by=lambda pair: pair[0])
SIGNER = Signer(StoreCredential(ACCESS_KEY_ID, Secret(SECRET_KEY.encode())), "us-east-1")


def botocore_signature(method: str, target: str, headers: dict[str, str], token: str | None) -> str:
    request: Any = AWSRequest(method=method, url=f"https://{HOST}{target}", headers=headers)
    with mock.patch.object(auth, "get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        auth.S3SigV4Auth(BotoCredentials(ACCESS_KEY_ID, SECRET_KEY, token), "s3", "us-east-1").add_auth(request)
    return str(request.headers["Authorization"])


@given(key=KEYS, query=QUERIES, method=st.sampled_from(["GET", "PUT", "POST"]), token=st.sampled_from([None, "t/=+"]))
def test_signatures_are_those_of_botocore(
    key: str, query: list[tuple[str, str]], method: str, token: str | None
) -> None:
    raw_path, raw_query = encode_path("bucket", key), encode_query(query)
    session = None if token is None else Secret(token.encode())
    signer = Signer(StoreCredential(ACCESS_KEY_ID, Secret(SECRET_KEY.encode()), session), "us-east-1")
    headers = {"x-amz-meta-a": " b   c ", "Content-Type": "text/plain", "User-Agent": "x", "Expect": "100-continue"}
    added = signer.sign(
        method,
        host=HOST,
        raw_path=raw_path,
        raw_query=raw_query,
        headers=headers,
        now=NOW,
        payload_sha256=EMPTY_SHA256,
    )
    target = f"{raw_path}?{raw_query}" if raw_query else raw_path
    assert added["Authorization"] == botocore_signature(method, target, headers, token)
    assert added.get("x-amz-security-token") == token


@given(key=KEYS, query=QUERIES)
def test_our_own_verifier_accepts_what_the_signer_signs(key: str, query: list[tuple[str, str]]) -> None:
    assume(not any(name in AUTH_PARAMETERS for name, _ in query))  # those would be another way to sign
    raw_path, raw_query = encode_path("bucket", key), encode_query(query)
    headers = {"Range": "bytes=0-9", "x-amz-meta-a": "b"}
    added = SIGNER.sign(
        "GET", host=HOST, raw_path=raw_path, raw_query=raw_query, headers=headers, now=NOW, payload_sha256="0" * 64
    )
    head = make_head("GET", f"{raw_path}?{raw_query}", [("Host", HOST), *headers.items(), *added.items()])
    verified = verifier().verify(head, now=NOW)
    assert (verified.principal.name, verified.payload_sha256) == (ACCESS_KEY_ID, "0" * 64)


@given(st.lists(st.integers(0, 3 * 86_400), min_size=1, max_size=8), st.lists(KEYS, min_size=1, max_size=3))
def test_a_signer_signs_at_any_time_what_a_new_one_would(seconds: list[int], keys: list[str]) -> None:
    signer = Signer(SIGNER.credential, "us-east-1")
    for second in seconds:
        for key in keys:
            now = NOW + timedelta(seconds=second, microseconds=second % 7)
            asked: Any = {"host": HOST, "raw_path": encode_path("bucket", key), "headers": {"Range": "bytes=0-9"}}
            added = signer.sign("GET", **asked, now=now)
            assert added == Signer(SIGNER.credential, "us-east-1").sign("GET", **asked, now=now)
            assert added["x-amz-date"] == now.strftime("%Y%m%dT%H%M%SZ")


@pytest.mark.parametrize("name", ["if-none-match", "If-Match", "content-type", "Content-MD5", "range", "x-amz-acl"])
def test_what_a_store_is_told_to_do_cannot_be_taken_away_on_the_way(name: str) -> None:
    asked: Any = {"host": HOST, "raw_path": "/b/k", "now": NOW}
    signed = SIGNER.sign("PUT", **asked, headers={name: "*"})["Authorization"]
    assert name.lower() in signed.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert signed != SIGNER.sign("PUT", **asked, headers={name: "other"})["Authorization"]


def test_nothing_prints_the_secret_of_the_store() -> None:
    assert SECRET_KEY not in repr(SIGNER)
