"""XML in and out: documents of the API, and hostile ones."""

import tracemalloc
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3proxy.s3api.documents import (
    MAX_DOCUMENT_BYTES,
    CompletedPart,
    ObjectToDelete,
    parse_complete_multipart_upload,
    parse_delete,
    parse_location_constraint,
    parse_tagging,
)
from s3proxy.s3api.errors import STATUS, S3Error, error_document
from s3proxy.s3api.xml_read import MAX_DEPTH, parse_document
from s3proxy.s3api.xml_write import S3_NAMESPACE, node, to_xml
from strongroom.sealed.digests import Checksum, ChecksumAlgorithm

PART = "<Part><PartNumber>{}</PartNumber><ETag>&quot;e{}&quot;</ETag>{}</Part>"


def upload(*parts: str) -> bytes:
    return f'<CompleteMultipartUpload xmlns="{S3_NAMESPACE}">{"".join(parts)}</CompleteMultipartUpload>'.encode()


def code_of(parse: object, body: bytes) -> str:
    with pytest.raises(S3Error) as caught:
        parse(body)  # type: ignore[operator]
    return caught.value.code


def test_parts_are_read_with_their_checksums() -> None:
    body = upload(PART.format(1, 1, "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>"), PART.format(10_000, 2, "<New>x</New>"))
    checksum = Checksum(ChecksumAlgorithm.CRC32, bytes(4))
    assert parse_complete_multipart_upload(body) == (CompletedPart(1, "e1", checksum), CompletedPart(10_000, "e2"))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (upload(), "MalformedXML"),
        (upload(PART.format(2, 1, ""), PART.format(1, 1, "")), "InvalidPartOrder"),
        (upload(PART.format(1, 1, ""), PART.format(1, 1, "")), "InvalidPartOrder"),
        (upload(PART.format(0, 1, "")), "InvalidArgument"),
        (upload(PART.format(10_001, 1, "")), "InvalidArgument"),
        (upload(PART.format(-1, 1, "")), "MalformedXML"),
        (upload(PART.format("٣", 1, "")), "MalformedXML"),
        (upload(PART.format("9" * 5000, 1, "")), "MalformedXML"),
        (upload("<Part><PartNumber>1</PartNumber></Part>"), "MalformedXML"),
        (upload(PART.format(1, 1, "<ETag>b</ETag>")), "MalformedXML"),
        (upload(PART.format(1, 1, "<ChecksumCRC32>AAAA</ChecksumCRC32>")), "InvalidRequest"),
        (upload(PART.format(1, 1, "<ChecksumSHA512>AAAA</ChecksumSHA512>")), "MalformedXML"),
        (b"<Other/>", "MalformedXML"),
        (b"", "MalformedXML"),
        (b"x" * (MAX_DOCUMENT_BYTES + 1), "MaxMessageLengthExceeded"),
    ],
)
def test_malformed_uploads_are_refused(body: bytes, code: str) -> None:
    assert code_of(parse_complete_multipart_upload, body) == code


def test_the_largest_upload_is_read() -> None:
    extra = "<ChecksumSHA256>" + "A" * 43 + "=</ChecksumSHA256>"
    body = upload(*(PART.format(number, "0" * 32, extra) for number in range(1, 10_001)))
    assert len(body) < MAX_DOCUMENT_BYTES
    assert len(parse_complete_multipart_upload(body)) == 10_000


def test_deletions_are_read_and_blanks_in_keys_kept() -> None:
    body = (
        b"<Delete><Object><Key> a\n&#13;</Key><VersionId>v</VersionId></Object><Object><Key>b&amp;</Key></Object>"
        b"<Quiet>true</Quiet></Delete>"
    )
    found = parse_delete(body)
    assert found.objects == (ObjectToDelete(" a\n\r", "v"), ObjectToDelete("b&"))
    assert found.quiet


@pytest.mark.parametrize(
    "body",
    [
        b"<Delete/>",
        b"<Delete><Object/></Delete>",
        b"<Delete><Object><Key/></Object></Delete>",
        b"<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
        b"<Delete><Object><Key><x/></Key></Object></Delete>",
        b"<Delete>" + b"<Object><Key>a</Key></Object>" * 1001 + b"</Delete>",
        b"<Delete><Object><Key>" + b"a" * 4097 + b"</Key></Object></Delete>",
        b"<Delete><Object><Key>a</Key><VersionId>" + b"a" * 4097 + b"</VersionId></Object></Delete>",
    ],
)
def test_malformed_deletions_are_refused(body: bytes) -> None:
    assert code_of(parse_delete, body) == "MalformedXML"


def test_a_rare_character_in_an_answer_does_not_make_all_others_four_bytes_long() -> None:
    texts = ["\U0001f600", *1000 * ['"' * 1000]]
    tracemalloc.start()
    try:
        document = to_xml(node("DeleteResult", *(node("Key", text) for text in texts)))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(document) > 6_000_000
    assert peak_bytes < 3.2 * len(document)  # the texts, escaped; their bytes; and all of these together


def test_tags_are_read() -> None:
    tag = "<Tag><Key>{}</Key><Value>{}</Value></Tag>"
    body = "<Tagging><TagSet>" + tag.format("a", 1) + tag.format("b", "") + "</TagSet></Tagging>"
    assert parse_tagging(body.encode()) == (("a", "1"), ("b", ""))
    double = "<Tagging><TagSet>" + tag.format("a", 1) * 2 + "</TagSet></Tagging>"
    assert code_of(parse_tagging, double.encode()) == "InvalidTag"
    assert code_of(parse_tagging, b"<Tagging/>") == "MalformedXML"
    many = "".join(tag.format(number, 1) for number in range(51))
    assert code_of(parse_tagging, f"<Tagging><TagSet>{many}</TagSet></Tagging>".encode()) == "MalformedXML"


