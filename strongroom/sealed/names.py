"""Tags that stand for names in sealed objects: of an object, of an upload, and the names of policies."""

import hashlib
import re
from typing import Final

POLICY_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}", re.ASCII)


def name_tag(bucket: str, key: str) -> bytes:
    """Return the 32 bytes that bind an entry or a manifest to a name."""
    return _digest(b"seg1/name", bucket, key)


def upload_tag(bucket: str, key: str, upload_id: str) -> bytes:
    """Return the 16-byte object id of all parts of an upload and of its manifest.

    Args:
        bucket: name of the bucket.
        key: name of the object.
        upload_id: as the store gave it to CreateMultipartUpload.
    """
    return _digest(b"seg1/upload", bucket, key, upload_id)[:16]


def _digest(label: bytes, *names: str) -> bytes:
    # Surrogates stand for bytes of a request path that are not UTF-8; they are tagged as those bytes.
    return hashlib.sha256(b"\0".join((label, *(name.encode("utf-8", "surrogateescape") for name in names)))).digest()
