"""Digests of whole objects that were lately written or read, and the ETags that they make."""

from collections import OrderedDict
from typing import Final

from s3proxy.keys.policies import EtagMode, Policy
from strongroom.sealed.digests import Digests
from strongroom.sealed.segment import Segment

NO_MD5: Final = {"x-amz-server-side-encryption": "aws:kms"}  # clients know that ETags of S3's SSE-KMS are no MD5s


class KnownDigests:
    """Digests of objects that were lately written or read, by the commitment of their header."""

    def __init__(self, limit: int = 10_000) -> None:
        """Keep so many."""
        self._limit = limit
        self._known: OrderedDict[bytes, Digests] = OrderedDict()

    def find(self, segment: Segment) -> Digests | None:
        """Return the digests of a whole object, if they are known."""
        return self._known.get(segment.raw[-32:])

    def keep(self, segment: Segment, digests: Digests) -> None:
        """Keep the digests of a whole object."""
        self._known[segment.raw[-32:]] = digests
        while len(self._known) > self._limit:
            self._known.popitem(last=False)


def etag_of(policy: Policy, digests: Digests | None, store_etag: str) -> str:
    """Return the ETag that clients see of a whole object, with quotes."""
    if policy.etag is EtagMode.MD5 and digests is not None and digests.md5 is not None:
        return f'"{digests.md5.hex()}"'
    return '"' + store_etag.strip('"') + '"'


def seal_headers(policy: Policy) -> dict[str, str]:
    """Return what tells clients not to take the ETag of a whole object for an MD5, where it is none."""
    return dict(NO_MD5) if policy.etag is EtagMode.OPAQUE else {}


def listed_etag(policy: Policy, store_etag: str) -> str:
    """Return the ETag that listings show of a sealed object, with quotes.

    A listing knows the store's ETag only. Of a whole object that has the shape of an MD5 and is not the MD5 of what the
    client sees, so it gets the shape of a multipart ETag, which no client compares with an MD5.
    """
    etag = store_etag.strip('"')
    return f'"{etag}"' if "-" in etag or policy.etag is EtagMode.OPAQUE else f'"{etag}-1"'
