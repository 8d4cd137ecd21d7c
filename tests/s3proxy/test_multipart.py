"""Multipart uploads through the proxy, against the real store: what went in comes out, and the store cannot read it."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from devstack.s3proxy import ProxyProcess
from strongroom.sealed.header import parse_header
from strongroom.sealed.sizes import listed_plaintext_bytes, part_stored_bytes
from tests.support.s3.multipart import LEAST, MIB, begin, code_of, kept_copies, upload

pytestmark = pytest.mark.usefixtures("no_kept_copies")

SHAPES = {
    "one empty part": (0,),
    "one byte": (1,),
    "one short part": (70_000,),
    "one part of the least size": (LEAST,),
    "short last part": (LEAST, LEAST + 3, 17),
    "empty last part": (LEAST, 0),
    "long last part": (LEAST + 1, LEAST),
    "last part just short": (LEAST, LEAST - 1),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_was_uploaded_is_got(s3: Any, bare: Any, bucket: str, shape: str) -> None:
    bodies = [os.urandom(size) for size in SHAPES[shape]]
    whole, key = b"".join(bodies), f"shape/{shape}"
    numbers = [2 * number for number in range(1, len(bodies) + 1)]
    parts = dict(sorted(zip(numbers, bodies, strict=True), reverse=True))
    done = upload(s3, bucket, key, parts, Metadata={"colour": "blue"}, ContentType="text/x-test", Tagging="a=b")
    head = s3.head_object(Bucket=bucket, Key=key)
    got = s3.get_object(Bucket=bucket, Key=key)
    assert got["Body"].read() == whole
    assert done["ETag"] == head["ETag"] == got["ETag"]
    assert head["ContentLength"] == got["ContentLength"] == len(whole)
    assert head["ContentType"] == "text/x-test"
    assert head["Metadata"] == {"colour": "blue"}
    assert s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] == [{"Key": "a", "Value": "b"}]
    stored = bare.get_object(Bucket=bucket, Key=key)
    assert listed_plaintext_bytes(stored["ContentLength"], stored["ETag"]) == len(whole)
    sealed = stored["Body"].read()
    assert not any(body[:64] in sealed for body in bodies if len(body) >= 64)
    assert not kept_copies(bare)


def test_listing_shows_the_plaintext_size(s3: Any, bucket: str) -> None:
    upload(s3, bucket, "list/one", {1: bytes(LEAST), 2: b"tail"})
    (item,) = s3.list_objects_v2(Bucket=bucket, Prefix="list/")["Contents"]
    assert item["Size"] == LEAST + 4
    assert item["ETag"] == s3.head_object(Bucket=bucket, Key="list/one")["ETag"]


@pytest.fixture(scope="module")
def parted(s3: Any, bucket: str) -> tuple[str, dict[int, bytes]]:
    """An object of three parts, and its parts."""
    parts = {1: os.urandom(LEAST), 3: os.urandom(LEAST + 70_001), 8: os.urandom(100_000)}
    upload(s3, bucket, "parted", parts)
    return "parted", parts


RANGES = (
    (0, 0),
    (0, LEAST - 1),
    (LEAST - 1, LEAST),
    (LEAST, LEAST),
    (LEAST + 65_535, LEAST + 65_536),
    (70_000, 2 * LEAST + 70_100),
    (2 * LEAST + 70_001, 2 * LEAST + 170_000),
    (2 * LEAST + 170_000, 2 * LEAST + 170_000),
    (1, 2 * LEAST + 170_000),
)


@pytest.mark.parametrize(("first", "last"), RANGES)
def test_range_across_parts(s3: Any, bucket: str, parted: tuple[str, dict[int, bytes]], first: int, last: int) -> None:
    key, parts = parted
    whole = b"".join(parts.values())
    for text in (f"{first}-{last}", *([f"-{len(whole) - first}"] if last == len(whole) - 1 else [])):
        got = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes={text}")
        assert got["Body"].read() == whole[first : last + 1]
        assert got["ContentRange"] == f"bytes {first}-{last}/{len(whole)}"


def test_range_behind_the_end_is_416(s3: Any, bucket: str, parted: tuple[str, dict[int, bytes]]) -> None:
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key=parted[0], Range="bytes=99999999-")
    assert code_of(caught.value) == "InvalidRange"


def test_part_by_its_number(s3: Any, bucket: str, parted: tuple[str, dict[int, bytes]]) -> None:
    key, parts = parted
    for number, body in parts.items():
        got = s3.get_object(Bucket=bucket, Key=key, PartNumber=number)
        assert got["Body"].read() == body
        head = s3.head_object(Bucket=bucket, Key=key, PartNumber=number)
        assert (head["PartsCount"], head["ContentLength"]) == (3, len(body))
    with pytest.raises(ClientError) as caught:
        s3.head_object(Bucket=bucket, Key=key, PartNumber=9)  # carries the manifest, and is not part of the client's
    assert code_of(caught.value) == "416"


def test_empty_last_part_by_its_number(s3: Any, bucket: str) -> None:
    upload(s3, bucket, "empty-last", {1: bytes(LEAST), 2: b""})
    assert s3.get_object(Bucket=bucket, Key="empty-last", PartNumber=2)["Body"].read() == b""


def test_if_range_of_another_object_gives_the_whole(s3: Any, bucket: str, parted: tuple[str, dict[int, bytes]]) -> None:
    key, parts = parted
    etag = s3.head_object(Bucket=bucket, Key=key)["ETag"]
    lengths, events = [], s3.meta.events
    for condition in (etag, '"another"'):

        def add(params: Any, value: str = condition, **_: object) -> None:
            params["headers"]["If-Range"] = value  # botocore has no parameter for it

        events.register("before-call.s3.GetObject", add)
        try:
            lengths.append(s3.get_object(Bucket=bucket, Key=key, Range="bytes=0-9")["ContentLength"])
        finally:
            events.unregister("before-call.s3.GetObject", add)
    assert lengths == [10, sum(map(len, parts.values()))]


def test_headers_of_the_answer_as_the_request_wants_them(
    s3: Any, bucket: str, parted: tuple[str, dict[int, bytes]]
) -> None:
    wanted = {"ResponseContentDisposition": 'attachment; filename="a"', "ResponseContentType": "text/wanted"}
    for options in ({}, {}, {"Range": "bytes=0-9"}, {"PartNumber": 1}):
        got = s3.get_object(Bucket=bucket, Key=parted[0], **wanted, **options)
        assert got["ContentDisposition"] == 'attachment; filename="a"'
        assert got["ContentType"] == "text/wanted"


def test_parts_in_parallel_and_again_each_with_keys_of_its_own(s3: Any, bare: Any, bucket: str) -> None:
    up = begin(s3, bucket, "parallel")
    bodies = {number: os.urandom(LEAST) for number in range(1, 5)}
    with ThreadPoolExecutor(8) as pool:
        again = {number: [pool.submit(up.put, number, body) for _ in range(2)]
                 for number, body in bodies.items()}  # fmt: skip
        etags = {number: {attempt.result() for attempt in attempts} for number, attempts in again.items()}
    assert all(len(attempts) == 2 for attempts in etags.values())  # same plaintext, another salt, other bytes
    bodies[2] = os.urandom(LEAST)
    last = {2: up.put(2, bodies[2])}
    for number in (1, 3, 4):
        last[number] = up.put(number, bodies[number])
    up.complete(last)
    assert s3.get_object(Bucket=bucket, Key="parallel")["Body"].read() == b"".join(bodies.values())
    stored = bare.get_object(Bucket=bucket, Key="parallel")["Body"].read()
    step = part_stored_bytes(LEAST)
    salts = {parse_header(stored[at:]).salt for at in range(0, 4 * step, step)}
    assert len(salts) == 4


def test_large_file_by_the_transfer_manager_in_flat_memory(
    s3: Any, bucket: str, proxy: ProxyProcess, tmp_path: Path
) -> None:
    path, copy = tmp_path / "large", tmp_path / "copy"
    block = os.urandom(MIB)
    with path.open("wb") as file:
        for number in range(130):
            file.write(number.to_bytes(4, "big") + block[4:])
        file.write(b"end")
    before = peak_bytes(proxy.pid)
    parts_of = {"one part": 1 << 30, "many parts": 8 * MIB}
    for name, part_bytes in parts_of.items():
        config = TransferConfig(multipart_threshold=MIB, multipart_chunksize=part_bytes, max_concurrency=4)
        s3.upload_file(str(path), bucket, name, Config=config)
        s3.download_file(bucket, name, str(copy), Config=config)
        assert copy.read_bytes() == path.read_bytes()
    assert peak_bytes(proxy.pid) - before < 64 * MIB


def peak_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def test_list_parts_shows_what_was_sent_also_after_a_completion_that_failed(s3: Any, bare: Any, bucket: str) -> None:
    for tail in (b"short", bytes(LEAST)):
        key = f"parts/{len(tail)}"
        s3.put_object(Bucket=bucket, Key=key, Body=b"in the way")
        up = begin(s3, bucket, key)
        bodies = {1: bytes(LEAST), 2: tail}
        etags = up.put_all(bodies)
        expected = {number: (etags[number], len(body)) for number, body in bodies.items()}
        assert up.listed() == expected
        with pytest.raises(ClientError) as caught:
            up.complete(etags, IfNoneMatch="*")
        assert code_of(caught.value) == "PreconditionFailed"
        assert up.listed() == expected
        assert len(bare.list_parts(**up.names)["Parts"]) == 3
        up.complete(etags)
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == bytes(LEAST) + tail


def test_list_parts_page_by_page(s3: Any, bucket: str) -> None:
    up = begin(s3, bucket, "pages")
    etags = {number: up.put(number, b"x" * number) for number in range(1, 6)}
    pages = s3.get_paginator("list_parts").paginate(**up.names, PaginationConfig={"PageSize": 2})
    shown = [[(part["PartNumber"], part["ETag"], part["Size"]) for part in page["Parts"]] for page in pages]
    assert [len(page) for page in shown] == [2, 2, 1]
    assert [part for page in shown for part in page] == [(number, etag, number) for number, etag in etags.items()]
    assert "pages" in [item["Key"] for item in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]]
    up.abort()


def test_abort_leaves_nothing(s3: Any, bare: Any, bucket: str) -> None:
    up = begin(s3, bucket, "aborted")
    etags = {number: up.put(number, b"small") for number in (1, 2, 2)}
    assert len(kept_copies(bare)) == 3
    up.abort()
    assert not kept_copies(bare)
    for attempt in (
        lambda: up.complete(etags),
        lambda: up.put(1, b"late"),
        lambda: s3.list_parts(**up.names),
    ):
        with pytest.raises(ClientError) as caught:
            attempt()
        assert code_of(caught.value) == "NoSuchUpload"
    assert not kept_copies(bare)


@pytest.mark.parametrize("size", [5, LEAST])
def test_completing_with_another_attempt_than_the_object_is_made_of_is_refused(s3: Any, bucket: str, size: int) -> None:
    """Two clients of one upload: the second would otherwise be told that its attempt is stored, which is lost."""
    name = {"Bucket": bucket, "Key": "attempts"}
    upload = name | {"UploadId": s3.create_multipart_upload(**name)["UploadId"]}
    first, second = (s3.upload_part(**upload, PartNumber=1, Body=body * size)["ETag"] for body in (b"1", b"2"))

    def complete(etag: str) -> str:
        parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        return str(s3.complete_multipart_upload(**upload, MultipartUpload=parts)["ETag"])

    made = complete(first)
    assert complete(first) == made
    for other in (second, '"0123"'):
        with pytest.raises(ClientError) as caught:
            complete(other)
        assert caught.value.response["Error"]["Code"] in {"NoSuchUpload", "InvalidPart"}
    assert complete(first.removesuffix('-1"') + '"') == made, "the store's own ETag, as earlier versions told it"
    assert s3.get_object(**name)["Body"].read() == b"1" * size


def test_completing_again_answers_the_same(s3: Any, bucket: str) -> None:
    up = begin(s3, bucket, "again")
    etags = {1: up.put(1, b"whole")}
    first = up.complete(etags, IfNoneMatch="*")
    second = up.complete(etags, IfNoneMatch="*")
    assert {**first, "ResponseMetadata": None} == {**second, "ResponseMetadata": None}
    assert s3.get_object(Bucket=bucket, Key="again")["Body"].read() == b"whole"
    s3.put_object(Bucket=bucket, Key="again", Body=b"another")
    with pytest.raises(ClientError) as caught:
        up.complete(etags)
    assert code_of(caught.value) == "NoSuchUpload"


def test_what_is_refused(s3: Any, bucket: str) -> None:
    up = begin(s3, bucket, "refused")
    etags = {number: up.put(number, bytes(LEAST - 1)) for number in (1, 2)}
    one = {"PartNumber": 1, "ETag": etags[1]}
    cases = {
        "EntityTooSmall": [one, {"PartNumber": 2, "ETag": etags[2]}],
        "InvalidPart": [{"PartNumber": 1, "ETag": etags[2]}],
        "InvalidPartOrder": [{"PartNumber": 2, "ETag": etags[2]}, one],
    }
    for code, parts in cases.items():
        with pytest.raises(ClientError) as caught:
            s3.complete_multipart_upload(**up.names, MultipartUpload={"Parts": parts})
        assert code_of(caught.value) == code
    for number in (0, 10_001):
        with pytest.raises(ClientError) as caught:
            up.put(number, b"x")
        assert code_of(caught.value) == "InvalidArgument"
    with pytest.raises(ClientError) as caught:
        up.put(10_000, bytes(LEAST))
    assert code_of(caught.value) == "InvalidArgument"
    with pytest.raises(ClientError) as caught:
        up.complete({1: etags[1]}, MpuObjectSize=LEAST)
    assert code_of(caught.value) == "InvalidRequest"
    with pytest.raises(ClientError) as caught:
        s3.head_object(Bucket=bucket, Key="refused")
    assert code_of(caught.value) == "404"
    up.complete({1: etags[1]}, MpuObjectSize=LEAST - 1)
    assert s3.head_object(Bucket=bucket, Key="refused")["ContentLength"] == LEAST - 1


def test_highest_part_number_may_be_small(s3: Any, bucket: str) -> None:
    upload(s3, bucket, "highest", {10_000: b"last", 9_999: bytes(LEAST)})
    assert s3.get_object(Bucket=bucket, Key="highest")["Body"].read() == bytes(LEAST) + b"last"


def test_parts_that_are_not_listed_are_left_out(s3: Any, bucket: str) -> None:
    up = begin(s3, bucket, "left-out")
    etags = {number: up.put(number, bytes([number]) * LEAST) for number in (1, 2, 3)}
    up.complete({1: etags[1], 2: etags[2]})
    assert s3.get_object(Bucket=bucket, Key="left-out")["Body"].read() == b"\x01" * LEAST + b"\x02" * LEAST


def test_if_match_of_a_completion_names_the_etag_that_the_client_knows(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="match", Body=b"first")["ETag"]
    up = begin(s3, bucket, "match")
    etags = {1: up.put(1, b"second")}
    with pytest.raises(ClientError) as caught:
        up.complete(etags, IfMatch='"0123"')
    assert code_of(caught.value) == "PreconditionFailed"
    done = up.complete(etags, IfMatch=etag)
    assert s3.get_object(Bucket=bucket, Key="match", IfMatch=done["ETag"])["Body"].read() == b"second"


def test_wrong_part_is_not_taken(s3: Any, bare: Any, bucket: str) -> None:
    up = begin(s3, bucket, "wrong")
    for size in (10, LEAST + 1):
        with pytest.raises(ClientError) as caught:
            up.put(1, bytes(size), ChecksumCRC32="AAAAAQ==")
        assert code_of(caught.value) == "BadDigest"
    assert up.listed() == {}
    assert not bare.list_parts(**up.names).get("Parts")
    up.abort()
