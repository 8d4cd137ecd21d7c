import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import ConfigError, PeerError
from wrapper.fetch.http import Url, decode_head, encode_post

OK = b"HTTP/1.1 200 OK\r\n"


def head(*lines: bytes) -> bytes:
    return OK + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("https://bridge", "bridge", 8443, "bridge:8443"),
        ("https://bridge/", "bridge", 8443, "bridge:8443"),
        ("https://bridge:443", "bridge", 443, "bridge:443"),
        ("https://bridge:65535/", "bridge", 65535, "bridge:65535"),
        ("https://bridge.strongroom.svc.cluster.local.:1", "bridge.strongroom.svc.cluster.local.", 1, None),
        ("https://under_score-1.example", "under_score-1.example", 8443, None),
        ("https://xn--mnchen-3ya.example", "xn--mnchen-3ya.example", 8443, None),
        ("https://192.0.2.1:8443", "192.0.2.1", 8443, "192.0.2.1:8443"),
        ("https://[::1]", "::1", 8443, "[::1]:8443"),
        ("https://[2001:db8::A]:443/", "2001:db8::A", 443, "[2001:db8::A]:443"),
        ("https://[::ffff:192.0.2.1]:443", "::ffff:192.0.2.1", 443, "[::ffff:192.0.2.1]:443"),
    ],
)
def test_host_and_port_of_an_address(text: str, host: str, port: int, shown: str | None) -> None:
    url = Url(text)

    assert (url.host, url.port) == (host, port)
    assert str(url) == (shown or f"{host}:{port}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bridge",
        "bridge:8443",
        "http://bridge",
        "HTTPS://bridge",
        "https:/bridge",
        "https://",
        "https:///",
        "https://:8443",
        "https://bridge:",
        "https://bridge:0",
        "https://bridge:65536",
        "https://bridge:-1",
        "https://bridge:+1",
        "https://bridge:8_4",
        "https://bridge:84 43",
        "https://bridge:\u0661",
        "https://bridge:" + "9" * 5000,
        "https://bridge:1:2",
        "https://bridge/path",
        "https://bridge//",
        "https://bridge?x",
        "https://bridge#x",
        "https://user@bridge",
        "https://user:password@bridge",
        "https://.bridge",
        "https://bri dge",
        "https://bridge\r\nX: y",
        "https://bridge\n",
        "https://bridge\x00",
        "https://m\u00fcnchen.example",
        "https://\u2060bridge",
        "https://::1",
        "https://[::1",
        "https://::1]",
        "https://[]",
        "https://[]:1",
        "https://[bridge]",
        "https://[::1]x",
        "https://[::1]:",
        "https://[::1]:x",
        "https://[::1]8443",
        "https://[::1%25eth0]",
        "https://[[::1]]",
    ],
)
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(ConfigError):
        Url(text)


@given(st.text() | st.text(st.sampled_from("abc.:[]/@?#0123456789%")))
def test_an_address_is_understood_or_refused_with_our_own_error(text: str) -> None:
    try:
        url = Url(f"https://{text}")
    except ConfigError:
        return
    # What was understood can appear in a request.
    assert f"Host: {url}\r\n".encode("ascii") in encode_post(url, "/", b"")
    assert 0 < url.port < 65_536


@given(st.binary())
def test_a_request_states_its_length_and_ends_its_connection(body: bytes) -> None:
    message = encode_post(Url("https://[::1]:99"), "/v1/bundle", body)

    lines, _, rest = message.partition(b"\r\n\r\n")
    fields = lines.split(b"\r\n")
    assert rest == body
    assert fields[0] == b"POST /v1/bundle HTTP/1.1"
    assert b"Host: [::1]:99" in fields
    assert b"Content-Length: %d" % len(body) in fields
    assert b"Connection: close" in fields


