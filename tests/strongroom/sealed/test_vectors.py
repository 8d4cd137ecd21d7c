"""The vectors: made without the product's code, read and made again by it."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from strongroom.sealed.attributes import Attributes
from strongroom.sealed.digests import Checksum, ChecksumAlgorithm, ChecksumScope, Digests
from strongroom.sealed.entry import seal_entry
from strongroom.sealed.header import Header, Kind, parse_header
from strongroom.sealed.manifest import Manifest, PartRecord, seal_manifest
from strongroom.sealed.names import name_tag, upload_tag
from strongroom.sealed.offline import Binding, Unwrap, file_unwrapper, open_object
from strongroom.sealed.refusal import RefusedError, refuse
from strongroom.sealed.sealer import seal
from strongroom.sealed.segment import begin_segment
from strongroom.sealed.sizes import multipart_plaintext_bytes, part_stored_bytes, whole_plaintext_bytes
from strongroom.sealed.wrapping import BucketKey
from strongroom.secret import Secret
from tests.support.tree import ROOT

VECTORS = ROOT / "tests" / "vectors" / "object"
GOOD = sorted(VECTORS.glob("good-*.json"))
BAD = sorted(VECTORS.glob("bad-*.json"))

Description = dict[str, Any]


def noise(label: str, length: int) -> bytes:
    return hashlib.shake_128(label.encode()).digest(length)


def described(path: Path) -> Description:
    description: Description = json.loads(path.read_text())
    return description


def binding(description: Description) -> Binding:
    return Binding(description["entry"], description["bucket"], description["key"])


def given_keys(description: Description) -> Unwrap:
    """Bucket keys from the description, for objects whose header does not have theirs, or in transit's form."""
    keys = {name: Secret(bytes.fromhex(value)) for name, value in description["bucket_keys"].items()}

    def unwrap(header: Header) -> Secret:
        name = f"{header.policy}/{header.key_id.hex()}"
        return keys[name] if name in keys else refuse(6, f"no key {name}")

    return unwrap


def from_pieces(description: Description) -> bytes:
    stored = b""
    for piece in description["stored"]:
        if "file" in piece:
            stored += (VECTORS / piece["file"]).read_bytes()[piece["from"] :][: piece["length"]]
        else:
            stored += bytes.fromhex(piece["hex"]) if "hex" in piece else bytes(piece["zeros"])
    return stored


def test_every_rule_has_a_vector() -> None:
    assert {described(path)["rule"] for path in BAD} == set(range(1, 17))
    assert len(GOOD) > 10


