"""Manifests that were opened are kept by the memory that they take."""

import os
from pathlib import Path
from typing import Any

import pytest

from s3proxy.stored import fresh, read
from s3proxy.stored.read import Access
from strongroom.sealed.digests import Digests
from strongroom.sealed.manifest import Manifest, PartRecord, open_manifest
from strongroom.sealed.names import name_tag
from strongroom.sealed.segment import Segment
from strongroom.sealed.wrapping import BucketKey
from strongroom.secret import Secret

KEY = BucketKey(bytes(16), "p", Secret(bytes(32)))
LIMIT = 8 << 20


def opened(parts: int) -> tuple[Segment, Manifest]:
    records = tuple(PartRecord(number, 5 << 20) for number in range(1, parts + 1))
    manifest = Manifest(records, name_tag("b", "k"), Digests())
    raw = fresh.manifest(KEY, manifest, upload_tag=os.urandom(16), meant=bytes(fresh.MEANT_BYTES))
    return open_manifest(raw, KEY.secret)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(("parts", "etag_characters"), [(1, 34), (500, 34), (1, 16_000)])
def test_what_is_kept_of_manifests_is_bounded_by_the_memory_that_it_takes(
    monkeypatch: pytest.MonkeyPatch, parts: int, etag_characters: int
) -> None:
    """A hundred thousand of one part, which any client may upload and read, took 900 MB."""
    monkeypatch.setattr(read, "_KEPT_MANIFESTS_BYTES", LIMIT)
    nothing: Any = None  # nothing is read
    access = Access(nothing, nothing, nothing, nothing)
    opened(parts)
    before = resident_bytes()
    for number in range(4 * LIMIT // (9000 + 150 * parts)):
        proof = opened(parts)
        access.keep_manifest((proof[0].raw, f"{number}{'e' * etag_characters}", 1), proof)
    assert access.manifests
    assert resident_bytes() - before < 2 * LIMIT