def test_the_location_of_a_new_bucket_is_read() -> None:
    body = b"<CreateBucketConfiguration><LocationConstraint>eu</LocationConstraint></CreateBucketConfiguration>"
    assert [parse_location_constraint(text) for text in (body, b"", b"<CreateBucketConfiguration/>")] == ["eu", "", ""]


ENTITY = '<!DOCTYPE Delete [<!ENTITY a "b">]><Delete><Object><Key>&a;</Key></Object></Delete>'


@pytest.mark.parametrize(
    "body",
    [
        ENTITY.encode(),
        ENTITY.encode("utf-16"),
        b'<!DOCTYPE Delete SYSTEM "file:///etc/passwd"><Delete/>',
        b"<!DOCTYPE Delete><Delete/>",
        b"<Delete>&undefined;</Delete>",
        b"<Delete>",
        b"<Delete/><Delete/>",
        b'<?xml version="1.0" encoding="no-such"?><Delete/>',
        b'<?xml version="1.0" encoding="utf-7"?><Delete/>',
        b"<Delete>\xff</Delete>",
        b"<Delete>&#0;</Delete>",
        b"<a>" * (MAX_DEPTH + 1) + b"</a>" * (MAX_DEPTH + 1),
        b"<a>" + b"<b/>" * 120_000 + b"</a>",
        b"<a>" * 1_000_000,
    ],
)
def test_hostile_documents_are_refused(body: bytes) -> None:
    assert code_of(parse_document, body) == "MalformedXML"


@pytest.mark.parametrize("what", ["<{0}/>", "<n:{0}/>", "<n:{0}></n:{0}>", "<x n:{0}=''/>"])
def test_a_long_namespace_is_not_held_once_for_each_name(what: str) -> None:
    names = "".join(what.format(f"a{number}") for number in range(1000))
    namespace = "n" * 100_000
    body = f'<Delete xmlns="{namespace}" xmlns:n="{namespace}">{names}</Delete>'.encode()
    tracemalloc.start()
    try:
        parse_document(body, root="Delete")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 10 * len(body)


def names(count: int) -> list[str]:
    """Return this many short names."""
    return [f"a{number:x}" for number in range(count)]


@pytest.mark.parametrize("per_element", [400_000, 4_000])
def test_attributes_are_not_read_without_end(per_element: int) -> None:
    """One element with all that fit took 120 MB, and more than a second in which nobody was served."""
    left = [f' {name}=""' for name in names(400_000)]
    elements = (f"<a{''.join(left[at : at + per_element])}/>" for at in range(0, len(left), per_element))
    body = f"<Delete>{''.join(elements)}</Delete>".encode()
    assert len(body) <= MAX_DOCUMENT_BYTES
    tracemalloc.start()
    try:
        assert code_of(parse_document, body) == "MalformedXML"
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


def test_long_texts_long_values_and_some_attributes_are_read() -> None:
    text = "&lt;" * 250_000
    attributes = "".join(f' {name}="{"v" * 100}"' for name in names(400))
    body = f"<a{attributes}><b>{text}</b><c><![CDATA[{'c' * 1_000_000}]]></c>{' ' * 1_000_000}</a>".encode()
    read = parse_document(body)
    assert [(child.name, len(child.text)) for child in read.children] == [("b", 250_000), ("c", 1_000_000)]


def test_prefixes_count_for_nothing() -> None:
    body = (
        b'<s:Delete xmlns:s="http://s3.amazonaws.com/doc/2006-03-01/"><s:Object><s:Key>a</s:Key></s:Object></s:Delete>'
    )
    assert parse_delete(body).objects == (ObjectToDelete("a"),)


@given(st.binary(max_size=100))
def test_noise_is_read_or_refused_as_malformed(noise: bytes) -> None:
    try:
        parse_document(noise)
    except S3Error as error:
        assert error.code == "MalformedXML"  # noqa: PT017 - it may also be accepted


@given(st.text(max_size=40), st.sampled_from(sorted(STATUS)))
def test_error_documents_are_well_formed_whatever_they_hold(text: str, code: str) -> None:
    error = S3Error(code, text, details={"BucketName": text})
    root = ET.fromstring(error_document(error, resource=text, request_id="R1"))  # noqa: S314 - written by us
    assert [child.tag for child in root] == ["Code", "Message", "BucketName", "Resource", "RequestId", "HostId"]
    assert (root.findtext("Code"), root.findtext("RequestId")) == (code, "R1")
    if text.isprintable():
        assert root.findtext("Resource") == root.findtext("Message") == text


def test_what_xml_cannot_express_is_replaced_and_the_rest_escaped() -> None:
    document = to_xml(node("A", node("Key", 'a\x01<&>"\r\n\ud800\ufffe'), node("Flag", *[True]), node("N", 3)))
    text = document.decode().partition("\n")[2]
    assert text == (
        f'<A xmlns="{S3_NAMESPACE}"><Key>a\ufffd&lt;&amp;&gt;&quot;&#13;\n\ufffd\ufffd</Key>'
        "<Flag>true</Flag><N>3</N></A>"
    )


def test_statuses_are_those_of_the_api() -> None:
    expected = {
        "SignatureDoesNotMatch": 403,
        "BadDigest": 400,
        "NoSuchKey": 404,
        "NotImplemented": 501,
        "SlowDown": 503,
    }
    assert {code: S3Error(code, "").status for code in expected} == expected
    assert S3Error("NoSuchCode", "").status == 500
