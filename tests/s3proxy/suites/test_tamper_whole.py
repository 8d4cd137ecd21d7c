"""Whole objects that the store has changed: refused or aborted, never a clean wrong answer, and counted."""

import base64
import os
import random
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from devstack.s3proxy import ProxyProcess
from strongroom.sealed.header import MAX_WRAPPED_BYTES
from tests.s3proxy.suites.conftest import FAST, make_bucket
from tests.support.s3.tamper import Stored, Tamperer

CHUNK = 65_536
SEALED_CHUNK = CHUNK + 16
HEADER, FOOTER = 256, 112
BUCKET = "tamper-whole"
SMALL = b"forty bytes that nobody but us may write"
# Above buffered_body_bytes (1 MiB) the digests are in the footer only.
LARGE_CHUNKS = 20
LARGE = random.Random(7).randbytes((LARGE_CHUNKS - 1) * CHUNK + 5)  # noqa: S311 - a body


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
    s3.put_object(Bucket=BUCKET, Key="small", Body=SMALL)
    return tamperer.take(BUCKET, "small")


@pytest.fixture(scope="module")
def large(s3: Any, tamperer: Tamperer) -> Stored:
    s3.put_object(Bucket=BUCKET, Key="large", Body=LARGE)
    stored = tamperer.take(BUCKET, "large")
    assert len(stored.body) == HEADER + len(LARGE) + 16 * LARGE_CHUNKS + FOOTER
    return stored


def test_what_is_put_back_unchanged_is_read(tamperer: Tamperer, small: Stored, large: Stored) -> None:
    """The control of all tests here: putting back is not what makes them fail."""
    for key, stored, body in (("small", small, SMALL), ("large", large, LARGE)):
        tamperer.put(BUCKET, key, stored)
        answer = tamperer.client.send("GET", BUCKET, key)
        assert answer.ok
        assert answer.body == body


def test_every_byte_of_the_body(tamperer: Tamperer, small: Stored) -> None:
    dice = random.Random(1)  # noqa: S311 - places, no keys
    end = len(small.body)
    for begin, stop, rule in ((0, HEADER, 13), (HEADER, end - FOOTER, 9), (end - FOOTER, end, 10)):
        with tamperer.refusing({rule}):
            for place in range(begin, stop):
                tamperer.put(BUCKET, "small", small.flipped(place, dice.randrange(1, 256)))
                tamperer.read("GET", BUCKET, "small", original=SMALL)


# What may be broken by a change of one byte of an entry, by where it ends; docs/object-format.md has the offsets.
ENTRY: tuple[tuple[str, int, set[int]], ...] = (
    ("magic and suite", 5, {1}),
    ("kind", 6, {2, 3, 4, 11}),  # another kind: unknown, with other limits, a part
    ("log2", 7, {3}),
    ("flags", 8, {2}),
    ("length", 16, {3, 7}),
    ("id of the bucket key", 32, {6}),
    ("salt and object id", 80, {7}),
    ("part number", 82, {4}),
    ("length of the wrapped key", 84, {5}),
    ("the wrapped key", 84 + MAX_WRAPPED_BYTES, {5, 6, 7}),  # its form, its version, itself, its padding
    ("reserved", 192, {2}),
    ("policy", 224, {5, 6}),
    ("commitment", HEADER, {7}),
    ("nonce and attributes", 383, {12}),
)


def test_every_byte_of_the_entry(tamperer: Tamperer, small: Stored) -> None:
    """The entry is all that HEAD reads of a small object, and the first that GET reads."""
    dice = random.Random(2)  # noqa: S311 - places, no keys
    begin = 0
    for _, end, rules in ENTRY:
        with tamperer.refusing(rules):
            for place in range(begin, end):
                tamperer.put(BUCKET, "small", small.entry_flipped(place, dice.randrange(1, 256)))
                tamperer.read("HEAD", BUCKET, "small", original=SMALL)
                tamperer.read("GET", BUCKET, "small", original=SMALL)
        begin = end
    assert begin == len(base64.b64decode(small.entry or ""))


@pytest.mark.parametrize("text", ["", "=", "AAAA", "not base64 at all", "{}"], ids=repr)
def test_an_entry_of_another_form(tamperer: Tamperer, small: Stored, text: str) -> None:
    tamperer.put(BUCKET, "small", Stored(small.body, text))
    tamperer.require_refused("GET", BUCKET, "small", original=SMALL, rules={1, 11})


