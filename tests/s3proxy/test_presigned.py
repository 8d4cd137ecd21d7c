"""Presigned URLs at a proxy that knows a domain: version 2 does not sign the host, and the host may name the bucket."""

import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from cli.dev.s3proxy import ProxyProcess
from cli.dev.seaweed import REGION, SeaweedServer
from tests.s3proxy.conftest import client_of

DOMAIN = "s3.example.com"
BODY = b"in the bucket that was signed for"


@pytest.fixture(scope="module")
def domain_proxy(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer) -> Iterator[ProxyProcess]:
    with ProxyProcess(tmp_path_factory.mktemp("domain"), store, settings={"domains": DOMAIN}) as running:
        s3 = client_of(running.url, running.access_key, running.secret_key)
        for bucket in ("presigned", "another"):
            s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket="presigned", Key="key", Body=BODY)
        s3.put_object(Bucket="another", Key="presigned/key", Body=b"nobody signed for this")
        yield running


def presigned(proxy: ProxyProcess, version: str, style: str) -> str:
    s3 = boto3.client(
        "s3",
        endpoint_url=f"http://{DOMAIN}",
        aws_access_key_id=proxy.access_key,
        aws_secret_access_key=proxy.secret_key,
        region_name=REGION,
        config=Config(signature_version=version, s3={"addressing_style": style}),
    )
    return str(s3.generate_presigned_url("get_object", Params={"Bucket": "presigned", "Key": "key"}))


def got(proxy: ProxyProcess, url: str, *, host: str = "") -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(proxy.address, timeout=30)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}", headers={"Host": host or parts.netloc})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("version", ["s3", "s3v4"])
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_a_presigned_url_is_good_in_both_styles(domain_proxy: ProxyProcess, version: str, style: str) -> None:
    assert got(domain_proxy, presigned(domain_proxy, version, style)) == (200, BODY)


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_another_host_does_not_lead_to_another_bucket(domain_proxy: ProxyProcess, version: str) -> None:
    by_path = presigned(domain_proxy, version, "path")
    status, answer = got(domain_proxy, by_path, host=f"another.{DOMAIN}")
    assert (status, b"SignatureDoesNotMatch" in answer) == (403, True)
    by_host = presigned(domain_proxy, version, "virtual")
    status, answer = got(domain_proxy, by_host, host=f"another.{DOMAIN}")
    assert (status, b"SignatureDoesNotMatch" in answer) == (403, True)
