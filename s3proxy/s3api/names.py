"""Names that clients give: keys, prefixes, ids, sources of copies. Refused is what two readers could take differently.

Rights are compared with the very characters of a name, and a store may resolve it like a path: ``public/../private/x``
begins with ``public/`` here and lies under ``private/`` there. Some stores take a backslash for a slash. Nothing is
normalised; such names are refused, as S3 refuses those that climb above their bucket.
"""

import re
from dataclasses import dataclass
from typing import Final, NoReturn

from s3proxy.s3api.canonical import decode_text, encode_path, encode_text
from s3proxy.s3api.errors import S3Error

MAX_KEY_BYTES: Final = 1024  # S3: "Naming Amazon S3 objects"
MAX_ID_CHARACTERS: Final = 1024  # S3: "Using versioning in S3 buckets"; upload ids are shorter
# The rule of the oldest buckets; what a store allows is its own matter, a slash or a NUL would be ours.
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
# Below these MinIO and RustFS have what is for their administrators, and look at path and signature alone: asked with
# the proxy's key for an object ``admin/v3/export-iam`` in such a bucket, they would answer with all their users' keys.
_OF_ADMINISTRATORS: Final = frozenset({"minio", "rustfs"})
# What XML 1.0 cannot hold: no listing can show such a key, and DeleteObjects cannot name it.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_SEGMENT: Final = re.compile(r"[/\\]")
_NOT_IN_AN_ID: Final = re.compile(r"[/\\\x00-\x1f\x7f]")
_UNTOLD_BLANKS: Final = re.compile(r"\t|  ")  # a header is signed alike with one blank in their place
_DOTS: Final = frozenset({".", ".."})


@dataclass(frozen=True, slots=True)
class CopySource:
    """What ``x-amz-copy-source`` names.

    Attributes:
        bucket: its name.
        key: decoded once.
        version_id: or "".
    """

    bucket: str
    key: str
    version_id: str

    @property
    def header(self) -> str:
        """The header for the store: written from what was read, never the client's text."""
        return copy_source_header(self.bucket, self.key, self.version_id)


def copy_source_header(bucket: str, key: str, version_id: str) -> str:
    """Return the ``x-amz-copy-source`` that names an object."""
    version = f"?versionId={encode_text(version_id)}" if version_id else ""
    return encode_path(bucket, key) + version


def require_bucket(name: str) -> str:
    """Return the name of a bucket.

    Raises:
        S3Error: InvalidBucketName.
    """
    if not is_bucket(name):
        raise S3Error("InvalidBucketName", "The specified bucket is not valid.", details={"BucketName": name[:255]})
    return name


def is_bucket(name: str) -> bool:
    """Return whether a bucket that clients ask for may have this name."""
    return _BUCKET.fullmatch(name) is not None and name not in _OF_ADMINISTRATORS


def require_key(key: str) -> None:
    """Return if a key may name an object.

    Raises:
        S3Error: KeyTooLongError; InvalidURI for half a surrogate pair, which is not UTF-8; InvalidArgument for a
            segment ``.`` or ``..`` and for control characters but tab and the ends of lines.
    """
    require_key_size(len(_utf_8(key)))
    _require_literal("key", key, _SEGMENT.split(key))


def require_key_size(size: int) -> None:
    """Return if a key may have this many bytes, or at least this many.

    Raises:
        S3Error: KeyTooLongError.
    """
    if size > MAX_KEY_BYTES:
        code, msg = "KeyTooLongError", "Your key is too long"
        raise S3Error(code, msg, details={"Size": str(size), "MaxSizeAllowed": str(MAX_KEY_BYTES)})


def require_prefix(name: str, value: str) -> None:
    """Return if keys may begin with this. Its last segment is not whole: ``a/..`` is also the beginning of ``a/..b``.

    Raises:
        S3Error: InvalidURI or InvalidArgument, as ``require_key``.
    """
    _require_literal(name, value, _SEGMENT.split(value)[:-1])


def _utf_8(value: str) -> bytes:
    """Return the bytes of a name as the store gets it. What is decoded with an error handler may have none."""
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise S3Error("InvalidURI", "Couldn't parse the specified URI.") from None


def _require_literal(name: str, value: str, segments: list[str]) -> None:
    _utf_8(value)
    if _CONTROL.search(value):
        refuse_argument(f"The {name} must not hold control characters", name, "")
    if not _DOTS.isdisjoint(segments):
        refuse_argument(f"The {name} must not have a segment that is . or ..", name, value)


def is_id(text: str) -> bool:
    """Return whether a store may have given this out as an id of a version or an upload; some use them as paths."""
    return 0 < len(text) <= MAX_ID_CHARACTERS and text not in _DOTS and _NOT_IN_AN_ID.search(text) is None


def require_version_id(name: str, value: str) -> None:
    """Return if a version may have this id; "" names none.

    Raises:
        S3Error: InvalidArgument.
    """
    if value and not is_id(value):
        refuse_argument("Invalid version id specified", name, value)


def parse_copy_source(text: str) -> CopySource:
    """Read ``/BUCKET/KEY?versionId=ID``, percent-encoded, the first slash optional, an empty version id none.

    Raises:
        S3Error: InvalidArgument, as it is malformed; NotImplemented for an access point.
    """
    if text.startswith("arn:"):
        raise S3Error("NotImplemented", "Copying from an access point is not implemented.")
    if _UNTOLD_BLANKS.search(text):
        refuse_argument("Copy Source must have its blanks percent-encoded", "x-amz-copy-source", text)
    path, _, raw_version_id = text.partition("?versionId=")
    try:
        # Many clients encode the slash after the bucket as well, and some the one before it.
        bucket, _, key = decode_text(path).removeprefix("/").partition("/")
        version_id = decode_text(raw_version_id)
    except S3Error:
        bucket = key = version_id = ""
    if not key or not is_bucket(bucket):
        msg = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
        refuse_argument(msg, "x-amz-copy-source", text)
    require_key(key)
    require_version_id("x-amz-copy-source", version_id)
    return CopySource(bucket, key, version_id)


def refuse_argument(message: str, name: str, value: str) -> NoReturn:
    """Refuse a parameter, a header or a field.

    Raises:
        S3Error: InvalidArgument.
    """
    code = "InvalidArgument"
    raise S3Error(code, message, details={"ArgumentName": name, "ArgumentValue": value[:1024]})
