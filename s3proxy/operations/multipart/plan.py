"""What completing an upload comes to: which parts make up the object, which one carries the manifest, and the checksum.

Sizes are judged as plaintext, since the store sees larger parts (``docs/object-format.md``, "Multipart objects"). Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from s3proxy.operations.multipart.parts import ClientParts, plaintext_bytes_of
from s3proxy.operations.multipart.upload import StoredPart
from s3proxy.s3api.checksums import composite, full_object, parse_scope
from s3proxy.s3api.documents import CompletedPart
from s3proxy.s3api.errors import S3Error
from strongroom.sealed.digests import Checksum, ChecksumScope
from strongroom.sealed.manifest import PartRecord
from strongroom.sealed.sizes import MAX_PARTS, STORE_MIN_PART_BYTES


@dataclass(frozen=True)
class Completion:
    """A completion that can go ahead.

    Attributes:
        parts: the client's, in the order of their numbers.
        small: the last of them, if it is to be uploaded again with the manifest behind it; None: a part is added.
        number: of the part that carries the manifest.
    """

    parts: tuple[StoredPart, ...]
    small: StoredPart | None
    number: int

    @property
    def lengths(self) -> list[int]:
        """The lengths of the plaintexts of the client's parts."""
        return [plaintext_bytes_of(part) for part in self.parts]

    @property
    def records(self) -> tuple[PartRecord, ...]:
        """The parts as the manifest is to have them."""
        sent = (PartRecord(part.number, length) for part, length in zip(self.parts, self.lengths, strict=True))
        return (*sent,) if self.small else (*sent, PartRecord(self.number, 0, added=True))

    def stored(self, carrier: StoredPart) -> list[StoredPart]:
        """Return the parts of which the store is to make the object.

        Args:
            carrier: the part with the manifest, as the store took it.
        """
        return [*(self.parts[:-1] if self.small else self.parts), carrier]


def plan_completion(asked: Sequence[CompletedPart], there: ClientParts, *, equal_parts: bool = False) -> Completion:
    """Decide whether and how an upload can be completed.

    Args:
        asked: the parts that the client lists, at least one, numbers rising.
        there: the parts that it has uploaded.
        equal_parts: whether the store wants all parts but the last to be of one size.

    Raises:
        S3Error: InvalidPart, EntityTooSmall, or NotImplemented for parts that such a store does not take.
    """
    parts = tuple(_require_part(part, there) for part in asked)
    for part in parts[:-1]:
        if plaintext_bytes_of(part) < STORE_MIN_PART_BYTES:
            _refuse_small(part)
    last = parts[-1]
    is_small = plaintext_bytes_of(last) < STORE_MIN_PART_BYTES
    if equal_parts:
        _require_equal(parts[:-1] if is_small else parts)
    if is_small:
        return Completion(parts, last, last.number)
    if last.number == MAX_PARTS:
        _refuse_part(asked[-1])  # it did not come through a proxy
    taken = {part.number for part in there.all}
    following = range(last.number + 1, MAX_PARTS + 1)
    # A part that the client has uploaded and does not list goes with the upload anyway, but not if this fails.
    return Completion(parts, None, next((number for number in following if number not in taken), following[0]))


def checksum_of_object(
    claim: Checksum | None, kind: str, parts: Sequence[CompletedPart], lengths: Sequence[int]
) -> Checksum | None:
    """Return the checksum to keep with the object, None if the client gives none for all parts.

    Each part was verified when it was uploaded; the client lists the checksums that it was answered then. No checksum
    is kept that does not follow from those of the parts.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html

    Args:
        claim: of the request.
        kind: ``x-amz-checksum-type`` of the request, or "".
        parts: as the client lists them.
        lengths: of their plaintexts.

    Raises:
        S3Error: BadDigest for a claim that does not hold; InvalidRequest for one that cannot be checked, or for
            checksums that do not go together.
    """
    given = [part.checksum for part in parts if part.checksum is not None]
    algorithms = {checksum.algorithm for checksum in given} | ({claim.algorithm} if claim else set())
    if len(algorithms) > 1:
        _refuse("InvalidRequest", "The checksums of the parts and of the object are not all of one algorithm.")
    if not algorithms:
        return None
    algorithm = algorithms.pop()
    if len(given) != len(parts):
        if claim is None:
            return None
        _refuse("InvalidRequest", f"The complete request must include the {algorithm.name} checksum for each part.")
    if not kind and claim is not None:
        kind = claim.scope.name
    if parse_scope(kind, algorithm) is ChecksumScope.COMPOSITE:
        computed = composite(algorithm, [checksum.value for checksum in given])
    else:
        computed = full_object(algorithm, [(one.value, size) for one, size in zip(given, lengths, strict=True)])
    if claim is not None and (claim.scope, claim.value) != (computed.scope, computed.value):
        _refuse("BadDigest", f"The {algorithm.name} you specified did not match the calculated checksum.")
    return computed


def _require_part(asked: CompletedPart, there: ClientParts) -> StoredPart:
    found = there.find(asked.number, asked.etag)
    if found is None:
        _refuse_part(asked)
    return found


def _require_equal(parts: Sequence[StoredPart]) -> None:
    if len({part.stored_bytes for part in parts}) > 1:
        code = "NotImplemented"
        msg = "The store behind this endpoint wants parts of one size, the last one too unless it is under 5 MiB."
        raise S3Error(code, msg, hint="choose a part size by which the object's size leaves less than 5 MiB")


def _refuse_part(asked: CompletedPart) -> NoReturn:
    code = "InvalidPart"
    msg = "One or more of the specified parts could not be found. The part may not have been uploaded, or the "
    msg += "specified entity tag may not match the part's entity tag."
    raise S3Error(code, msg, details={"PartNumber": str(asked.number), "ETag": asked.etag})


def _refuse_small(part: StoredPart) -> NoReturn:
    code, msg = "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size"
    details = {
        "ProposedSize": str(plaintext_bytes_of(part)),
        "MinSizeAllowed": str(STORE_MIN_PART_BYTES),
        "PartNumber": str(part.number),
        "ETag": part.shown_etag.strip('"'),
    }
    raise S3Error(code, msg, details=details)


def _refuse(code: str, message: str) -> NoReturn:
    raise S3Error(code, message)
