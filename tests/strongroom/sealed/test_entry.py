"""Metadata entries, and the attributes and digests in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import ConfigError
from strongroom.sealed.attributes import Attributes, parse_attributes
from strongroom.sealed.digests import CHECKSUM_BYTES, Checksum, ChecksumAlgorithm, ChecksumScope, Digests, parse_digests
from strongroom.sealed.entry import open_entry, parse_entry, seal_entry
from strongroom.sealed.header import Kind
from strongroom.sealed.refusal import RefusedError
from tests.strongroom.sealed.making import BK, BUCKET, KEY, begin, fresh, noise


@st.composite
def checksums(draw: st.DrawFn) -> Checksum:
    algorithm = draw(st.sampled_from(ChecksumAlgorithm))
    scope = draw(st.sampled_from(ChecksumScope))
    size = CHECKSUM_BYTES[algorithm]
    parts = draw(st.integers(1, 10_000)) if scope is ChecksumScope.COMPOSITE else 0
    return Checksum(algorithm, draw(st.binary(min_size=size, max_size=size)), scope, parts)


DIGESTS = st.builds(Digests, st.none() | st.binary(min_size=16, max_size=16), st.none() | checksums())
NAMES = st.text(max_size=60)
METADATA = st.none() | st.dictionaries(NAMES, st.text(max_size=200), max_size=5)


@given(DIGESTS)
def test_digests_are_read_back(digests: Digests) -> None:
    raw = digests.encode()

    assert len(raw) == 96
    assert parse_digests(raw, rule=10) == digests


@pytest.mark.parametrize(
    "digests",
    [
        Digests(b"short"),
        Digests(b""),
        Digests(None, Checksum(ChecksumAlgorithm.CRC32, b"12345")),
        Digests(None, Checksum(ChecksumAlgorithm.CRC32, b"1234", ChecksumScope.COMPOSITE)),
        Digests(None, Checksum(ChecksumAlgorithm.CRC32, b"1234", ChecksumScope.FULL_OBJECT, 2)),
    ],
)
def test_digests_that_no_reader_would_take_are_not_written(digests: Digests) -> None:
    with pytest.raises(ConfigError):
        digests.encode()


@given(st.none() | DIGESTS, METADATA, st.text(max_size=60), st.text(max_size=60))
def test_an_entry_is_read_back_under_its_name(
    digests: Digests | None, metadata: dict[str, str] | None, bucket: str, key: str
) -> None:
    bucket, key = (name.encode("utf-8", "replace").decode() for name in (bucket, key))
    segment, attributes = begin(5), Attributes(digests, metadata)
    text = seal_entry(segment, attributes, bucket=bucket, key=key, nonce=fresh(12))

    entry = parse_entry(text)
    opened, read = open_entry(entry, BK.secret, bucket=bucket, key=key)

    assert entry.header == segment.header
    assert opened.raw == segment.raw
    assert read == attributes


def test_bytes_that_are_no_utf_8_come_back_as_they_were() -> None:
    odd = b"caf\xe9".decode("utf-8", "surrogateescape")
    text = seal_entry(begin(5), Attributes(None, {"a": odd}), bucket=BUCKET, key=odd, nonce=fresh(12))

    assert open_entry(parse_entry(text), BK.secret, bucket=BUCKET, key=odd)[1].metadata == {"a": odd}


def test_entries_have_the_sizes_of_the_specification() -> None:
    def length(attributes: Attributes) -> int:
        return len(seal_entry(begin(5), attributes, bucket=BUCKET, key=KEY, nonce=fresh(12)))

    assert length(Attributes()) == 380
    assert length(Attributes(Digests())) == 512


@pytest.mark.parametrize(
    "metadata", [{"a" * 256: ""}, {"a": "b" * 65_536}, {str(number): "b" * 65_000 for number in range(2)}]
)
def test_metadata_that_does_not_fit_is_not_written(metadata: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="metadata"):
        Attributes(None, metadata).encode()


@given(st.binary(max_size=120))
def test_garbage_behind_the_seal_raises_nothing_else(raw: bytes) -> None:
    try:
        attributes = parse_attributes(raw)
    except RefusedError as error:
        assert error.rule == 11  # noqa: PT017 - most garbage is refused, some is not
        return
    assert attributes.encode() == raw


def test_a_part_makes_no_entry() -> None:
    with pytest.raises(ConfigError):
        seal_entry(begin(5, Kind.PART), Attributes(), bucket=BUCKET, key=KEY, nonce=fresh(12))
    with pytest.raises(ConfigError):
        seal_entry(begin(5), Attributes(), bucket=BUCKET, key=KEY, nonce=noise(11))