def test_an_entry_that_is_longer_shorter_or_not_canonical(tamperer: Tamperer, small: Stored) -> None:
    raw, text = base64.b64decode(small.entry or ""), small.entry or ""
    others = [base64.b64encode(raw[:cut]).decode() for cut in (0, 1, 255, 256, 268, 283, len(raw) - 1)]
    others += [base64.b64encode(raw + b"\0").decode(), text.rstrip("="), text + "====", text[:100] + " " + text[100:]]
    for other in others:
        if other != text:
            tamperer.put(BUCKET, "small", Stored(small.body, other))
            tamperer.require_refused("GET", BUCKET, "small", original=SMALL, rules={1, 11, 12})


CUTS = {
    "nothing is left": 0,
    "in the header": 255,
    "behind the header": HEADER,
    "in the first chunk": HEADER + 1,
    "at the border of the first chunk": HEADER + SEALED_CHUNK,
    "before a border": HEADER + 2 * SEALED_CHUNK - 1,
    "behind a border": HEADER + 2 * SEALED_CHUNK + 1,
    "before the last chunk": HEADER + (LARGE_CHUNKS - 1) * SEALED_CHUNK,
    "before the footer": -FOOTER,
    "in the footer": -1,
}


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut(tamperer: Tamperer, large: Stored, cut: str) -> None:
    tamperer.put(BUCKET, "large", Stored(large.body[: CUTS[cut]], large.entry))
    tamperer.require_refused("GET", BUCKET, "large", original=LARGE, rules={8})
    tamperer.require_refused("HEAD", BUCKET, "large", original=LARGE, rules={8})
    tamperer.require_refused("GET", BUCKET, "large", original=LARGE, rules={8}, range_=(0, 9))
    end = len(LARGE) - 1
    tamperer.require_refused("GET", BUCKET, "large", original=LARGE, rules={8}, range_=(end - 9, end))


REARRANGED = {
    "two chunks swapped": lambda chunks: [chunks[1], chunks[0], *chunks[2:]],
    "a chunk repeated instead of another": lambda chunks: [chunks[0], chunks[0], *chunks[2:]],
    "a chunk dropped, zeros behind": lambda chunks: [chunks[0], *chunks[2:-1], bytes(SEALED_CHUNK), chunks[-1]],
    "the last chunk's bytes first": lambda chunks: [chunks[-1], *chunks[:-1]],
    "a chunk of zeros": lambda chunks: [*chunks[:5], bytes(SEALED_CHUNK), *chunks[6:]],
    "the last chunk of zeros": lambda chunks: [*chunks[:-1], bytes(len(chunks[-1]))],
}


@pytest.mark.parametrize("how", REARRANGED)
def test_chunks_in_another_order_at_the_same_size(tamperer: Tamperer, large: Stored, how: str) -> None:
    inner = large.body[HEADER:-FOOTER]
    chunks = [inner[at : at + SEALED_CHUNK] for at in range(0, len(inner), SEALED_CHUNK)]
    body = large.body[:HEADER] + b"".join(REARRANGED[how](chunks)) + large.body[-FOOTER:]
    assert len(body) == len(large.body)
    tamperer.put(BUCKET, "large", Stored(body, large.entry))
    tamperer.require_refused("GET", BUCKET, "large", original=LARGE, rules={9})


def test_bytes_behind_the_end(tamperer: Tamperer, small: Stored) -> None:
    for more in (b"\0", small.body, os.urandom(SEALED_CHUNK)):
        tamperer.put(BUCKET, "small", Stored(small.body + more, small.entry))
        for range_ in (None, (0, 0)):
            tamperer.require_refused("GET", BUCKET, "small", original=SMALL, rules={8}, range_=range_)
        tamperer.require_refused("HEAD", BUCKET, "small", original=SMALL, rules={8})


def test_ranges_in_and_beside_a_damaged_chunk(tamperer: Tamperer, large: Stored) -> None:
    """A range is as good as the chunks that it touches: those before and behind a damaged one still hold."""
    for damaged in (0, 7, LARGE_CHUNKS - 1):
        tamperer.put(BUCKET, "large", large.flipped(HEADER + damaged * SEALED_CHUNK + 3, 0x10))
        begin, end = damaged * CHUNK, min((damaged + 1) * CHUNK, len(LARGE)) - 1
        touching = [(begin, begin), (end, end), (begin, end), (max(begin - 1, 0), begin), (0, len(LARGE) - 1)]
        for range_ in touching:
            tamperer.require_refused("GET", BUCKET, "large", original=LARGE, rules={9}, range_=range_)
        beside = [(begin - 1, begin - 1)] * (damaged > 0) + [(end + 1, end + 1)] * (end < len(LARGE) - 1)
        for first, last in beside:
            answer = tamperer.client.send("GET", BUCKET, "large", headers={"range": f"bytes={first}-{last}"})
            assert answer.ok
            assert answer.body == LARGE[first : last + 1]


