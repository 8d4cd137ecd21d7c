"""The checksum of a multipart object, from what the request that completes its upload says of the parts. Pure.

Each part was verified when it was uploaded; the client lists the checksums that it was answered then. No checksum is
kept that does not follow from those of the parts.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
"""

from collections.abc import Sequence
from typing import NoReturn

from s3proxy.s3api.checksums import claimed_checksum, composite, full_object, parse_scope
from s3proxy.s3api.documents import CompletedPart
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from strongroom.sealed.digests import Checksum, ChecksumScope


def checksum_of_object(head: RequestHead, parts: Sequence[CompletedPart], lengths: Sequence[int]) -> Checksum | None:
    """Return the checksum to keep with the object, None if the client gives none for all parts.

    Args:
        head: of the request; it may claim a checksum.
        parts: as the client lists them.
        lengths: of their plaintexts.

    Raises:
        S3Error: BadDigest for a claim that does not hold; InvalidRequest for one that cannot be checked, or for
            checksums that do not go together.
    """
    claim = claimed_checksum(head)
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
    asked = head.header("x-amz-checksum-type")
    if not asked and claim is not None:
        asked = claim.scope.name
    if parse_scope(asked, algorithm) is ChecksumScope.COMPOSITE:
        computed = composite(algorithm, [checksum.value for checksum in given])
    else:
        computed = full_object(algorithm, [(one.value, size) for one, size in zip(given, lengths, strict=True)])
    if claim is not None and (claim.scope, claim.value) != (computed.scope, computed.value):
        _refuse("BadDigest", f"The {algorithm.name} you specified did not match the calculated checksum.")
    return computed


def _refuse(code: str, message: str) -> NoReturn:
    raise S3Error(code, message)
