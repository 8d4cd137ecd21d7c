"""Sealing and opening as data streams by, in feeds of any size."""

import os
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.errors import ConfigError, IntegrityError, PeerError
from strongroom.sealed.digests import Checksum, ChecksumAlgorithm, Digests
from strongroom.sealed.header import Kind
from strongroom.sealed.opener import SegmentOpener, open_footer, open_stored
from strongroom.sealed.ranges import plan_range
from strongroom.sealed.refusal import RefusedError
from strongroom.sealed.sealer import SegmentSealer, seal
from strongroom.sealed.segment import Segment, admit_segment
from tests.strongroom.sealed.making import BK, CHUNK, begin, fed, noise, opened_in_feeds, sealed_in_feeds

SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1]
BODIES = [Kind.WHOLE, Kind.PART]


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("feed", [1, 7, CHUNK, 1 << 30])
def test_what_is_sealed_in_any_feeds_is_opened_in_any_feeds(kind: Kind, size: int, feed: int) -> None:
    plaintext = noise(size)
    segment = begin(size, kind)

    stored = sealed_in_feeds(segment, plaintext, feed)

    assert stored == seal(segment, plaintext)  # only here: the same salt twice, and the same plaintext
    assert opened_in_feeds(admit_segment(stored, BK.secret), stored, feed) == plaintext


@settings(max_examples=40)
@given(st.integers(0, 6 * CHUNK), st.lists(st.integers(0, 3 * CHUNK), max_size=12), st.sampled_from(BODIES))
def test_feeds_may_be_of_different_sizes(size: int, cuts: list[int], kind: Kind) -> None:
    plaintext = noise(size)
    segment = begin(size, kind)
    sealer = SegmentSealer(segment)
    stored = b""
    at = 0
    for cut in [*cuts, size]:
        stored += b"".join(bytes(piece) for piece in sealer.update(plaintext[at : at + cut]))
        at += cut
    stored += sealer.finish()

    opener = SegmentOpener(admit_segment(stored, BK.secret))
    opened, at = b"", 0
    for cut in [*cuts, len(stored)]:
        opened += b"".join(bytes(piece) for piece in opener.update(bytearray(stored[at : at + cut])))
        at += cut
    opener.finish()

    assert len(stored) == sealer.stored_bytes == segment.header.stored_bytes
    assert opened == plaintext


def test_large_chunks_are_sealed_and_opened() -> None:
    size = (64 << 20) + 1
    plaintext = noise(1 << 20) * 64 + b"x"
    stored = sealed_in_feeds(begin(size, Kind.PART), plaintext, 1_000_003)

    segment = admit_segment(stored, BK.secret)
    assert segment.header.chunk_log2 == 17
    assert opened_in_feeds(segment, stored, 999_983) == plaintext


def test_the_last_chunk_is_held_back_until_the_end() -> None:
    plaintext = noise(3 * CHUNK)
    sealer = SegmentSealer(begin(len(plaintext)))

    given_away = sum(len(piece) for piece in sealer.update(plaintext))

    assert given_away == 256 + 2 * (CHUNK + 16)
    assert len(sealer.finish()) == CHUNK + 16 + 112


@settings(max_examples=40)
@given(st.integers(0, 4 * CHUNK + 1), st.lists(st.integers(0, 3 * CHUNK), max_size=8), st.sampled_from(BODIES))
def test_what_is_sealed_in_one_is_what_is_sealed_in_pieces(size: int, cuts: list[int], kind: Kind) -> None:
    plaintext, segment = noise(size), begin(size, kind)
    sealer, given_away, at = SegmentSealer(segment, in_one=True), 0, 0
    for cut in [*cuts, size]:
        given_away += len(list(sealer.update(plaintext[at : at + cut])))
        at += cut

    assert given_away == 0
    assert sealer.finish() == sealed_in_feeds(segment, plaintext, CHUNK)  # only here: the same salt twice


def test_nothing_of_a_small_object_is_given_away_before_its_end() -> None:
    sealer = SegmentSealer(begin(CHUNK))

    assert list(sealer.update(noise(CHUNK))) == []


