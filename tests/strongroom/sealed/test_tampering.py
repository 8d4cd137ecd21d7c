"""Whatever is done to stored bytes and metadata, they are refused: no clean wrong answer."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.errors import IntegrityError
from strongroom.sealed.attributes import Attributes
from strongroom.sealed.digests import Digests
from strongroom.sealed.entry import open_entry, parse_entry, seal_entry
from strongroom.sealed.header import Kind
from strongroom.sealed.manifest import PartRecord
from strongroom.sealed.names import upload_tag
from strongroom.sealed.offline import Binding, file_unwrapper, open_object
from strongroom.sealed.refusal import RefusedError
from strongroom.sealed.sealer import seal
from strongroom.sealed.sizes import manifest_stored_bytes
from tests.strongroom.sealed.making import (
    BK,
    BUCKET,
    CHUNK,
    KEK,
    KEY,
    begin,
    fresh,
    make_bucket_key,
    make_manifest,
    noise,
    sealed_manifest,
    sealed_object,
    sealed_part,
)

SMALL_SEGMENT = begin(40)
SMALL = seal(SMALL_SEGMENT, noise(40), Digests(noise(16)))
SMALL_ENTRY = seal_entry(
    SMALL_SEGMENT, Attributes(Digests(noise(16)), {"a": "b"}), bucket=BUCKET, key=KEY, nonce=fresh(12)
)
LARGE = seal(begin(4 * CHUNK + 9), noise(4 * CHUNK + 9))
MULTI_PARTS = {1: noise(50), 2: noise(50, "2"), 3: noise(20, "3")}
MULTI = sealed_object(MULTI_PARTS)
MARKER_SEGMENT = begin(0, Kind.MARKER)
MARKER = seal_entry(MARKER_SEGMENT, Attributes(), bucket=BUCKET, key=KEY, nonce=fresh(12))


def opened(stored: bytes | bytearray, entry: str | None = None, bucket: str = BUCKET, key: str = KEY) -> bytes:
    binding = Binding(entry, bucket, key) if entry is not None else None
    return open_object(bytes(stored), file_unwrapper(KEK), binding=binding).read()


def refused(stored: bytes | bytearray, entry: str | None = None, bucket: str = BUCKET, key: str = KEY) -> int:
    with pytest.raises(RefusedError) as caught:
        opened(stored, entry, bucket, key)
    return caught.value.rule


def test_untouched_objects_are_opened() -> None:
    assert opened(SMALL, SMALL_ENTRY) == noise(40)
    assert opened(LARGE) == noise(4 * CHUNK + 9)
    assert opened(MULTI, MARKER) == b"".join(MULTI_PARTS.values())


def test_every_flipped_bit_of_a_small_object_is_refused() -> None:
    changed = bytearray(SMALL)
    for at in range(len(SMALL)):
        for bit in range(8):
            changed[at] ^= 1 << bit
            refused(changed)
            changed[at] ^= 1 << bit


def test_every_truncation_of_a_small_object_is_refused() -> None:
    for length in range(len(SMALL)):
        refused(SMALL[:length])


def test_every_flipped_byte_of_an_entry_is_refused() -> None:
    raw = base64.b64decode(SMALL_ENTRY)
    for at in range(len(raw)):
        changed = base64.b64encode(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]).decode()
        refused(SMALL, changed)


def test_every_changed_character_and_truncation_of_an_entry_is_refused() -> None:
    for at, character in enumerate(SMALL_ENTRY):
        changed = SMALL_ENTRY[:at] + ("A" if character != "A" else "B") + SMALL_ENTRY[at + 1 :]
        refused(SMALL, changed)
        refused(SMALL, SMALL_ENTRY[:at])


@settings(max_examples=150)
@given(st.integers(0, len(LARGE) - 1), st.integers(1, 255))
def test_a_flipped_byte_anywhere_in_a_large_object_is_refused(at: int, flip: int) -> None:
    changed = bytearray(LARGE)
    changed[at] ^= flip
    refused(changed)


@settings(max_examples=100)
@given(st.integers(0, len(LARGE) - 1))
def test_a_truncation_anywhere_of_a_large_object_is_refused(length: int) -> None:
    refused(LARGE[:length])


@pytest.mark.parametrize("chunks", range(6))
@pytest.mark.parametrize("footer", [b"", LARGE[-112:]])
def test_a_cut_at_a_border_of_chunks_is_refused(chunks: int, footer: bytes) -> None:
    cut = LARGE[: 256 + chunks * (CHUNK + 16)]
    if len(cut) + len(footer) < len(LARGE):
        assert refused(cut + footer) == 8


def test_every_flipped_byte_of_headers_and_manifest_of_a_multipart_object_is_refused() -> None:
    starts = [0, 50 + 16_640, 100 + 2 * 16_640]
    manifest = len(MULTI) - manifest_stored_bytes(3)
    places = [place for start in starts for place in range(start, start + 256)] + list(range(manifest, len(MULTI)))
    for at in places:
        changed = bytearray(MULTI)
        changed[at] ^= 0x20
        refused(changed)


@settings(max_examples=150)
@given(st.integers(0, len(MULTI) - 1), st.integers(1, 255))
def test_a_flipped_byte_anywhere_in_a_multipart_object_is_refused(at: int, flip: int) -> None:
    changed = bytearray(MULTI)
    changed[at] ^= flip
    refused(changed)


@settings(max_examples=100)
@given(st.integers(0, len(MULTI) - 1))
def test_a_truncation_anywhere_of_a_multipart_object_is_refused(length: int) -> None:
    refused(MULTI[:length])


@pytest.mark.parametrize("stored", [SMALL, LARGE, MULTI], ids=["small", "large", "multi"])
@pytest.mark.parametrize("more", [b"\0", bytes(16), b"x" * 400, SMALL])
def test_appended_bytes_are_refused(stored: bytes, more: bytes) -> None:
    refused(stored + more)


@settings(max_examples=60)
@given(st.permutations(range(4)), st.lists(st.integers(0, 3), min_size=3, max_size=5))
def test_chunks_in_any_other_order_or_number_are_refused(order: list[int], picked: list[int]) -> None:
    size = CHUNK + 16
    chunks = [LARGE[256 + index * size : 256 + (index + 1) * size] for index in range(4)]
    rest = LARGE[256 + 4 * size :]
    for indices in (order, picked):
        if list(indices) != [0, 1, 2, 3]:
            refused(LARGE[:256] + b"".join(chunks[index] for index in indices) + rest)


def test_the_same_chunk_of_another_object_is_refused() -> None:
    other = seal(begin(4 * CHUNK + 9), noise(4 * CHUNK + 9))
    at = 256 + CHUNK + 16

    assert refused(LARGE[:at] + other[at : at + CHUNK + 16] + LARGE[at + CHUNK + 16 :]) == 9
    assert refused(LARGE[:-112] + other[-112:]) == 10
    assert refused(other[:256] + LARGE[256:-112] + other[-112:]) == 9


def test_parts_in_any_other_order_or_number_are_refused() -> None:
    parts = {number: sealed_part(number, data) for number, data in MULTI_PARTS.items()}
    tail = sealed_manifest(make_manifest([PartRecord(number, len(data)) for number, data in MULTI_PARTS.items()]))
    assert opened(b"".join([*parts.values(), tail])) == b"".join(MULTI_PARTS.values())

    for order in ([2, 1, 3], [1, 3, 2], [1, 2], [2, 3], [1, 1, 3], [1, 2, 2], [1, 2, 3, 3], [3], []):
        refused(b"".join([*(parts[number] for number in order), tail]))


def test_a_part_of_another_upload_of_the_same_name_is_refused() -> None:
    other = upload_tag(BUCKET, KEY, "another upload")
    tail = sealed_manifest(make_manifest([PartRecord(1, 3), PartRecord(2, 3)]))

    assert refused(sealed_part(1, b"abc") + sealed_part(2, b"abc", tag=other) + tail) == 16
    assert refused(sealed_part(1, b"abc", tag=other) + sealed_part(2, b"abc", tag=other) + tail) == 16


@pytest.mark.parametrize(("bucket", "key"), [("other", KEY), (BUCKET, "other"), (f"{BUCKET}/a", "b.raw"), ("", "")])
def test_an_object_under_another_name_is_refused(bucket: str, key: str) -> None:
    assert refused(SMALL, SMALL_ENTRY, bucket, key) == 12
    assert refused(MULTI, MARKER, bucket, key) == 12


def test_the_body_of_another_name_behind_the_right_entry_is_refused() -> None:
    assert refused(seal(begin(40), noise(40)), SMALL_ENTRY) == 13
    assert refused(sealed_object(MULTI_PARTS, key="elsewhere"), MARKER) == 15
    assert refused(SMALL, MARKER) == 13
    assert refused(MULTI, SMALL_ENTRY) == 13


def test_an_upload_tag_tells_buckets_keys_and_uploads_apart() -> None:
    names = [("b", "k", "u"), ("b", "k", "v"), ("b", "l", "u"), ("c", "k", "u"), ("b/k", "", "u"), ("bk", "", "u")]

    assert len({upload_tag(*name) for name in names}) == len(names)


def test_a_copy_has_the_name_of_its_entry_and_no_other() -> None:
    segment = begin(40)
    stored = seal(segment, noise(40))
    copied = seal_entry(segment, Attributes(), bucket="backup", key="copy", nonce=fresh(12))

    assert opened(stored, copied, "backup", "copy") == noise(40)
    assert refused(stored, copied) == 12


@pytest.mark.parametrize("entry", [None, ""])
def test_removed_metadata_is_refused_not_passed_through(entry: str | None) -> None:
    with pytest.raises(RefusedError, match="rule 11"):
        open_object(SMALL, file_unwrapper(KEK), binding=Binding(entry, BUCKET, KEY))


@given(st.binary(max_size=600))
def test_plaintext_is_refused_not_passed_through(plaintext: bytes) -> None:
    refused(plaintext)


@given(st.text(max_size=600))
def test_garbage_is_no_entry(text: str) -> None:
    with pytest.raises(RefusedError, match="rule"):
        parse_entry(text)


@settings(max_examples=200)
@given(st.binary(min_size=220, max_size=220), st.sampled_from([1, 2, 3, 4]))
def test_garbage_behind_a_magic_raises_nothing_else(garbage: bytes, kind: int) -> None:
    with pytest.raises(IntegrityError):
        opened(b"SEG1\x01" + bytes([kind]) + garbage[2:] + bytes(100))


def test_another_bucket_key_is_refused_before_anything_is_decrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoCipher:
        def __init__(self, key: bytes) -> None:
            assert len(key) == 32

        def decrypt(self, *_: object) -> bytes:
            pytest.fail("something was decrypted")

        decrypt_into = decrypt

    monkeypatch.setattr("strongroom.sealed.segment.AESGCM", NoCipher)
    for other in (make_bucket_key("other").secret, make_bucket_key("third").secret):
        with pytest.raises(RefusedError, match="rule 7"):
            open_object(SMALL, lambda _, other=other: other)  # type: ignore[misc]
        with pytest.raises(RefusedError, match="rule 7"):
            open_object(MULTI, lambda _, other=other: other)  # type: ignore[misc]
        with pytest.raises(RefusedError, match="rule 7"):
            open_entry(parse_entry(SMALL_ENTRY), other, bucket=BUCKET, key=KEY)


def test_no_refusal_shows_plaintext_or_keys() -> None:
    stored = bytearray(seal(begin(12), b"canary-canary"[:12]))
    stored[260] ^= 1
    with pytest.raises(RefusedError) as caught:
        opened(stored)

    shown = caught.value.message + caught.value.hint + repr(BK) + repr(SMALL_SEGMENT) + repr(SMALL_SEGMENT.keys)
    assert "canary" not in shown
    assert repr(BK.secret.reveal()) not in shown
