"""Multipart objects that the store has changed: refused or aborted, never a clean wrong answer, and counted."""

import base64
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import BotoCoreError

from devstack.s3proxy import ProxyProcess
from strongroom.sealed.sizes import PART_OVERHEAD_BYTES, manifest_stored_bytes
from tests.s3proxy.suites.conftest import FAST, make_bucket
from tests.support.s3.tamper import Stored, Tamperer

BUCKET = "tamper-multipart"
HEADER = 256
LEAST = 5 << 20
SMALL = b"a part that is the whole object"
_dice = random.Random(11)  # noqa: S311 - bodies, no keys
BODIES = (_dice.randbytes(LEAST), _dice.randbytes(LEAST), _dice.randbytes(1000))
WHOLE = b"".join(BODIES)


def upload(s3: Any, key: str, bodies: tuple[bytes, ...], bucket: str = BUCKET) -> None:
    name = {"Bucket": bucket, "Key": key}
    name["UploadId"] = s3.create_multipart_upload(**name)["UploadId"]
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**name, PartNumber=number, Body=body)["ETag"]}
        for number, body in enumerate(bodies, start=1)
    ]
    s3.complete_multipart_upload(**name, MultipartUpload={"Parts": parts})


class Pieces(NamedTuple):
    """A stored object of three parts, taken apart."""

    first: bytes
    second: bytes
    third: bytes
    manifest: bytes


def pieces_of(stored: Stored) -> Pieces:
    borders = [0, LEAST + PART_OVERHEAD_BYTES, 2 * (LEAST + PART_OVERHEAD_BYTES)]
    borders += [len(stored.body) - manifest_stored_bytes(3), len(stored.body)]
    return Pieces(*(stored.body[begin:end] for begin, end in pairwise(borders)))


@pytest.fixture(scope="module", autouse=True)
def _bucket(bare: Any, way: str) -> None:  # noqa: ARG001 - made anew for each
    make_bucket(bare, BUCKET)
    make_bucket(bare, BUCKET + "-other")


@pytest.fixture(scope="session")
def proxy(either_proxy: ProxyProcess) -> ProxyProcess:
    return either_proxy


@pytest.fixture(scope="module")
def tamperer(bare: Any, proxy: ProxyProcess, way: str) -> Iterator[Tamperer]:
    running = Tamperer(bare, proxy, keeps=way == FAST)
    yield running
    running.client.close()


@pytest.fixture(scope="module")
def small(s3: Any, tamperer: Tamperer) -> Stored:
    """One part, with the manifest behind it."""
    upload(s3, "small", (SMALL,))
    return tamperer.take(BUCKET, "small")


@pytest.fixture(scope="module")
def large(s3: Any, tamperer: Tamperer) -> Stored:
    upload(s3, "large", BODIES)
    return tamperer.take(BUCKET, "large")


@pytest.fixture(scope="module")
def again(s3: Any, tamperer: Tamperer) -> Stored:
    """Another upload of the same bodies to the same name."""
    upload(s3, "large", BODIES)
    return tamperer.take(BUCKET, "large")


def test_what_is_put_back_unchanged_is_read(tamperer: Tamperer, small: Stored, large: Stored) -> None:
    """The control of all tests here; where the store sees borders of parts does not matter, only their number does."""
    for key, stored, body in (("small", small, SMALL), ("large", large, WHOLE)):
        tamperer.put(BUCKET, key, stored)
        answer = tamperer.client.send("GET", BUCKET, key)
        assert answer.ok
        assert answer.body == body


def test_every_byte_of_headers_chunk_and_manifest_and_some_of_the_padding(tamperer: Tamperer, small: Stored) -> None:
    dice = random.Random(1)  # noqa: S311 - places, no keys
    chunk_end = HEADER + len(SMALL) + 16
    manifest_begin = len(small.body) - manifest_stored_bytes(1)
    padding = [chunk_end, manifest_begin - 1, *(dice.randrange(chunk_end, manifest_begin) for _ in range(20))]
    header = {1, 2, 3, 4, 5, 6, 7, 16}
    for places, rules in (
        (range(HEADER), header),
        (range(HEADER, chunk_end), {9}),
        (padding, {10}),
        (range(manifest_begin, manifest_begin + HEADER), header),
        (range(manifest_begin + HEADER, len(small.body)), {9}),
    ):
        with tamperer.refusing(rules):
            for place in places:
                tamperer.put(BUCKET, "small", small.flipped(place, dice.randrange(1, 256)))
                tamperer.read("GET", BUCKET, "small", original=SMALL)


