"""Presigned URLs at a proxy that knows a domain: version 2 does not sign the host, and the host may name the bucket."""

import http.client
from collections.abc import Iterator
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from urllib3.filepost import encode_multipart_formdata

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import REGION, SeaweedServer
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


@pytest.mark.parametrize("style", ["virtual", "path"])
def test_the_location_of_an_upload_names_the_bucket_once(domain_proxy: ProxyProcess, style: str) -> None:
    own = client_of(domain_proxy.url, domain_proxy.access_key, domain_proxy.secret_key)
    name = {"Bucket": "presigned", "Key": "up/ä;b"}
    upload = own.create_multipart_upload(**name)["UploadId"]
    etag = own.upload_part(**name, UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    s3 = boto3.client(
        "s3",
        endpoint_url=f"http://{DOMAIN}",
        aws_access_key_id=domain_proxy.access_key,
        aws_secret_access_key=domain_proxy.secret_key,
        region_name=REGION,
        config=Config(signature_version="s3v4", s3={"addressing_style": style}),
    )
    url = s3.generate_presigned_url("complete_multipart_upload", Params={**name, "UploadId": upload})
    part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>"
    status, answer = sent(domain_proxy, "POST", url, body.encode())
    host = urlsplit(url).netloc
    bucket = "" if style == "virtual" else "/presigned"
    assert status == 200
    assert f"<Location>http://{host}{bucket}/up/%C3%A4%3Bb</Location>".encode() in answer

    post = s3.generate_presigned_post(
        "presigned", "form/ä;b", Fields={"success_action_status": "201"}, Conditions=[{"success_action_status": "201"}]
    )
    form, content_type = encode_multipart_formdata([*post["fields"].items(), ("file", ("f", b"x"))])
    status, answer = sent(domain_proxy, "POST", post["url"], form, content_type=content_type)
    assert status == 201
    assert f"<Location>http://{host}{bucket}/form/%C3%A4%3Bb</Location>".encode() in answer


def sent(
    proxy: ProxyProcess, method: str, url: str, body: bytes, *, content_type: str = "application/xml"
) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(proxy.address, timeout=30)
    try:
        headers = {"Host": parts.netloc, "Content-Type": content_type}
        connection.request(method, f"{parts.path or '/'}?{parts.query}".rstrip("?"), body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