def test_a_range_does_not_need_the_copies_of_what_it_knows(tamperer: Tamperer, large: Stored) -> None:
    """The one kind of damage without effect: a range reads neither the body's header, which the entry has, too, nor,
    once the digests are known, the footer. What it answers is right; GET of the whole refuses."""
    assert tamperer.client.send("GET", BUCKET, "large", headers={"range": "bytes=5-9"}).body == LARGE[5:10]
    for place, rule in ((17, 13), (len(large.body) - 1, 10)):
        tamperer.put(BUCKET, "large", large.flipped(place, 1))
        answer = tamperer.client.send("GET", BUCKET, "large", headers={"range": "bytes=5-9"})
        assert answer.ok
        assert answer.body == LARGE[5:10]
        tamperer.require_refused("GET", BUCKET, "large", original=LARGE, rules={rule})


def test_sampled_bytes_of_many_chunks(tamperer: Tamperer, large: Stored) -> None:
    dice = random.Random(3)  # noqa: S311 - places, no keys
    for _ in range(40):
        place = dice.randrange(HEADER, len(large.body) - FOOTER)
        tamperer.put(BUCKET, "large", large.flipped(place, 1 << dice.randrange(8)))
        tamperer.require_refused("GET", BUCKET, "large", original=LARGE, rules={9})


def test_a_body_that_breaks_off_is_an_error_to_boto3(s3: Any, tamperer: Tamperer, large: Stored) -> None:
    tamperer.put(BUCKET, "large", large.flipped(len(large.body) - FOOTER - 20, 1))
    answer = tamperer.client.send("GET", BUCKET, "large")
    assert answer.status == 200
    assert 0 < len(answer.body) < len(LARGE), "it was aborted on its way"
    with pytest.raises(BotoCoreError):
        s3.get_object(Bucket=BUCKET, Key="large")["Body"].read()
    with pytest.raises(BotoCoreError):
        for _ in s3.get_object(Bucket=BUCKET, Key="large")["Body"].iter_chunks():
            pass


def test_another_object_under_the_name(s3: Any, bare: Any, tamperer: Tamperer, small: Stored) -> None:
    tamperer.put(BUCKET, "small", small)
    for bucket, key in ((BUCKET, "elsewhere"), (BUCKET + "-other", "small")):
        bare.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": BUCKET, "Key": "small"})
        for method in ("GET", "HEAD"):
            tamperer.require_refused(method, bucket, key, original=SMALL, rules={12})
        with pytest.raises(ClientError) as caught:
            s3.get_object(Bucket=bucket, Key=key)
        assert caught.value.response["Error"]["Code"] == "InternalError"


def test_an_old_entry_with_a_new_body_and_the_reverse(s3: Any, tamperer: Tamperer) -> None:
    s3.put_object(Bucket=BUCKET, Key="twice", Body=SMALL)
    old = tamperer.take(BUCKET, "twice")
    s3.put_object(Bucket=BUCKET, Key="twice", Body=SMALL)
    new = tamperer.take(BUCKET, "twice")
    assert len(old.body) == len(new.body)
    for mixed in (Stored(new.body, old.entry), Stored(old.body, new.entry)):
        tamperer.put(BUCKET, "twice", mixed)
        tamperer.require_refused("GET", BUCKET, "twice", original=SMALL, rules={13})
        tamperer.require_refused("GET", BUCKET, "twice", original=SMALL, rules={9}, range_=(1, 3))
    s3.put_object(Bucket=BUCKET, Key="twice", Body=SMALL + b"!")
    tamperer.put(BUCKET, "twice", Stored(tamperer.take(BUCKET, "twice").body, old.entry))
    tamperer.require_refused("HEAD", BUCKET, "twice", original=SMALL, rules={8})


def test_an_object_without_metadata(tamperer: Tamperer, small: Stored) -> None:
    tamperer.put(BUCKET, "small", Stored(small.body, None))
    for method in ("GET", "HEAD"):
        tamperer.require_refused(method, BUCKET, "small", original=SMALL, rules={11})


def test_plaintext_in_a_sealed_bucket(tamperer: Tamperer) -> None:
    for planted in (b"", b"x", b"#!/bin/sh\nplanted by anyone who owns the store\n" * 100):
        tamperer.put(BUCKET, "planted", Stored(planted, None))
        for method in ("GET", "HEAD"):
            tamperer.require_refused(method, BUCKET, "planted", original=b"", rules={11})
        tamperer.require_refused("GET", BUCKET, "planted", original=b"", rules={11}, range_=(0, 0))