def test_head_opens_the_manifest(tamperer: Tamperer, small: Stored) -> None:
    begin = len(small.body) - manifest_stored_bytes(1)
    with tamperer.refusing({1, 2, 3, 4, 5, 6, 7, 9, 16}):
        for place in (*range(begin, begin + HEADER, 9), *range(begin + HEADER, len(small.body), 5)):
            tamperer.put(BUCKET, "small", small.flipped(place, 0x80))
            tamperer.read("HEAD", BUCKET, "small", original=SMALL)


def test_padding_that_a_range_does_not_touch(tamperer: Tamperer, small: Stored) -> None:
    """Bytes of the padding carry nothing: a range of the chunks is right, and GET of the whole refuses."""
    tamperer.put(BUCKET, "small", small.flipped(HEADER + len(SMALL) + 16 + 5, 1))
    answer = tamperer.client.send("GET", BUCKET, "small", headers={"range": "bytes=2-5"})
    assert answer.ok
    assert answer.body == SMALL[2:6]
    tamperer.require_refused("GET", BUCKET, "small", original=SMALL, rules={10})


def test_every_byte_of_the_marker(tamperer: Tamperer, small: Stored) -> None:
    dice = random.Random(2)  # noqa: S311 - places, no keys
    end = len(base64.b64decode(small.entry or ""))
    for places, rules in ((range(HEADER), {1, 2, 3, 4, 5, 6, 7, 8, 11}), (range(HEADER, end), {12})):
        with tamperer.refusing(rules):
            for place in places:
                tamperer.put(BUCKET, "small", small.entry_flipped(place, dice.randrange(1, 256)))
                tamperer.read("GET", BUCKET, "small", original=SMALL)


