"""The proxy's own bucket: nobody may use it, and strangers are not told that it is one."""

import contextlib
import http.client
import re

import pytest

from devstack.s3proxy import ProxyProcess

FORM_OF_A_STRANGER = (
    b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n1\r\n--b--\r\n'
)


def ask(
    proxy: ProxyProcess, method: str, target: str, body: bytes, headers: dict[str, str]
) -> tuple[http.client.HTTPResponse, bytes]:
    with contextlib.closing(http.client.HTTPConnection(proxy.address, timeout=60)) as connection:
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        return answer, answer.read()


@pytest.mark.parametrize(
    ("method", "headers", "body"),
    [
        ("OPTIONS", {"Origin": "https://app.example", "Access-Control-Request-Method": "PUT"}, b""),
        ("POST", {"Content-Type": "multipart/form-data; boundary=b"}, b"--b--\r\n"),
        ("POST", {"Content-Type": "multipart/form-data; boundary=b"}, FORM_OF_A_STRANGER),
        ("PUT", {}, b"x"),
        ("GET", {}, b""),
        ("DELETE", {}, b""),
    ],
)
@pytest.mark.parametrize("path", ["", "/key"])
def test_a_stranger_is_not_told_which_bucket_is_the_proxys_own(
    proxy: ProxyProcess, method: str, headers: dict[str, str], body: bytes, path: str
) -> None:
    def told_of(bucket: str) -> tuple[int, list[tuple[str, str]], bytes]:
        answer, document = ask(proxy, method, f"/{bucket}{path}", body, headers)
        varying = {"x-amz-request-id", "Date", "Content-Length", "Connection"}
        told = [(name, value) for name, value in answer.getheaders() if name not in varying]
        document = re.sub(rb"<RequestId>.*</RequestId>", b"", document).replace(bucket.encode(), b"BUCKET")
        return answer.status, told, document

    assert told_of("strongroom-system") == told_of("nobody-has-this")
