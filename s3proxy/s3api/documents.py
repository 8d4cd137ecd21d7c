"""The request documents whose content the proxy must know; all others are the store's business.

S3 API reference: CompleteMultipartUpload, DeleteObjects, PutObjectTagging, CreateBucket. Documents are refused for
what is missing or stands twice, and for checksums by unknown algorithms; not for other elements that are unknown: those
come with new versions of S3.
"""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from s3proxy.s3api.checksums import parse_checksum
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.xml_read import Element, malformed, parse_document
from strongroom.sealed.digests import Checksum, ChecksumAlgorithm
from strongroom.sealed.sizes import MAX_PARTS

MAX_DOCUMENT_BYTES: Final = 4 * 1024 * 1024  # 10,000 parts, or 1,000 keys of 1,000 characters like &lt;
MAX_DELETED_KEYS: Final = 1000  # S3 API reference, DeleteObjects
_MAX_TEXT_CHARACTERS: Final = 4096  # of what names an object; each key that is refused is told again, escaped
MAX_TAGS: Final = 50  # of a bucket; objects have at most ten, which the store checks
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_CHECKSUMS: Final = {f"Checksum{algorithm.name}": algorithm for algorithm in ChecksumAlgorithm}


@dataclass(frozen=True, slots=True)
class CompletedPart:
    """A part as the client lists it.

    Attributes:
        number: 1 to 10,000.
        etag: without quotes.
        checksum: what the client says of it, or None.
    """

    number: int
    etag: str
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True)
class ObjectToDelete:
    """One object of DeleteObjects; conditions are "" when there are none."""

    key: str
    version_id: str = ""
    etag: str = ""
    last_modified_time: str = ""
    size: str = ""


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    """A DeleteObjects document.

    Attributes:
        objects: in their order.
        quiet: whether only failures are to be told.
    """

    objects: tuple[ObjectToDelete, ...]
    quiet: bool


def parse_complete_multipart_upload(body: bytes) -> tuple[CompletedPart, ...]:
    """Read the parts of an upload.

    Raises:
        S3Error: MalformedXML; InvalidPartOrder when the numbers do not rise; InvalidArgument for a number out of range.
    """
    root = _parse(body, "CompleteMultipartUpload")
    parts = tuple(_part(element) for element in root.all("Part"))
    if not 1 <= len(parts) <= MAX_PARTS:
        malformed()
    if any(one.number >= other.number for one, other in pairwise(parts)):
        code, msg = "InvalidPartOrder", "The list of parts was not in ascending order. Parts must be ordered by number."
        raise S3Error(code, msg)
    return parts


def _part(element: Element) -> CompletedPart:
    number = _number(element.require("PartNumber"))
    if not 1 <= number <= MAX_PARTS:
        code, msg = "InvalidArgument", f"PartNumber must be an integer between 1 and {MAX_PARTS}, inclusive"
        raise S3Error(code, msg, details={"ArgumentName": "partNumber", "ArgumentValue": str(number)})
    checksums = [parse_checksum(_CHECKSUMS[name], element.require(name)) for name in _checksum_names(element)]
    if len(checksums) > 1:
        malformed()
    return CompletedPart(number, element.require("ETag").strip('"'), checksums[0] if checksums else None)


def _checksum_names(part: Element) -> set[str]:
    """Return which checksums a part has; one that nobody could verify must not be ignored."""
    names = {child.name for child in part.children if child.name.startswith("Checksum")}
    if not names <= _CHECKSUMS.keys():
        malformed()
    return names


def parse_delete(body: bytes) -> DeleteRequest:
    """Read which objects are to be deleted.

    Raises:
        S3Error: MalformedXML.
    """
    root = _parse(body, "Delete")
    objects = tuple(_object(element) for element in root.all("Object"))
    if not 1 <= len(objects) <= MAX_DELETED_KEYS:
        malformed()
    return DeleteRequest(objects, (root.get("Quiet") or "").lower() == "true")


def _object(element: Element) -> ObjectToDelete:
    keys = element.all("Key")
    if len(keys) != 1 or not keys[0].text or keys[0].children:
        malformed()
    if any(len(child.text) > _MAX_TEXT_CHARACTERS for child in element.children):
        malformed()
    return ObjectToDelete(
        keys[0].text,  # blanks at its ends belong to a key
        element.get("VersionId") or "",
        element.get("ETag") or "",
        element.get("LastModifiedTime") or "",
        element.get("Size") or "",
    )


def parse_tagging(body: bytes) -> tuple[tuple[str, str], ...]:
    """Read (key, value) pairs of tags.

    Raises:
        S3Error: MalformedXML; InvalidTag when a key stands twice.
    """
    sets = _parse(body, "Tagging").all("TagSet")
    if len(sets) != 1:
        malformed()
    tags = tuple((tag.require("Key"), tag.require("Value")) for tag in sets[0].all("Tag"))
    if len(tags) > MAX_TAGS:
        malformed()
    if len({key for key, _ in tags}) != len(tags):
        raise S3Error("InvalidTag", "Cannot provide multiple Tags with the same key")
    return tags


def parse_location_constraint(body: bytes) -> str:
    """Return the region that a CreateBucket document asks for, or "".

    Raises:
        S3Error: MalformedXML.
    """
    return _parse(body, "CreateBucketConfiguration").get("LocationConstraint") or "" if body.strip() else ""


def _parse(body: bytes, root: str) -> Element:
    if len(body) > MAX_DOCUMENT_BYTES:
        code, msg = "MaxMessageLengthExceeded", "Your request was too big."
        raise S3Error(code, msg, details={"MaxMessageLengthBytes": str(MAX_DOCUMENT_BYTES)})
    return parse_document(body, root=root)


def _number(text: str) -> int:
    if _NUMBER.fullmatch(text) is None:
        malformed()
    return int(text)
