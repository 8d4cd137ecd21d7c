"""Reading forms: whole, byte by byte, cut short, and malformed in every way."""

from typing import Any

import pytest
from urllib3.filepost import encode_multipart_formdata

from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.form import MAX_FIELDS_BYTES, FormReader

BOUNDARY = "x-boundary"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"
FIELDS = [("key", "a/${filename}"), ("x-amz-meta-ü", "é\r\nb"), ("empty", "")]
FILES = [b"", b"x", b"\r\n--x-boundar", b"--x-boundary--\r\n", b"\r\n" * 99, bytes(range(256)) * 300]


def form_of(file: bytes, *, fields: list[tuple[str, str]] | None = None, behind: str = "") -> bytes:
    parts: Any = [*(FIELDS if fields is None else fields), ("file", ("dir/na me.txt", file, "text/x-test"))]
    if behind:
        parts.append(("submit", behind))
    return encode_multipart_formdata(parts, boundary=BOUNDARY)[0]


def read(body: bytes, *, step: int, content_type: str = TYPE) -> tuple[FormReader, bytes]:
    form = FormReader(content_type)
    pieces = [piece for at in range(0, len(body), step) for piece in form.feed(body[at : at + step])]
    form.finish()
    return form, b"".join(pieces)


@pytest.mark.parametrize("step", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("behind", ["", "Upload"])
def test_any_split_gives_the_same(file: bytes, step: int, behind: str) -> None:
    body = form_of(file, behind=behind)
    form, content = read(body, step=step)
    assert content == file
    assert form.fields == FIELDS
    assert (form.filename, form.file_type) == ("dir/na me.txt", "text/x-test")
    assert (form.file_bytes_expected(len(body)) == len(file)) == (not behind)


def test_every_form_that_is_cut_short_is_refused() -> None:
    body = form_of(b"content")
    whole = body.rstrip(b"\r\n")
    for end in range(len(whole)):
        with pytest.raises(S3Error) as caught:
            read(body[:end], step=len(body))
        assert caught.value.code == "MalformedPOSTRequest"
    read(whole, step=len(whole))


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "multipart/form-data",
        "text/plain; boundary=x",
        "multipart/form-data; boundary=",
        f"{TYPE}{'x' * 70}",
        "multipart/form-data; boundary*=unicode_escape''x",
    ],
)
def test_a_form_without_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(S3Error) as caught:
        FormReader(content_type)
    assert caught.value.code == "MalformedPOSTRequest"


@pytest.mark.parametrize(
    "body",
    [
        b"preamble\r\n--x-boundary\r\n",
        b"--x-boundaryX\r\n",
        b"--x-boundary\r\nno colon\r\n\r\n",
        b'--x-boundary\r\nContent-Disposition: attachment; name="a"\r\n\r\n',
        b"--x-boundary\r\nContent-Disposition: form-data\r\n\r\n",
        b'--x-boundary\r\nContent-Disposition: form-data; name="a"\r\nContent-Disposition: b\r\n\r\n',
        b"a preamble longer than the boundary\r\n--x-boundary\r\n",
        b'--x-boundary\r\nContent-Disposition: form-data; name="key"\r\n\r\n\xff\r\n--x-boundary',
        b'--x-boundary\r\nContent-Disposition: form-data; name="key"\r\n\r\n\xed\xa0\x80\r\n--x-boundary',
        b'--x-boundary\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n',
        b'--x-boundary\r\nContent-Disposition: form-data; name="file"; filename="\xff"\r\n\r\n',
        b"--x-boundary\r\nContent-Disposition: form-data; name=file; filename*=unicode_escape''%5Cud800\r\n\r\n",
        b"--x-boundary\r\nContent-Disposition: form-data; name*=utf-8''key\r\n\r\n",
        b"--x-boundary\r\nContent-Disposition: form-data; name=key; name*0=a; name*=utf-8''b\r\n\r\n",
        b"--x-boundary\r\nContent-Disposition: form-data; name=key; name=other\r\n\r\n",
        b'--x-boundary\r\nContent-Disposition: form-data; name="key\r\n\r\n',
        b'--x-boundary\r\nContent-Disposition: form-data; name="key"other\r\n\r\n',
    ],
)
@pytest.mark.parametrize("step", [1, 1000])
def test_a_malformed_form_is_refused(body: bytes, step: int) -> None:
    with pytest.raises(S3Error) as caught:
        read(body, step=step)
    assert caught.value.code == "MalformedPOSTRequest"


