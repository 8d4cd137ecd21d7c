"""A bare store and a proxy side by side: each request is made at both, and the answers are compared.

What may differ is a line of docs/s3proxy-differences.md; each place here that lets something differ names its line.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from botocore.exceptions import ClientError

S3: TypeAlias = Any  # botocore makes its clients at run time
Answer: TypeAlias = dict[str, Any]

_HEADERS = (
    "AcceptRanges", "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentLength",
    "ContentRange", "ContentType", "DeleteMarker", "Metadata", "TagCount",
)  # fmt: skip


@dataclass
class Side:
    """One of the two.

    Attributes:
        client: of boto3.
        bucket: where it works.
        sealed: whether it is the proxy.
        md5_etags: whether the ETags of whole objects are to be MD5s, on both sides.
        etags: that it answered, by key.
        uploads: upload ids, by a number that both sides share.
        parts: ETags of parts, by upload and part number.
        versions: version ids, by a number that both sides share; "null" is null on both.
    """

    client: S3
    bucket: str
    sealed: bool
    md5_etags: bool = True
    etags: dict[str, str] = field(default_factory=dict)
    uploads: dict[int, str] = field(default_factory=dict)
    parts: dict[tuple[int, int], str] = field(default_factory=dict)
    versions: dict[int, str] = field(default_factory=dict)

    def forget(self) -> None:
        """Forget all ETags and ids."""
        for known in (self.etags, self.uploads, self.parts, self.versions):
            known.clear()

    def call(self, operation: str, **parameters: object) -> tuple[int, str, Answer]:
        """Make a request; return status, error code or "", and what boto3 makes of the answer."""
        try:
            answer = getattr(self.client, operation)(Bucket=self.bucket, **parameters)
        except ClientError as error:
            found = error.response
            return found["ResponseMetadata"]["HTTPStatusCode"], str(found["Error"]["Code"]), found["Error"]
        if "Body" in answer:
            answer["Body"] = answer["Body"].read()
        return answer["ResponseMetadata"]["HTTPStatusCode"], "", answer


View: TypeAlias = Callable[[Side, Answer], object]
Refusal: TypeAlias = tuple[int, str]
Instead: TypeAlias = frozenset[tuple[Refusal, Refusal]]
Parameters: TypeAlias = Callable[[Side], Mapping[str, object]]


@dataclass
class Pair:
    """Both sides."""

    bare: Side
    proxy: Side

    def call(
        self,
        operation: str,
        parameters: Parameters,
        view: View = lambda *_: None,
        *,
        instead: Instead = frozenset(),
    ) -> bool:
        """Make a request at both, assert that the answers are the same, and return whether they are good.

        Args:
            operation: of boto3.
            parameters: for a side, without the bucket.
            view: what of a good answer must be the same.
            instead: refusals of the store, each with the one that the proxy may give in its place.
        """
        told, answers = [], []
        for side in (self.bare, self.proxy):
            status, code, answer = side.call(operation, **parameters(side))
            told.append((status, code, None if code else view(side, answer)))
            answers.append(answer if code else {})
        if (told[0][:2], told[1][:2]) in instead:
            return False
        store, proxy = (f"{one} {answer.get('Message', '')}" for one, answer in zip(told, answers, strict=True))
        assert told[0] == told[1], f"{operation} {parameters(self.proxy)}:\nstore: {store}\nproxy: {proxy}"
        return not told[0][1]


def object_view(side: Side, answer: Answer) -> object:
    """Return what GET and HEAD tell of an object."""
    view = {name: answer.get(name) for name in _HEADERS}
    metadata = answer.get("Metadata")
    assert metadata is None or "seg1" not in metadata
    return view, answer.get("Body"), etag_view(side, answer.get("ETag")), "VersionId" in answer


def etag_view(side: Side, etag: str | None) -> str | None:
    """Return what must be the same of an ETag.

    ETAG-OPAQUE: unless they are to be MD5s, that the proxy's does not look like one.
    ETAG-MULTIPART: of a multipart object, that it is one.
    """
    if etag is None or etag == '""':  # EMPTY-DIRECTORY
        return etag
    if not side.md5_etags:
        assert not side.sealed or "-" in etag, etag
        return "opaque"
    if "-" not in etag:
        return etag
    assert etag.strip('"').partition("-")[2].isdigit(), etag
    return "multipart"


def listed_view(side: Side, entry: Answer) -> object:
    """Return what a listing tells of one object."""
    assert entry["ETag"].startswith('"')
    kept = {name: value for name, value in entry.items() if name not in {"ETag", "LastModified", "VersionId", "Owner"}}
    return kept, etag_view(side, entry["ETag"]), "VersionId" in entry
