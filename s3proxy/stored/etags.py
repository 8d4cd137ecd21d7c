"""The one ETag of an object, and of a part of an upload, wherever it is shown or compared (ADR 0019); its digests.

The store's ETag is the only one that every answer about an object has, listings included. Of a whole object it has the
shape of an MD5 and is that of ciphertext, so it gets ``-1`` behind it: the shape of a multipart ETag, which no client
compares with an MD5. Those of multipart objects have that shape already and are shown as they are.
"""

from s3proxy.keys.policies import EtagMode, Policy
from strongroom.sealed.digests import Digests
from strongroom.sealed.segment import Segment
from strongroom.service.lru import Lru

_NO_MD5 = "-1"


def bare_etag(text: str) -> str:
    """Return an ETag of the store without its quotes; "" for none.

    What compresses answers on their way makes weak ETags of strong ones (RFC 9110, section 8.8.3.3). They name the same
    object, of which every chunk is authenticated here.
    """
    return text.strip().removeprefix("W/").strip('"')


def opaque_etag(store_etag: str) -> str:
    """Return what clients see of an ETag of the store that is none of plaintext, with quotes.

    Args:
        store_etag: of a sealed object or a sealed part, with or without quotes.
    """
    etag = bare_etag(store_etag)
    return f'"{etag}"' if "-" in etag or not etag else f'"{etag}{_NO_MD5}"'


def etag_of(policy: Policy, digests: Digests | None, store_etag: str) -> str:
    """Return the ETag that clients see of a whole object, with quotes.

    Args:
        policy: that its name is under.
        digests: of its plaintext, as far as they are known. One that was sealed without an MD5 never gets one.
        store_etag: with or without quotes.
    """
    if policy.etag is EtagMode.MD5 and digests is not None and digests.md5 is not None:
        return f'"{digests.md5.hex()}"'
    return opaque_etag(store_etag)


class KnownDigests:
    """Digests of objects that were lately written or read, by the commitment of their header."""

    def __init__(self, limit: int = 10_000) -> None:
        """Keep at most ``limit`` of them."""
        self._known = Lru[bytes, Digests](limit)

    def find(self, segment: Segment) -> Digests | None:
        """Return the digests of a whole object, if they are known."""
        return self._known.get(segment.raw[-32:])

    def keep(self, segment: Segment, digests: Digests) -> None:
        """Keep the digests of a whole object."""
        self._known.keep(segment.raw[-32:], digests)