def test_the_vectors_are_what_their_program_writes(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-m", "tests.vectors.object.make", str(tmp_path)], check=True, env=environment)

    kept = {path.name: path.read_bytes() for path in VECTORS.iterdir() if path.suffix in {".json", ".bin"}}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept


@pytest.mark.parametrize("path", [path for path in GOOD if "file" in described(path)], ids=lambda path: path.stem)
def test_good_vector_is_opened(path: Path) -> None:
    description = described(path)
    stored = (VECTORS / description["file"]).read_bytes()
    assert hashlib.sha256(stored).hexdigest() == description["stored_sha256"]

    opened = open_object(stored, given_keys(description), binding=binding(description))
    plaintext = opened.read()

    assert hashlib.sha256(plaintext).hexdigest() == description["plaintext_sha256"]
    assert len(plaintext) == opened.plaintext_bytes == description["plaintext_bytes"]
    if opened.manifest:
        listed = [[part.number, part.plaintext_bytes, part.added] for part in opened.manifest.parts]
        assert listed == description.get("parts", listed)
        assert multipart_plaintext_bytes(len(stored), len(listed)) == len(plaintext)
        assert opened.digests.checksum is not None
        assert opened.digests.checksum.value == b"\x12\x34\x56\x78"
    else:
        assert whole_plaintext_bytes(len(stored)) == len(plaintext)
        if "label" in description:
            assert opened.attributes is not None
            assert opened.attributes.metadata == description["metadata"]
            assert opened.digests.md5 == hashlib.md5(plaintext).digest()  # noqa: S324 - what S3 uses
            assert (opened.attributes.digests == opened.digests) == description["digests_known"]


@pytest.mark.parametrize("name", ["good-short", "good-parts", "good-three-chunks"])
def test_good_vector_is_opened_with_the_key_file_alone(name: str) -> None:
    description = described(VECTORS / f"{name}.json")
    stored = (VECTORS / f"{name}.bin").read_bytes()

    opened = open_object(stored, file_unwrapper(Secret(bytes.fromhex(description["kek"]))))

    assert hashlib.sha256(opened.read()).hexdigest() == description["plaintext_sha256"]
    assert opened.attributes is None


@pytest.mark.parametrize("path", [path for path in GOOD if "label" in described(path)], ids=lambda path: path.stem)
def test_the_product_writes_the_same_bytes(path: Path) -> None:
    description = described(path)
    stored = written_parts(description) if "parts" in description else written_whole(description)
    assert len(stored) == description["stored_bytes"]
    assert hashlib.sha256(stored).hexdigest() == description["stored_sha256"]


def written_whole(description: Description) -> bytes:
    label = description["label"]
    plaintext = noise(label, description["plaintext_bytes"])
    segment = begin_segment(
        bucket_key(description, "bk", "default"),
        kind=Kind.WHOLE,
        plaintext_bytes=len(plaintext),
        salt=noise(f"{label} salt", 32),
        object_id=noise(f"{label} id", 16),
    )
    checksum = Checksum(ChecksumAlgorithm.SHA256, hashlib.sha256(plaintext).digest())
    digests = Digests(hashlib.md5(plaintext).digest(), checksum)  # noqa: S324 - what S3 uses
    attributes = Attributes(digests if description["digests_known"] else None, description["metadata"])
    bucket, key = description["bucket"], description["key"]
    nonce = noise(f"{label} entry {bucket} {key}", 12)
    assert seal_entry(segment, attributes, bucket=bucket, key=key, nonce=nonce) == description["entry"]
    return seal(segment, plaintext, digests)


def written_parts(description: Description) -> bytes:
    """Parts as the product seals them, with the manifest of the stored file: its contents are tested elsewhere."""
    label = description["label"]
    tag = upload_tag(description["bucket"], description["key"], "upload-1")
    stored = b""
    for number, length, _ in description["parts"]:
        name = ("bk two", "archive") if number % 2 == 0 else ("bk", "default")
        segment = begin_segment(
            bucket_key(description, *name),
            kind=Kind.PART,
            plaintext_bytes=length,
            salt=noise(f"{label} {number} salt", 32),
            object_id=tag,
            part_number=number,
        )
        part = seal(segment, noise(f"{label} {number}", length))
        assert len(part) == part_stored_bytes(length)
        stored += part
    return stored + written_manifest(description, tag)


def written_manifest(description: Description, tag: bytes) -> bytes:
    records = tuple(PartRecord(*part) for part in description["parts"])
    sent = sum(not record.added for record in records)
    checksum = Checksum(ChecksumAlgorithm.CRC32, b"\x12\x34\x56\x78", ChecksumScope.COMPOSITE, sent)
    manifest = Manifest(records, name_tag(description["bucket"], description["key"]), Digests(None, checksum))
    key = bucket_key(description, "bk", "default")
    return seal_manifest(key, manifest, upload_tag=tag, salt=noise("manifest salt", 32))


def bucket_key(description: Description, label: str, policy: str) -> BucketKey:
    """A bucket key of the vectors, with its wrapped form taken from a header that has it."""
    key_id = noise(f"{label} id", 16)
    secret = Secret(bytes.fromhex(description["bucket_keys"][f"{policy}/{key_id.hex()}"]))
    return BucketKey(key_id, policy, secret, WRAPPED[key_id])


def wrapped_keys() -> dict[bytes, bytes]:
    stored = (VECTORS / "good-parts.bin").read_bytes()
    first = parse_header(stored)
    last = parse_header(stored[first.stored_bytes + part_stored_bytes(0) :])
    return {first.key_id: first.wrapped_key, last.key_id: last.wrapped_key}


WRAPPED = wrapped_keys()


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_vector_is_refused_by_the_rule_it_breaks(path: Path) -> None:
    description = described(path)
    unwrap = file_unwrapper(Secret(bytes.fromhex(description["kek"])))

    with pytest.raises(RefusedError, match=r"rule \d+: ") as caught:
        open_object(from_pieces(description), unwrap, binding=binding(description)).read()

    assert caught.value.rule == description["rule"]
