"""Wrapped bucket keys, keyring records and what opens headers with them."""

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import ConfigError, IntegrityError, PeerError
from strongroom.sealed.header import Kind
from strongroom.sealed.keyring import KeyRecord, parse_record, record_name
from strongroom.sealed.offline import file_unwrapper, open_object
from strongroom.sealed.refusal import RefusedError
from strongroom.sealed.sealer import seal
from strongroom.sealed.segment import begin_segment
from strongroom.sealed.wrapping import (
    Form,
    WrappedKey,
    associated_data,
    checked_bucket_key,
    from_transit,
    parse_wrapped,
    unwrap_with_file,
    wrap_with_file,
)
from strongroom.secret import Secret
from tests.strongroom.sealed.making import BK, KEK, begin, noise

# What OpenBao 2.7 answered to transit/encrypt of 32 bytes with associated data, by type of key.
TRANSIT = {
    "aes256-gcm96": ("vault:v2:778fCCRsmabGzgHxbNPEUP3OhaRSPLr2thEigpisAKEX0Zgte8Oi+K/Oo/lId2nEzv29u+nRx8Srx4EC", 60),
    "chacha20-poly1305": (
        "vault:v2:MVUx56iozrCz2q/pGOF4ieDDrAIawW3JLzVnxKgS71zxwKzdHIbTK5fgsK2IZShWDZb4/wFgM+S2lxrm",
        60,
    ),
    "xchacha20-poly1305": (
        "vault:v2:DR7rUFXaDNlwLIU5dTZmSXdsWfPpSY3MS7pBYejwxg7AznPI5esWJ21+yjVPcCZ2dSaqUgD4XYXIw1id0en/T9idi34tvX+X",
        72,
    ),
}


@pytest.mark.parametrize(("text", "length"), TRANSIT.values(), ids=TRANSIT)
def test_what_transit_answers_comes_back_as_it_was(text: str, length: int) -> None:
    wrapped = from_transit(text)

    assert (wrapped.form, wrapped.version, len(wrapped.ciphertext)) == (Form.TRANSIT, 2, length)
    assert parse_wrapped(wrapped.encode()) == wrapped
    assert wrapped.to_transit() == text
    assert len(wrapped.encode()) == length + 5 <= 100


@pytest.mark.parametrize(
    "text",
    [
        "",
        "vault:v1:",
        "vault:v0:" + "A" * 80,
        "vault:v4294967296:" + "A" * 80,
        "vault:v1:" + "A" * 60,
        "vault:v1:" + "A" * 400,
        "vault:v1:" + "A" * 79,
        "vault:v1:" + "A" * 80 + "\n",
        "vault:v1:!" + "A" * 79,
        "other:v1:" + "A" * 80,
        "vault:v٣:" + "A" * 80,
    ],
)
def test_an_answer_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(PeerError):
        from_transit(text)


@given(st.sampled_from(Form), st.integers(1, 2**32 - 1), st.binary(min_size=48, max_size=95))
def test_a_wrapped_key_is_read_back(form: Form, version: int, ciphertext: bytes) -> None:
    wrapped = WrappedKey(form, version, ciphertext)

    assert parse_wrapped(wrapped.encode()) == wrapped


@pytest.mark.parametrize(("version", "length"), [(0, 60), (1 << 32, 60), (1, 47), (1, 96)])
def test_a_wrapped_key_that_no_reader_would_take_is_not_written(version: int, length: int) -> None:
    with pytest.raises(ConfigError):
        WrappedKey(Form.TRANSIT, version, bytes(length)).encode()


def wrapped_by_file(policy: str = "default") -> WrappedKey:
    return wrap_with_file(BK.secret, KEK, aad=associated_data(policy, BK.key_id), nonce=noise(12), version=3)


def test_a_key_file_wraps_and_unwraps() -> None:
    wrapped = wrapped_by_file()

    assert (wrapped.form, wrapped.version, len(wrapped.ciphertext)) == (Form.KEY_FILE, 3, 60)
    unwrapped = unwrap_with_file(wrapped, KEK, aad=associated_data("default", BK.key_id))
    assert unwrapped.reveal() == BK.secret.reveal()


