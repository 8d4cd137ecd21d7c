"""Calls of S3, as requests spell them."""

import pytest

from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import make_head
from s3proxy.s3api.operations import Call, classify

DOMAINS = ("s3.example.com",)


def call_of(method: str, target: str, **headers: str) -> Call:
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return classify(make_head(method, target, pairs), domains=DOMAINS)


def code_of(method: str, target: str, **headers: str) -> str:
    with pytest.raises(S3Error) as caught:
        call_of(method, target, **headers)
    return caught.value.code
