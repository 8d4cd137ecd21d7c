"""When certificates are valid, as the small reader finds it and as a whole library does."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from devstack.authority import Authority
from strongroom.validity import Validity, validity_of

DAY_S = 86_400
_KEY = ec.generate_private_key(ec.SECP256R1())
_NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x" * 60)])
MOMENTS = st.datetimes(min_value=dt.datetime(1951, 1, 1), max_value=dt.datetime(9999, 12, 31)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0, tzinfo=dt.UTC)
)


def issue(not_before: dt.datetime, not_after: dt.datetime) -> bytes:
    builder = x509.CertificateBuilder(issuer_name=_NAME, subject_name=_NAME).public_key(_KEY.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(not_before).not_valid_after(not_after)
    return builder.sign(_KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


_PEM = issue(dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2030, 1, 1, tzinfo=dt.UTC))


@given(st.tuples(MOMENTS, MOMENTS).map(sorted))
def test_as_the_library_reads_it_in_every_year(ends: list[dt.datetime]) -> None:
    found = validity_of(issue(*ends))
    assert found is not None
    assert [found.not_before, found.not_after] == [end.timestamp() for end in ends]


def test_of_a_file_with_text_and_a_chain_the_first(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    leaf = authority.issue_server("leaf", not_after=dt.datetime(2031, 1, 2, 3, 4, 5, tzinfo=dt.UTC)).cert.read_bytes()
    found = validity_of(b"subject: leaf\n" + leaf + authority.ca_file.read_bytes())
    assert found is not None
    assert found.not_after == dt.datetime(2031, 1, 2, 3, 4, 5, tzinfo=dt.UTC).timestamp()


@given(st.data())
def test_what_is_damaged_is_nothing_to_speak_of(data: st.DataObject) -> None:
    pem = bytearray(_PEM)
    for _ in range(data.draw(st.integers(0, 4))):
        pem[data.draw(st.integers(0, len(pem) - 1))] = data.draw(st.integers(0, 255))
    found = validity_of(bytes(pem[: data.draw(st.integers(0, len(pem)))]))
    assert found is None or isinstance(found.not_after, int)


@given(st.binary(max_size=200))
def test_any_bytes_at_all(noise: bytes) -> None:
    assert validity_of(noise) is None


@pytest.mark.parametrize(
    ("lifetime_s", "left_s", "soon"),
    [
        (90 * DAY_S, 8 * DAY_S, False),
        (90 * DAY_S, 6 * DAY_S, True),
        (3600, 1800, False),  # renewed at half of its time, as is the custom
        (3600, 300, True),
        (90 * DAY_S, -1, True),
    ],
)
def test_soon_is_a_week_and_a_tenth(lifetime_s: int, left_s: int, *, soon: bool) -> None:
    assert Validity(0, lifetime_s).ends_soon(lifetime_s - left_s) == soon