@pytest.mark.parametrize(
    ("written", "filename"),
    [
        (b'"a;b=c"', "a;b=c"),
        (b'"a\\"b\\\\c"', 'a"b\\c'),
        (b'"C:\\dir\\a.txt"', "C:\\dir\\a.txt"),
        (b"a b.txt ;", "a b.txt"),
        ('"ü%22"'.encode(), "ü%22"),
        (b'""', ""),
    ],
)
def test_the_name_of_a_file_is_read_as_browsers_write_it(written: bytes, filename: str) -> None:
    form = FormReader('Multipart/Form-Data; charset=utf-8; Boundary="x-boundary";')
    form.feed(b"--x-boundary\r\ncontent-disposition: Form-Data; Name=file; filename=" + written + b"\r\n\r\n")
    assert (form.file_begun, form.filename) == (True, filename)


def test_a_form_without_file_is_refused() -> None:
    body = encode_multipart_formdata(FIELDS, boundary=BOUNDARY)[0]
    with pytest.raises(S3Error) as caught:
        read(body, step=len(body))
    assert caught.value.code == "InvalidArgument"


@pytest.mark.parametrize("step", [1000, 1 << 20])
def test_fields_have_a_limit(step: int) -> None:
    body = form_of(b"", fields=[("key", "x" * (MAX_FIELDS_BYTES + 70_000))])
    with pytest.raises(S3Error) as caught:
        read(body, step=step)
    assert caught.value.code == "MaxPostPreDataLengthExceededError"
    body = form_of(b"", fields=[("key", "x" * 60_000)])
    assert read(body, step=step)[0].fields == [("key", "x" * 60_000)]


def test_a_head_has_a_limit() -> None:
    form = FormReader(TYPE)
    with pytest.raises(S3Error) as caught:
        form.feed(b"--x-boundary\r\n" + b"x" * (MAX_FIELDS_BYTES + 1))
    assert caught.value.code == "MalformedPOSTRequest"


@pytest.mark.parametrize("content_type", [TYPE + ";" * 8000, "multipart/form-data" + ';a="' * 2000])
def test_a_content_type_with_very_many_parameters_is_refused(content_type: str) -> None:
    with pytest.raises(S3Error, match="too many parameters"):
        FormReader(content_type)


@pytest.mark.parametrize(
    "lines", [b"; a=b" * 1000, b"\r\n" + b"\r\n".join(b"a%d: b" % number for number in range(1000))]
)
def test_a_field_with_a_long_winded_head_is_refused(lines: bytes) -> None:
    head = b"--x-boundary\r\nContent-Disposition: form-data; name=a" + lines + b"\r\n\r\n"
    with pytest.raises(S3Error, match="a malformed head"):
        FormReader(TYPE).feed(head)


def test_a_field_that_comes_byte_by_byte_is_searched_once() -> None:
    """In the square of its length this took a minute; the time limit of the test shows it."""
    form = FormReader(TYPE)
    form.feed(b"--x-boundary\r\nContent-Disposition: form-data; name=policy\r\n\r\n")
    for _ in range(80_000):
        form.feed(b"-")
    form.feed(b"\r\n--x-boundary\r\nContent-Disposition: form-data; name=file\r\n\r\n")
    assert form.fields == [("policy", "-" * 80_000)]
