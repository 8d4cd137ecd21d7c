"""Which parts are the client's, and what completing an upload comes to: decisions without a store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3proxy.operations.multipart.parts import ClientParts, needs_copies
from s3proxy.operations.multipart.plan import checksum_of_object, plan_completion
from s3proxy.operations.multipart.upload import StoredPart
from s3proxy.s3api.checksums import full_object
from s3proxy.s3api.claims import Claims
from s3proxy.s3api.documents import CompletedPart
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import make_head
from strongroom.sealed.digests import Checksum, ChecksumAlgorithm
from strongroom.sealed.manifest import PartRecord
from strongroom.sealed.sizes import MAX_PARTS, manifest_stored_bytes, part_stored_bytes

LEAST = 5 << 20


def part(number: int, etag: str, plaintext_bytes: int, *, behind: int = 0) -> StoredPart:
    return StoredPart(number, etag, part_stored_bytes(plaintext_bytes) + behind)


LARGE = part(1, "large", LEAST)
SMALL = part(2, "small", 100)
CARRIER = part(2, "carrier", 100, behind=manifest_stored_bytes(2))
ADDED = part(2, "added", 0, behind=manifest_stored_bytes(2))
NEARLY = part(2, "nearly", LEAST - 1)
NEARLY_CARRIER = part(2, "nearly-carrier", LEAST - 1, behind=manifest_stored_bytes(2))


@pytest.mark.parametrize(
    ("listed", "kept", "shown"),
    [
        ([LARGE, SMALL], [SMALL], [LARGE, SMALL]),
        ([LARGE, SMALL], [], [LARGE]),  # the client was never told that it is there
        ([LARGE, CARRIER], [SMALL], [LARGE, SMALL]),
        ([LARGE, SMALL, CARRIER], [SMALL], [LARGE, SMALL]),  # a store that lists all attempts
        ([LARGE, ADDED], [], [LARGE]),
        ([LARGE, ADDED], [part(1, "elsewhere", 0)], [LARGE]),
        ([NEARLY_CARRIER], [NEARLY], [NEARLY]),
        ([NEARLY_CARRIER], [], [NEARLY_CARRIER]),  # by itself it is a part like any other
        ([StoredPart(1, "foreign", 5)], [], []),
        ([part(1, "a", 0)], [part(1, "a", 0)], [part(1, "a", 0)]),
    ],
)
def test_client_sees_what_it_sent(listed: list[StoredPart], kept: list[StoredPart], shown: list[StoredPart]) -> None:
    parts = ClientParts(listed, kept)
    assert parts.all == shown
    assert [parts.find(one.number, one.etag) for one in shown] == shown
    assert len(set(parts.listed)) == len(shown)
    assert set(parts.listed) <= set(listed)
    assert needs_copies(listed) or parts.all == ClientParts(listed, []).all


def test_many_attempts_at_a_part_cost_no_more_than_each_of_them() -> None:
    """Looking at each copy for each attempt would take minutes of a process that serves others, too."""
    attempts = [part(1, f"{number:032x}", number % 1000) for number in range(30_000)]
    carriers = [part(1, f"c{number}", number % 1000, behind=manifest_stored_bytes(3)) for number in range(30_000)]
    parts = ClientParts([*attempts, *carriers], reversed(attempts))
    assert parts.all[: len(attempts)] == attempts
    assert parts.find(1, attempts[7].etag) == attempts[7]
    carried = ClientParts(carriers, attempts)
    assert {one.stored_bytes for one in carried.all} <= {one.stored_bytes for one in attempts}
    assert carried.find(1, attempts[7].etag) == attempts[7]
    assert carried.find(1, "c7") is None


@given(
    sizes=st.lists(st.integers(0, 40), max_size=6),
    kept=st.sets(st.integers(0, 5)),
    carriers=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3)), max_size=4),
)
def test_an_attempt_is_found_if_it_is_listed_or_carried_and_a_copy_is_kept(
    sizes: list[int], kept: set[int], carriers: list[tuple[int, int]]
) -> None:
    attempts = [part(1, f"a{number}", size) for number, size in enumerate(sizes)]
    copies = [attempt for number, attempt in enumerate(attempts) if number in kept]
    behind = [
        part(1, f"c{number}", size, behind=manifest_stored_bytes(count))
        for number, (size, count) in enumerate(carriers)
    ]
    lengths = {manifest_stored_bytes(count) for count in range(1, MAX_PARTS + 1)}
    for listed in (attempts, []):
        parts = ClientParts([*listed, *behind], copies)
        for attempt in attempts:
            others = [one for one in [*listed, *behind] if one not in copies]
            is_carried = any(one.stored_bytes - attempt.stored_bytes in lengths for one in others)
            expected = attempt in copies and (attempt in listed or is_carried)
            assert parts.find(1, attempt.etag) == (attempt if expected else None)
        assert set(parts.all) <= set(copies)
        assert {one for one in listed if one in copies} <= set(parts.all)


def test_carrier_is_found_by_the_etag_of_what_it_carries_only() -> None:
    parts = ClientParts([LARGE, CARRIER], [SMALL])
    assert parts.find(2, "small") == SMALL
    assert parts.find(2, "carrier") is None
    assert parts.find(3, "small") is None


def test_large_part_of_the_length_of_a_carrier_is_found_by_its_own_etag() -> None:
    """A client that replaced a small part by a larger one, of just this length, means the larger one."""
    assert ClientParts([NEARLY_CARRIER], [NEARLY]).find(2, "nearly-carrier") == NEARLY_CARRIER


def asked(*parts: StoredPart) -> list[CompletedPart]:
    return [CompletedPart(one.number, one.etag) for one in parts]


def test_small_last_part_is_uploaded_again() -> None:
    plan = plan_completion(asked(LARGE, SMALL), ClientParts([LARGE, SMALL], [SMALL]))
    assert (plan.small, plan.number, plan.lengths) == (SMALL, 2, [LEAST, 100])
    assert plan.records == (PartRecord(1, LEAST), PartRecord(2, 100))
    assert plan.stored(CARRIER) == [LARGE, CARRIER]


def test_part_is_added_behind_a_large_one() -> None:
    plan = plan_completion(asked(LARGE), ClientParts([LARGE, ADDED], []))
    assert (plan.small, plan.number) == (None, 2)
    assert plan.records == (PartRecord(1, LEAST), PartRecord(2, 0, added=True))
    assert plan.stored(ADDED) == [LARGE, ADDED]


def test_added_part_replaces_no_part_of_the_client_as_long_as_there_is_another_number() -> None:
    there = [part(number, f"e{number}", LEAST) for number in (1, 2, 3, 5)]
    assert plan_completion(asked(there[0]), ClientParts(there, [])).number == 4
    high = [part(number, f"e{number}", LEAST) for number in (MAX_PARTS - 1, MAX_PARTS)]
    assert plan_completion(asked(high[0]), ClientParts(high, [])).number == MAX_PARTS


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        (asked(SMALL, part(3, "last", LEAST)), "EntityTooSmall"),
        (asked(LARGE, NEARLY), "InvalidPart"),
        ([CompletedPart(1, "small")], "InvalidPart"),
        (asked(part(MAX_PARTS, "highest", LEAST)), "InvalidPart"),
    ],
)
def test_what_is_refused(parts: list[CompletedPart], code: str) -> None:
    listed = [LARGE, SMALL, part(3, "last", LEAST), part(MAX_PARTS, "highest", LEAST)]
    with pytest.raises(S3Error) as caught:
        plan_completion(parts, ClientParts(listed, [SMALL]))
    assert caught.value.code == code


def test_largest_upload() -> None:
    listed = [part(number, str(number), LEAST) for number in range(1, MAX_PARTS)]
    plan = plan_completion(asked(*listed), ClientParts(listed, []))
    assert len(plan.records) == MAX_PARTS
    assert plan.number == MAX_PARTS


def checksum_with(parts: list[CompletedPart], **headers: str) -> Checksum | None:
    pairs = [("host", "s3"), *((name.replace("_", "-"), value) for name, value in headers.items())]
    head = make_head("POST", "/bucket/key?uploadId=1", pairs)
    return checksum_of_object(Claims.from_head(head).checksum, head.header("x-amz-checksum-type"), parts, [5, 6])


CRCS = [Checksum(ChecksumAlgorithm.CRC32, bytes([0, 0, 0, number])) for number in (1, 2)]
SUMMED = [CompletedPart(number, "e", checksum) for number, checksum in enumerate(CRCS, start=1)]
FULL = full_object(ChecksumAlgorithm.CRC32, [(CRCS[0].value, 5), (CRCS[1].value, 6)])


def test_type_of_the_checksum_is_as_asked_for() -> None:
    assert checksum_with(SUMMED) != FULL
    assert checksum_with(SUMMED, x_amz_checksum_type="FULL_OBJECT") == FULL
    assert checksum_with([SUMMED[0], CompletedPart(2, "e")]) is None


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x_amz_checksum_crc32": "AAAAAA=="}, "BadDigest"),
        ({"x_amz_checksum_crc32": "AAAAAA==-2"}, "BadDigest"),
        ({"x_amz_checksum_sha256": "A" * 43 + "="}, "InvalidRequest"),
        ({"x_amz_checksum_crc32": "AAAAAA==", "x_amz_checksum_crc32c": "AAAAAA=="}, "InvalidRequest"),
        ({"x_amz_checksum_type": "NONE"}, "InvalidRequest"),
    ],
)
def test_claim_that_does_not_hold(headers: dict[str, str], code: str) -> None:
    with pytest.raises(S3Error) as caught:
        checksum_with(SUMMED, **headers)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "parts",
    [
        [LEAST, LEAST],
        [LEAST, LEAST, 100],
        [100],
        [2 * LEAST],
    ],
)
def test_parts_that_a_store_of_equal_parts_takes(parts: list[int]) -> None:
    there = [part(number, f"etag-{number}", size) for number, size in enumerate(parts, start=1)]
    kept = [one for one in there if one.stored_bytes < part_stored_bytes(LEAST)]
    plan_completion(asked(*there), ClientParts(there, kept), equal_parts=True)


@pytest.mark.parametrize("parts", [[LEAST, LEAST + 1], [2 * LEAST, 2 * LEAST, LEAST], [LEAST, LEAST + 1, 100]])
def test_parts_that_it_would_not_take_are_refused_by_name(parts: list[int]) -> None:
    there = [part(number, f"etag-{number}", size) for number, size in enumerate(parts, start=1)]
    kept = [one for one in there if one.stored_bytes < part_stored_bytes(LEAST)]
    with pytest.raises(S3Error, match="parts of one size") as caught:
        plan_completion(asked(*there), ClientParts(there, kept), equal_parts=True)
    assert caught.value.code == "NotImplemented"
    plan_completion(asked(*there), ClientParts(there, kept))