def test_the_digests_come_back_from_the_footer() -> None:
    digests = Digests(noise(16), Checksum(ChecksumAlgorithm.CRC64NVME, b"\0\1\2\3\4\5\6\7"))
    stored = seal(begin(3), b"abc", digests)
    segment = admit_segment(stored, BK.secret)

    assert open_stored(segment, stored) == (b"abc", digests)
    assert open_footer(segment, stored[-112:]) == digests


def test_the_last_chunk_is_opened_only_after_what_stands_behind_it() -> None:
    stored = seal(begin(CHUNK + 5), noise(CHUNK + 5))
    opener = SegmentOpener(admit_segment(stored, BK.secret))

    before = b"".join(bytes(piece) for piece in opener.update(stored[:-1]))
    after = b"".join(bytes(piece) for piece in opener.update(stored[-1:]))

    assert len(before) <= CHUNK
    assert before + after == noise(CHUNK + 5)


@pytest.mark.parametrize("size", [1, CHUNK, CHUNK + 1])
def test_a_body_that_is_longer_than_declared_is_refused_when_it_is(size: int) -> None:
    sealer = SegmentSealer(begin(size))
    list(sealer.update(noise(size)))

    with pytest.raises(PeerError, match="more than"):
        list(sealer.update(b"x"))
    with pytest.raises(ConfigError):
        sealer.finish()


@pytest.mark.parametrize("size", [1, CHUNK, CHUNK + 1])
def test_a_body_that_is_shorter_than_declared_is_not_finished(size: int) -> None:
    sealer = SegmentSealer(begin(size))
    list(sealer.update(noise(size - 1)))

    with pytest.raises(PeerError, match="ended after"):
        sealer.finish()


def test_a_sealer_seals_once() -> None:
    sealer = SegmentSealer(begin(3))
    list(sealer.update(b"abc"))
    sealer.finish()

    with pytest.raises(ConfigError):
        sealer.finish()
    with pytest.raises(ConfigError):
        list(sealer.update(b""))


def test_pieces_that_are_left_are_not_forgotten() -> None:
    sealer = SegmentSealer(begin(20 * CHUNK))
    next(iter(sealer.update(noise(19 * CHUNK))))

    with pytest.raises(ConfigError, match="all pieces"):
        list(sealer.update(noise(CHUNK)))


def test_only_a_whole_object_takes_digests() -> None:
    with pytest.raises(ConfigError):
        seal(begin(3, Kind.PART), b"abc", Digests())


def test_a_marker_has_no_body() -> None:
    with pytest.raises(ConfigError):
        SegmentSealer(begin(0, Kind.MARKER))
    with pytest.raises(ConfigError):
        SegmentOpener(begin(0, Kind.MARKER))


def test_an_opener_gives_nothing_after_an_error() -> None:
    stored = bytearray(seal(begin(3 * CHUNK), noise(3 * CHUNK)))
    stored[256 + CHUNK + 20] ^= 1
    opener = SegmentOpener(admit_segment(stored, BK.secret))
    with pytest.raises(RefusedError):
        list(opener.update(stored))

    with pytest.raises(ConfigError):
        list(opener.update(b""))
    with pytest.raises(IntegrityError):
        opener.finish()


def test_what_is_given_before_the_error_is_authentic() -> None:
    plaintext = noise(3 * CHUNK)
    stored = bytearray(seal(begin(3 * CHUNK), plaintext))
    stored[256 + 2 * (CHUNK + 16)] ^= 1
    opener = SegmentOpener(admit_segment(stored, BK.secret))
    given_away: list[bytes] = []

    with pytest.raises(RefusedError, match="chunk 2 of 3"):
        given_away.extend(bytes(piece) for data in fed(bytes(stored), CHUNK) for piece in opener.update(data))

    assert b"".join(given_away) == plaintext[: 2 * CHUNK]


