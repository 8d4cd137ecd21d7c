"""UploadPart and UploadPartCopy: a part is sealed as it comes in, under keys of this very attempt.

A part under 5 MiB is sealed in memory, since a copy of it is kept. A longer one streams through; its last chunk is
sealed only after everything that the client claims of its body held.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from s3proxy.exchange.incoming import XML_TYPE, Incoming
from s3proxy.exchange.outgoing import BodyOutcome, PlainBody, plain_of, seal_plain, sealed_pieces
from s3proxy.keys.policies import Policy
from s3proxy.operations.multipart.kept import KeptParts
from s3proxy.operations.multipart.upload import StoredPart, Upload, part_number_of, send_part, upload_of
from s3proxy.s3api.checksums import checksum_header
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.object_headers import passed_back
from s3proxy.s3api.xml_write import node, to_xml
from s3proxy.stored import fresh
from s3proxy.stored.open import Objects
from s3proxy.stored.source import open_source
from strongroom.errors import StrongroomError
from strongroom.sealed.digests import Digests
from strongroom.sealed.sealer import SegmentSealer
from strongroom.sealed.sizes import MAX_PARTS, PART_OVERHEAD_BYTES, STORE_MAX_PUT_BYTES, STORE_MIN_PART_BYTES

MAX_PART_BYTES = STORE_MAX_PUT_BYTES - PART_OVERHEAD_BYTES
_COPY_RANGE = re.compile(r"bytes=([0-9]{1,19})-([0-9]{1,19})")


@dataclass(frozen=True)
class PartWriter:
    """Writes parts of uploads, and copies of small ones."""

    objects: Objects
    kept: KeptParts

    async def upload(self, incoming: Incoming, policy: Policy) -> None:
        """Serve UploadPart."""
        upload, number = upload_of(incoming), part_number_of(incoming)
        plain = plain_of(incoming, incoming.open_body())
        part, digests = await self._write(upload, number, policy, plain)
        headers = {"ETag": part.shown_etag}
        if digests.checksum is not None:
            name, value = checksum_header(digests.checksum)
            headers[name] = value
        await incoming.respond(200, headers)

    async def copy(self, incoming: Incoming, policy: Policy) -> None:
        """Serve UploadPartCopy: the source is opened and sealed again, as a part of this upload."""
        upload, number = upload_of(incoming), part_number_of(incoming)
        source = await open_source(self.objects, incoming.call, incoming.head)
        first, last = _range_of(incoming.head.header("x-amz-copy-source-range"), await source.size())
        plain = PlainBody(last - first + 1, source.pieces(first, last), Digests)
        part, _ = await self._write(upload, number, policy, plain)
        headers = {"Content-Type": XML_TYPE}
        version = passed_back(source.store_headers).get("x-amz-version-id")
        if version:
            headers["x-amz-copy-source-version-id"] = version
        modified = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        answer = node("CopyPartResult", node("LastModified", modified), node("ETag", part.shown_etag))
        await incoming.respond(200, headers, to_xml(answer))

    async def _write(self, upload: Upload, number: int, policy: Policy, plain: PlainBody) -> tuple[StoredPart, Digests]:
        _require_room(number, plain.length)
        key = await self.objects.keys.to_seal(policy.name)
        segment = fresh.part(key, plain.length, upload_tag=upload.tag, number=number)
        length = segment.header.stored_bytes
        if plain.length < STORE_MIN_PART_BYTES:
            sealed, digests = await seal_plain(segment, plain, with_footer=False)
            part = await send_part(self.objects.store, upload, number, sealed, length)
            await self.kept.keep(upload, part, sealed)
            return part, digests
        outcome = BodyOutcome()
        pieces = sealed_pieces(SegmentSealer(segment), plain, outcome, with_footer=False)
        try:
            part = await send_part(self.objects.store, upload, number, pieces, length)
        except StrongroomError:
            if outcome.error is not None:
                raise outcome.error from None
            raise
        return part, outcome.digests or Digests()


def _require_room(number: int, length: int) -> None:
    """Return if the store takes a part of this length, and the manifest can follow it.

    Raises:
        S3Error: EntityTooLarge; InvalidArgument for a large part with the highest number.
    """
    if length > MAX_PART_BYTES:
        code, msg = "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"
        raise S3Error(code, msg, details={"ProposedSize": str(length), "MaxSizeAllowed": str(MAX_PART_BYTES)})
    if number == MAX_PARTS and length >= STORE_MIN_PART_BYTES:
        code, msg = "InvalidArgument", f"Part {MAX_PARTS} must be smaller than {STORE_MIN_PART_BYTES} bytes."
        raise S3Error(code, msg, details={"ArgumentName": "partNumber", "ArgumentValue": str(number)})


def _range_of(text: str, size: int) -> tuple[int, int]:
    """Return first and last byte of what is to be copied of a source; of nothing, 0 and -1.

    Raises:
        S3Error: InvalidArgument for a malformed range, InvalidRange for one that is not all in the source.
    """
    if not text:
        return 0, size - 1
    match = _COPY_RANGE.fullmatch(text)
    if match is None or int(match[1]) > int(match[2]):
        code = "InvalidArgument"
        msg = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
        msg += "zero-based offsets of the first and last bytes to copy"
        details = {"ArgumentName": "x-amz-copy-source-range", "ArgumentValue": text[:64]}
        raise S3Error(code, msg, details=details)
    first, last = int(match[1]), int(match[2])
    if last >= size:
        raise S3Error("InvalidRange", "The requested range is not satisfiable", details={"ActualObjectSize": str(size)})
    return first, last