def test_a_response_is_read() -> None:
    response = decode_head(head(b"Content-Type: text/x", b"CONTENT-LENGTH:\t 12 ", b"Retry-After: 3", b"X-Empty:"))

    assert response.status == 200
    assert response.headers["content-type"] == "text/x"
    assert response.headers["x-empty"] == ""
    assert response.content_length == 12
    assert response.retry_after_s == 3


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"HTTP/1.1 404", 404),
        (b"HTTP/1.1 503 ", 503),
        (b"HTTP/1.0 200 OK then", 200),
        (b"HTTP/1.1 200 d\xe9j\xe0", 200),
    ],
)
def test_forms_of_a_status_line(line: bytes, status: int) -> None:
    assert decode_head(line + b"\r\n\r\n").status == status


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"200 OK",
        b"HTTP/1.1",
        b"HTTP/1.1 ",
        b"HTTP/1.1  200 OK",
        b"HTTP/2 200 OK",
        b"HTTP/1.x 200 OK",
        b"HTTP/1.12 200 OK",
        b"http/1.1 200 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 +20 OK",
        b"HTTP/1.1 2\xb2\xb3 OK",
        b"HTTP/1.1 " + b"9" * 5000,
        b"HTTP/1.1 200 OK\x00",
        b"HTTP/1.1 200 OK\nContent-Length: 1",
        b"HTTP/1.1 200 OK\r",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"<html>",
        b"SSH-2.0-OpenSSH_9.2",
    ],
)
def test_what_is_not_http_is_refused(line: bytes) -> None:
    with pytest.raises(PeerError):
        decode_head(line + b"\r\n\r\n")


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length : 5"],
        [b" Content-Length: 5"],
        [b"Content-Length: 5", b" 6"],
        [b"Content-Length: 5", b"\t6"],
        [b"Content-Length: 5\nContent-Length: 6"],
        [b"Content-Length: 5\rContent-Length: 6"],
        [b"Content-Length: 5\x00"],
        [b"Content-Length: 5\x0b"],
        [b"Content-Length"],
        [b": 5"],
        [b"Content Length: 5"],
        [b"Content-L\xe9ngth: 5"],
        [b"Content-Length: 5", b"Content-Length: 6"],
        [b"Content-Length: 5", b"content-length: 05"],
        [b"Content-Length: 5", b"CONTENT-LENGTH: 5, 6"],
    ],
)
def test_a_head_that_two_readers_could_read_in_two_ways_is_refused(lines: list[bytes]) -> None:
    with pytest.raises(PeerError):
        decode_head(head(*lines))


@pytest.mark.parametrize(
    "value",
    [b"", b"-1", b"+5", b"5, 5", b"0x5", b"5.0", b"1e3", b"5 5", b"1_0", b"\xb2", b"\xa05", b"\x855", b"9" * 5000],
)
def test_a_length_that_is_no_number_is_no_length(value: bytes) -> None:
    with pytest.raises(PeerError, match="length"):
        _ = decode_head(head(b"Content-Length: " + value)).content_length


def test_a_response_without_length_is_refused_because_a_cut_body_would_go_unnoticed() -> None:
    with pytest.raises(PeerError, match="length"):
        _ = decode_head(head(b"Content-Type: text/plain")).content_length


@pytest.mark.parametrize("coding", [b"chunked", b"identity", b"gzip, chunked", b""])
def test_a_transfer_coding_beside_a_length_is_refused(coding: bytes) -> None:
    with pytest.raises(PeerError, match="length"):
        _ = decode_head(head(b"Content-Length: 5", b"Transfer-Encoding: " + coding)).content_length


def test_the_same_length_twice_is_one_length() -> None:
    assert decode_head(head(b"Content-Length: 5", b"content-length: 5")).content_length == 5


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"0", 0),
        (b"7", 7),
        (b"60", 60),
        (b"61", 60),
        (b"9" * 400, 60),
        (b"-1", 0),
        (b"1.5", 0),
        (b"Wed, 21 Oct 2015 07:28:00 GMT", 0),
        (b"nan", 0),
        (b"\xb2", 0),
        (b"", 0),
    ],
)
def test_retry_after_counts_in_whole_seconds_up_to_a_minute(value: bytes, seconds: float) -> None:
    assert decode_head(head(b"Retry-After: " + value)).retry_after_s == seconds


def test_no_retry_after_is_zero() -> None:
    assert decode_head(head()).retry_after_s == 0


LINES = st.binary(max_size=40) | st.sampled_from(
    [b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Retry-After: 1"]
)


@given(st.binary() | st.lists(LINES).map(lambda lines: head(*lines)) | st.binary().map(lambda rest: OK + rest))
def test_whatever_comes_is_understood_or_is_the_error_of_a_peer(data: bytes) -> None:
    try:
        response = decode_head(data)
        length = response.content_length
    except PeerError:
        return
    assert 0 <= length < 10**18
    assert 0 <= response.retry_after_s <= 60