CHANGES: dict[str, tuple[Callable[[Pieces, Pieces], bytes], set[int]]] = {
    "parts swapped": (lambda own, _: own.second + own.first + own.third + own.manifest, {16}),
    "a part twice": (lambda own, _: own.first + own.first + own.third + own.manifest, {16}),
    "a part of another upload": (lambda own, other: own.first + other.second + own.third + own.manifest, {16}),
    "the last part of another upload": (lambda own, other: own.first + own.second + other.third + own.manifest, {16}),
    "the manifest of another upload": (lambda own, other: own.first + own.second + own.third + other.manifest, {16}),
    "the first part dropped": (lambda own, _: own.second + own.third + own.manifest, {1, 14, 16}),
    "the last part dropped": (lambda own, _: own.first + own.second + own.manifest, {14, 16}),
    "no manifest": (lambda own, _: own.first + own.second + own.third, {1, 16}),
    "a byte between parts": (lambda own, _: own.first + b"\0" + own.second + own.third + own.manifest, {14, 16}),
    "bytes before": (lambda own, _: b"\0" * 16 + own.first + own.second + own.third + own.manifest, {14, 16}),
    "bytes behind": (lambda own, _: own.first + own.second + own.third + own.manifest + b"\0", {1, 16}),
    "the manifest twice": (lambda own, _: own.first + own.second + own.third + own.manifest * 2, {14, 16}),
    "parts cut into each other": (
        lambda own, _: own.first[:-65_552] + own.second[-65_552:] + own.second + own.third + own.manifest, {9, 10},
    ),
    "the end cut off": (lambda own, _: (own.first + own.second + own.third + own.manifest)[:-1], {1, 16}),
    "the manifest only": (lambda own, _: own.manifest, {1, 14, 16}),
    "nothing": (lambda _, __: b"x", {13}),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_parts_that_are_not_those_of_the_manifest(
    tamperer: Tamperer, large: Stored, again: Stored, change: str
) -> None:
    make, rules = CHANGES[change]
    tamperer.put(BUCKET, "large", replace(large, body=make(pieces_of(large), pieces_of(again))))
    tamperer.require_refused("GET", BUCKET, "large", original=WHOLE, rules=rules)


@pytest.mark.parametrize("parts", [0, 1, 2])
def test_another_number_of_parts_in_the_etag(tamperer: Tamperer, large: Stored, parts: int) -> None:
    tamperer.put(BUCKET, "large", replace(large, parts=parts))
    for method in ("GET", "HEAD"):
        tamperer.require_refused(method, BUCKET, "large", original=WHOLE, rules={1, 13, 16})


def test_ranges_of_a_part_of_another_upload(tamperer: Tamperer, large: Stored, again: Stored) -> None:
    own, other = pieces_of(large), pieces_of(again)
    body = own.first + other.second + own.third + own.manifest
    tamperer.put(BUCKET, "large", replace(large, body=body))
    for range_ in ((LEAST, LEAST), (LEAST + 100_000, LEAST + 100_001), (LEAST - 1, LEAST), (0, 2 * LEAST)):
        tamperer.require_refused("GET", BUCKET, "large", original=WHOLE, rules={16}, range_=range_)
    answer = tamperer.client.send("GET", BUCKET, "large", headers={"range": "bytes=0-99"})
    assert answer.ok
    assert answer.body == WHOLE[:100]


def test_ranges_of_a_damaged_chunk(tamperer: Tamperer, large: Stored) -> None:
    place = LEAST + PART_OVERHEAD_BYTES + HEADER + 3 * (65_536 + 16) + 100
    tamperer.put(BUCKET, "large", large.flipped(place, 4))
    begin = LEAST + 3 * 65_536
    for range_ in ((begin, begin), (begin + 65_535, begin + 65_536), (0, len(WHOLE) - 1), (begin - 1, begin + 9)):
        tamperer.require_refused("GET", BUCKET, "large", original=WHOLE, rules={9}, range_=range_)
    answer = tamperer.client.send("GET", BUCKET, "large", headers={"range": f"bytes={begin - 9}-{begin - 1}"})
    assert answer.ok
    assert answer.body == WHOLE[begin - 9 : begin]


def test_a_body_that_breaks_off_is_an_error_to_boto3(s3: Any, tamperer: Tamperer, large: Stored) -> None:
    tamperer.put(BUCKET, "large", large.flipped(2 * LEAST, 1))
    answer = tamperer.client.send("GET", BUCKET, "large")
    assert answer.status == 200
    assert LEAST < len(answer.body) < 2 * LEAST, "it was aborted on its way"
    with pytest.raises(BotoCoreError):
        s3.get_object(Bucket=BUCKET, Key="large")["Body"].read()


def test_body_and_marker_of_different_names(s3: Any, tamperer: Tamperer, small: Stored) -> None:
    upload(s3, "one", (SMALL,))
    upload(s3, "one", (SMALL,), BUCKET + "-other")
    one, elsewhere = tamperer.take(BUCKET, "one"), tamperer.take(BUCKET + "-other", "one")
    for body in (small, elsewhere):
        tamperer.put(BUCKET, "one", replace(body, entry=one.entry))
        for method in ("GET", "HEAD"):
            tamperer.require_refused(method, BUCKET, "one", original=SMALL, rules={15})
        tamperer.put(BUCKET, "one", body)
        for method in ("GET", "HEAD"):
            tamperer.require_refused(method, BUCKET, "one", original=SMALL, rules={12})


def test_entries_of_whole_objects_on_multipart_bodies_and_the_reverse(
    s3: Any, tamperer: Tamperer, small: Stored
) -> None:
    s3.put_object(Bucket=BUCKET, Key="small", Body=SMALL)
    whole = tamperer.take(BUCKET, "small")
    for body, entry in ((small, whole), (whole, small)):
        tamperer.put(BUCKET, "small", replace(body, entry=entry.entry))
        for method in ("GET", "HEAD"):
            tamperer.require_refused(method, BUCKET, "small", original=SMALL, rules={8, 13})
    tamperer.put(BUCKET, "small", replace(small, entry=None))
    tamperer.require_refused("GET", BUCKET, "small", original=SMALL, rules={11})


def test_a_kept_copy_of_a_small_part_that_was_changed(s3: Any, bare: Any, tamperer: Tamperer) -> None:
    """What cannot be read must not be completed."""
    name = {"Bucket": BUCKET, "Key": "kept"}
    before = _kept(bare)
    name["UploadId"] = s3.create_multipart_upload(**name)["UploadId"]
    etag = s3.upload_part(**name, PartNumber=1, Body=SMALL)["ETag"]
    (copy,) = _kept(bare) - before
    sealed = bare.get_object(Bucket="strongroom-system", Key=copy)["Body"].read()
    for place in (0, 40, 70, 85, HEADER, HEADER + len(SMALL) + 15, len(sealed) - 1):
        damaged = bytearray(sealed)
        damaged[place] ^= 1
        bare.put_object(Bucket="strongroom-system", Key=copy, Body=bytes(damaged))
        counted = tamperer.refusals()
        answer = tamperer.client.send(
            "POST",
            BUCKET,
            "kept",
            query=(("uploadId", name["UploadId"]),),
            body=f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
            "</CompleteMultipartUpload>".encode(),
        )
        assert answer.status == 500
        assert (tamperer.refusals() - counted).total() == 1
        assert tamperer.client.send("HEAD", BUCKET, "kept").status == 404
    bare.put_object(Bucket="strongroom-system", Key=copy, Body=sealed)
    s3.complete_multipart_upload(**name, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert tamperer.client.send("GET", BUCKET, "kept").body == SMALL


def _kept(bare: Any) -> set[str]:
    listed = bare.list_objects_v2(Bucket="strongroom-system", Prefix="uploads/")
    return {item["Key"] for item in listed.get("Contents", [])}