def test_another_policy_id_or_key_file_does_not_unwrap() -> None:
    wrapped = wrapped_by_file()
    tries = [
        (wrapped, KEK, associated_data("other", BK.key_id)),
        (wrapped, KEK, associated_data("default", noise(16))),
        (wrapped, Secret(noise(32)), associated_data("default", BK.key_id)),
        (WrappedKey(Form.TRANSIT, 3, wrapped.ciphertext), KEK, associated_data("default", BK.key_id)),
    ]
    for candidate, kek, aad in tries:
        with pytest.raises(RefusedError, match="rule 6"):
            unwrap_with_file(candidate, kek, aad=aad)


def test_every_flipped_byte_of_a_wrapped_keys_ciphertext_is_refused() -> None:
    wrapped = wrapped_by_file()
    for at in range(60):
        changed = bytearray(wrapped.ciphertext)
        changed[at] ^= 1
        with pytest.raises(RefusedError, match="rule 6"):
            unwrap_with_file(
                WrappedKey(Form.KEY_FILE, 3, bytes(changed)), KEK, aad=associated_data("default", BK.key_id)
            )


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_bucket_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(RefusedError, match="rule 6"):
        checked_bucket_key(bytes(length))


@pytest.mark.parametrize("policy", ["", "UPPER", "a/b", "a" * 33, "-a", "a\n"])
def test_a_policy_that_cannot_be_one_is_refused(policy: str) -> None:
    with pytest.raises(ConfigError):
        associated_data(policy, BK.key_id)


def test_the_associated_data_are_those_of_the_specification() -> None:
    assert associated_data("team-a", bytes(range(16))) == b"seg1/bk/team-a/000102030405060708090a0b0c0d0e0f"


def make_record() -> KeyRecord:
    return KeyRecord("default", BK.key_id, wrapped_by_file(), "2026-01-02T03:04:05Z")


def test_a_record_is_read_back_under_its_name() -> None:
    record = make_record()

    assert record.name == f"default/{BK.key_id.hex()}.json" == record_name("default", BK.key_id)
    assert parse_record(record.encode(), name=record.name) == record


def test_a_rewrapped_record_keeps_what_it_does_not_know() -> None:
    members = json.loads(make_record().encode()) | {"note": ["kept"]}
    record = parse_record(json.dumps(members).encode(), name=make_record().name)

    again = parse_record(record.rewrapped(from_transit(TRANSIT["aes256-gcm96"][0])).encode(), name=record.name)

    assert again.others == {"note": ["kept"]}
    assert again.wrapped.form is Form.TRANSIT


@pytest.mark.parametrize(
    "changed",
    [
        {"format": "seg2-key"},
        {"policy": "other"},
        {"policy": 5},
        {"key_id": "00" * 16},
        {"key_id": "00"},
        {"key_id": "zz"},
        {"wrapped": "!"},
        {"wrapped": base64.b64encode(b"\3" + bytes(64)).decode()},
        {"wrapped": None},
        {"created": 5},
    ],
)
def test_a_record_of_another_key_or_form_is_refused(changed: dict[str, object]) -> None:
    members = json.loads(make_record().encode()) | changed

    with pytest.raises(IntegrityError, match=r"^keyring: default/"):
        parse_record(json.dumps(members).encode(), name=make_record().name)


@given(st.binary(max_size=80) | st.sampled_from([b"[]", b"{}", b"1", b'"a"', b"[" * 100_000, b"\xff", b"null"]))
def test_garbage_is_no_record(raw: bytes) -> None:
    with pytest.raises(IntegrityError):
        parse_record(raw, name="default/x.json")


def test_an_object_whose_key_stands_in_the_keyring_only_is_refused_by_the_key_file() -> None:
    bare = replace(BK, wrapped=b"")
    segment = begin_segment(bare, kind=Kind.WHOLE, plaintext_bytes=3, salt=noise(32), object_id=noise(16))
    stored = seal(segment, b"abc")

    with pytest.raises(RefusedError, match=r"rule 6: .* keyring"):
        open_object(stored, file_unwrapper(KEK))
    assert open_object(stored, lambda _: BK.secret).read() == b"abc"


@pytest.mark.parametrize("kind", ["marker", "manifest"])
def test_a_body_that_begins_with_something_else_is_refused(kind: str) -> None:
    segment = begin(0 if kind == "marker" else 160, Kind[kind.upper()])

    with pytest.raises(RefusedError, match=f"rule 16: a body that begins with a {kind}"):
        open_object(segment.raw, file_unwrapper(KEK))
