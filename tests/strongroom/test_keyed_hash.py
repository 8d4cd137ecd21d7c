"""HMAC-SHA256 of several messages under one key, against the standard library's and the vectors of RFC 4231."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.keyed_hash import HmacSha256

VECTORS = [  # RFC 4231, section 4: key, message, HMAC-SHA-256
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
]


@pytest.mark.parametrize(("key", "message", "expected"), VECTORS)
def test_the_vectors_of_rfc_4231_hold(key: bytes, message: bytes, expected: str) -> None:
    assert HmacSha256(key).digest(message).hex() == expected


@given(st.binary(max_size=200), st.lists(st.binary(max_size=300), max_size=5))
def test_each_of_several_messages_has_the_hmac_that_it_has_alone(key: bytes, messages: list[bytes]) -> None:
    keyed = HmacSha256(key)
    assert [keyed.digest(message) for message in messages] == [hmac.digest(key, one, "sha256") for one in messages]


def test_a_key_shows_nowhere() -> None:
    keyed = HmacSha256(b"canary-canary")
    assert "canary" not in f"{keyed!r} {keyed._inner!r} {keyed._outer!r}"