@pytest.mark.parametrize("kind", BODIES)
def test_an_opener_that_got_too_little_says_so(kind: Kind) -> None:
    stored = seal(begin(CHUNK + 1, kind), noise(CHUNK + 1))
    for length in [0, 1, 255, 256, 300, 256 + CHUNK + 16, 256 + CHUNK + 33, len(stored) - 1]:
        opener = SegmentOpener(admit_segment(stored, BK.secret))
        list(opener.update(stored[:length]))
        with pytest.raises(RefusedError, match="rule 8"):
            opener.finish()


@pytest.mark.parametrize("feed", [1, 100, 1 << 30])
def test_a_body_with_another_header_than_the_admitted_one_gives_nothing(feed: int) -> None:
    stored = seal(begin(2 * CHUNK), noise(2 * CHUNK))
    opener = SegmentOpener(admit_segment(stored, BK.secret))
    other = seal(begin(2 * CHUNK), noise(2 * CHUNK))
    given_away: list[bytes] = []

    with pytest.raises(RefusedError, match="rule 13"):
        given_away.extend(bytes(piece) for data in fed(other, feed) for piece in opener.update(data))

    assert given_away == []


def test_a_plan_of_another_segment_is_refused() -> None:
    plan = plan_range(3 * CHUNK, 3 * CHUNK, 4 * CHUNK, 16)

    with pytest.raises(ConfigError):
        SegmentOpener(begin(CHUNK), plan)


@pytest.mark.parametrize("kind", BODIES)
def test_memory_does_not_grow_with_the_segment(kind: Kind) -> None:
    size, feed = 16 << 20, os.urandom(1 << 20)
    segment = begin(size, kind)
    tracemalloc.start()
    try:
        sealer, opener = SegmentSealer(segment), SegmentOpener(segment)
        for _ in range(size >> 20):
            for sealed in sealer.update(feed):
                for _opened in opener.update(sealed):
                    pass
        for _opened in opener.update(sealer.finish()):
            pass
        opener.finish()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 1 << 20


def by_an_opener(segment: Segment, stored: bytes) -> tuple[bytes, Digests | None]:
    opener = SegmentOpener(segment)
    plaintext = b"".join([bytes(piece) for piece in opener.update(stored)])
    return plaintext, opener.finish()


SHORT_DIGESTS = Digests(noise(16, "md5"), Checksum(ChecksumAlgorithm.CRC32C, b"abcd"))


@settings(max_examples=300)
@given(
    st.sampled_from([0, 1, 40, CHUNK - 1, CHUNK]),
    st.sampled_from([None, Digests(), SHORT_DIGESTS]),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), max_size=3),
    st.sampled_from([0, 0, 0, -1, -17, -112, -113, -129, 1, 16]),
)
def test_what_is_opened_at_once_is_what_an_opener_opens_and_refused_by_its_words(
    size: int, digests: Digests | None, damage: list[tuple[int, int]], longer: int
) -> None:
    segment = begin(size)
    stored = bytearray(seal(segment, noise(size), digests))
    for place, change in damage:
        stored[place % len(stored)] ^= change
    stored = stored[:longer] if longer < 0 else stored + bytes(longer)

    try:
        expected: object = by_an_opener(segment, bytes(stored))
    except RefusedError as error:
        expected = error.message
    try:
        found: object = open_stored(segment, bytes(stored))
    except RefusedError as error:
        found = error.message

    assert found == expected
    assert damage or longer or found == (noise(size), digests or Digests())


@pytest.mark.parametrize("digests", [None, Digests(), SHORT_DIGESTS])
@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1])
def test_what_is_sealed_at_once_is_what_a_sealer_seals(size: int, digests: Digests | None) -> None:
    segment = begin(size)
    assert seal(segment, noise(size), digests) == sealed_in_feeds(segment, noise(size), 1 << 14, digests)  # only here
    assert seal(segment, memoryview(bytearray(noise(size))), digests) == seal(segment, noise(size), digests)
    for other in (size + 1, max(0, size - 1)):
        if other != size:
            with pytest.raises(PeerError, match="declared"):
                seal(segment, noise(other), digests)
