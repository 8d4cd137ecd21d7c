"""No pair of key and nonce is ever used for two messages, whatever is retried, re-uploaded or copied."""

import os
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.sealed import segment as segment_module
from strongroom.sealed.attributes import Attributes
from strongroom.sealed.digests import Digests
from strongroom.sealed.entry import seal_entry
from strongroom.sealed.header import Kind
from strongroom.sealed.manifest import Manifest, PartRecord, seal_manifest
from strongroom.sealed.names import name_tag, upload_tag
from strongroom.sealed.sealer import SegmentSealer
from strongroom.sealed.segment import begin_segment
from tests.strongroom.sealed.making import BK, BUCKET, CHUNK, KEY, noise

Pair = tuple[bytes, bytes]
used: list[Pair] = []


class RecordingCipher:
    """AES-GCM that writes down what it encrypts with."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.cipher = AESGCM(key)

    def encrypt(self, nonce: bytes, data: bytes, aad: bytes | None) -> bytes:
        used.append((self.key, bytes(nonce)))
        return self.cipher.encrypt(nonce, data, aad)

    def encrypt_into(self, nonce: bytes, data: bytes, aad: bytes | None, buffer: memoryview) -> int:
        used.append((self.key, bytes(nonce)))
        return self.cipher.encrypt_into(nonce, data, aad, buffer)


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(segment_module, "AESGCM", RecordingCipher)
    used.clear()
    yield
    used.clear()


def attempt(kind: Kind, plaintext: bytes, upload_id: str, number: int, *, stop_after: int | None = None) -> None:
    """One attempt at an upload, as a proxy makes it; it may abort in the middle."""
    segment = begin_segment(
        BK,
        kind=kind,
        plaintext_bytes=len(plaintext),
        salt=os.urandom(32),
        object_id=upload_tag(BUCKET, KEY, upload_id) if kind is Kind.PART else os.urandom(16),
        part_number=number if kind is Kind.PART else 0,
    )
    if kind is Kind.WHOLE:
        seal_entry(segment, Attributes(), bucket=BUCKET, key=KEY, nonce=os.urandom(12))
        seal_entry(segment, Attributes(), bucket=BUCKET, key="copy", nonce=os.urandom(12))
    sealer = SegmentSealer(segment)
    for _ in sealer.update(plaintext[:stop_after]):
        pass
    if stop_after is None:
        sealer.finish(Digests() if kind is Kind.WHOLE else None)


ATTEMPTS = st.lists(
    st.tuples(
        st.sampled_from([Kind.WHOLE, Kind.PART]),
        st.sampled_from([0, 1, CHUNK, 2 * CHUNK + 1]),
        st.sampled_from(["one", "two"]),
        st.integers(1, 3),
        st.none() | st.integers(0, CHUNK + 1),
    ),
    min_size=2,
    max_size=12,
)


@settings(max_examples=60)
@given(ATTEMPTS)
def test_no_pair_of_key_and_nonce_repeats_over_any_attempts(
    attempts: list[tuple[Kind, int, str, int, int | None]],
) -> None:
    for kind, length, upload_id, number, stop_after in attempts:
        attempt(kind, noise(length), upload_id, number, stop_after=stop_after)

    assert len(set(used)) == len(used)


def test_a_part_that_is_uploaded_again_five_hundred_times_never_repeats_a_pair() -> None:
    for number in range(500):
        attempt(Kind.PART, noise(CHUNK + 1, str(number)), "upload", 1)

    assert len(used) == 1000
    assert len(set(used)) == len(used)
    assert len({key for key, _ in used}) == 500


def test_a_manifest_that_is_sealed_again_never_repeats_a_pair() -> None:
    manifest = Manifest((PartRecord(1, 5),), name_tag(BUCKET, KEY))
    for _ in range(100):
        seal_manifest(BK, manifest, upload_tag=upload_tag(BUCKET, KEY, "u"), salt=os.urandom(32))

    assert len(set(used)) == len(used) == 100


def test_the_messages_of_one_segment_have_different_nonces_or_keys() -> None:
    attempt(Kind.WHOLE, noise(5 * CHUNK), "", 0)

    assert len(used) == 5 + 1 + 2  # chunks, footer, entries
    assert len(set(used)) == len(used)
    assert len({key for key, _ in used}) == 3


def test_the_same_salt_under_another_header_makes_other_keys() -> None:
    """Even a broken source of randomness does not make two different headers share a key."""
    for length in range(50):
        for number in (1, 2):
            segment = begin_segment(
                BK, kind=Kind.PART, plaintext_bytes=length, salt=bytes(32), object_id=bytes(16), part_number=number
            )
            sealer = SegmentSealer(segment)
            list(sealer.update(noise(length)))
            sealer.finish()

    assert len({key for key, _ in used}) == len(used) == 100
