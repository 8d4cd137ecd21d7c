"""Looking for one object that was sealed under a policy: whether a policy without a keyring is new, or has lost it.

A few requests to the store, made only where the proxy's own bucket has no record of the policy. What a header says is
not authentic, so a store can hide an object from this or make one up: it can keep the proxy from sealing, as it can
anyway, and cannot have it seal under a key that is not configured.
"""

from collections.abc import AsyncIterator
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Final

from s3proxy.keys.evidence import Fits
from s3proxy.keys.policies import Policy
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.names import is_bucket
from s3proxy.s3api.sent import ENTRY_HEADER
from s3proxy.s3api.xml_read import parse_document
from s3proxy.store.client import Store, StoreRequest, read_all
from s3proxy.store.errors import store_error
from s3proxy.store.listing import list_objects
from strongroom.errors import IntegrityError, StrongroomError, UnavailableError
from strongroom.sealed.entry import parse_entry
from strongroom.sealed.header import Header

_MAX_BUCKETS: Final = 16
_MAX_OBJECTS: Final = 8  # of a bucket and prefix
_MAX_PAGE_BYTES: Final = 6 << 20
_WILD: Final = frozenset("*?[")


class Sampler:
    """Looks for objects of a policy."""

    def __init__(self, store: Store, *, hidden_bucket: str) -> None:
        """Take the store, and the proxy's own bucket, which has no objects of clients."""
        self._store = store
        self._hidden_bucket = hidden_bucket

    async def find(self, policy: Policy, *, fits: Fits | None = None) -> tuple[str, Header] | None:
        """Return the name and the header of an object that was sealed under a policy, None if there seems to be none.

        Args:
            policy: under its present name.
            fits: whether an object is one that is looked for, by its header; without it each is.

        Raises:
            StrongroomError: the store cannot be reached, or refuses.
        """
        for bucket in await self._buckets(policy):
            for prefix in policy.prefixes:
                async for key in self._some(bucket, prefix):
                    header = await self._header(bucket, key)
                    if header is None or header.policy != policy.name:
                        continue
                    if fits is None or await fits(header):
                        return f"{bucket}/{key}", header
        return None

    async def _buckets(self, policy: Policy) -> list[str]:
        literal = [bucket for bucket in policy.buckets if not _WILD & set(bucket)]
        if len(literal) == len(policy.buckets):
            return literal[:_MAX_BUCKETS]
        async with self._store.exchange(StoreRequest(method="GET")) as response:
            if response.status != HTTPStatus.OK:
                raise _refusal(await store_error(response))
            page = parse_document(await read_all(response, _MAX_PAGE_BYTES), root="ListAllMyBucketsResult")
        listed = [bucket.get("Name") or "" for buckets in page.all("Buckets") for bucket in buckets.all("Bucket")]
        names = [name for name in listed if is_bucket(name)]  # others have any length, and are asked for, and told
        fits = (any(fnmatchcase(name, pattern) for pattern in policy.buckets) for name in names)
        found = [name for name, fit in zip(names, fits, strict=True) if fit and name != self._hidden_bucket]
        return found[:_MAX_BUCKETS]

    async def _some(self, bucket: str, prefix: str) -> AsyncIterator[str]:
        left = _MAX_OBJECTS
        try:
            async for listed in list_objects(self._store, bucket, prefix=prefix):
                if not left:
                    return
                left -= 1
                yield listed.key
        except S3Error as error:
            if error.code != "NoSuchBucket":
                raise _refusal(error) from None

    async def _header(self, bucket: str, key: str) -> Header | None:
        try:
            async with self._store.exchange(StoreRequest(method="HEAD", bucket=bucket, key=key)) as response:
                if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise _refusal(await store_error(response))
                entry = response.headers.get(ENTRY_HEADER) if response.status == HTTPStatus.OK else None
        except S3Error as error:
            if error.code != "NoSuchKey":  # a directory that only holds others, or a name that the store changes
                raise
            return None
        try:
            return parse_entry(entry).header
        except IntegrityError:
            return None


def _refusal(error: S3Error) -> StrongroomError:
    """Return what the store refuses, or that it cannot tell now: then there may be an object all the same."""
    if error.status < HTTPStatus.INTERNAL_SERVER_ERROR or error.status == HTTPStatus.NOT_IMPLEMENTED:
        return error
    msg = f"the store answers {error.status} {error.code}: {error.message}"
    return UnavailableError(msg, hint=error.hint or "see the log of the store")
