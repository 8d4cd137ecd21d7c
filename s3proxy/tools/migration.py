"""Sealing what is in a bucket as plaintext, object by object, while clients go on reading and writing.

An object is read, sealed, and put in its own place if it is still the one that was read (If-Match). Headers, user
metadata and tags are kept; the time of the last change is new. What is sealed already is left, so a run that was broken
off is simply begun again.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from s3proxy.exchange.outgoing import PlainBody
from s3proxy.keys.kek import KeyNotAvailableError
from s3proxy.keys.policies import EtagMode, Mode, Policy
from s3proxy.operations.put import MAX_WHOLE_BYTES, ObjectWriter
from s3proxy.s3api.documents import parse_tagging
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.object_headers import META, answer_headers
from s3proxy.storage import Storage
from s3proxy.store.answers import OddAnswerError, stored_bytes_of
from s3proxy.store.client import StoreRequest, read_all
from s3proxy.store.errors import store_error
from s3proxy.store.listing import StoredName, for_each, list_objects
from s3proxy.stored.open import is_plaintext
from s3proxy.stored.read import Name
from strongroom.errors import ConfigError, PeerError, StrongroomError, UnavailableError
from strongroom.sealed.digests import Checksum, Digests

_AT_ONCE: Final = 4
_MAX_TAGS_BYTES: Final = 1 << 16
_KEPT: Final = (
    "cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires",
    "x-amz-storage-class", "x-amz-website-redirect-location",
)  # fmt: skip
THROUGH_PROXY: Final = "`aws s3 cp s3://BUCKET/KEY s3://BUCKET/KEY` through the proxy does that"


@dataclass
class MigrationReport:
    """How far it is.

    Attributes:
        sealed: objects that were sealed before.
        done: objects that were sealed now; in a dry run: that would be.
        left: why others are still plaintext, by key.
    """

    sealed: int = 0
    done: int = 0
    left: dict[str, str] = field(default_factory=dict)

    @property
    def seen(self) -> int:
        """How many objects were looked at."""
        return self.sealed + self.done + len(self.left)


class Migration:
    """Seals one bucket."""

    def __init__(
        self,
        storage: Storage,
        bucket: str,
        *,
        buffered_bytes: int,
        dry_run: bool,
        progress: Callable[[MigrationReport], None] = lambda _: None,
    ) -> None:
        """Take the bucket, and who is told after each object."""
        self._storage = storage
        self._bucket = bucket
        self._dry_run = dry_run
        self._progress = progress
        self._writer = ObjectWriter(storage.objects, buffered_bytes)
        self.report = MigrationReport()

    async def run(self, *, prefix: str = "") -> MigrationReport:
        """Seal every object that is plaintext.

        Raises:
            ConfigError: the store does not decide conditions of writes: what a client writes meanwhile would be lost.
            UnavailableError: store or KMS are away; what was done is done.
            KeyNotAvailableError: nothing may be sealed under a policy now.
            StrongroomError: the store refuses to list the bucket.
        """
        if not self._dry_run and not self._storage.capabilities.decides_conditions():
            msg = "the store does not decide conditions of writes, so an object written meanwhile could be lost"
            raise ConfigError(
                msg,
                hint="stop all writers, and give --store-conditional-writes yes to this command, never to the proxy",
            )
        await for_each(list_objects(self._storage.store, self._bucket, prefix=prefix), self._one, at_once=_AT_ONCE)
        return self.report

    async def _one(self, listed: StoredName) -> None:
        try:
            await self._seal(Name(self._bucket, listed.key))
        except (UnavailableError, KeyNotAvailableError):
            raise
        except StrongroomError as error:
            code = error.code if isinstance(error, S3Error) else ""
            if code == "PreconditionFailed":
                self.report.left[listed.key] = "it was changed meanwhile"
            elif code != "NoSuchKey":  # deleted meanwhile
                self.report.left[listed.key] = error.message
        self._progress(self.report)

    async def _seal(self, name: Name) -> None:
        """Seal one object if it is plaintext.

        Raises:
            StrongroomError: it cannot be, or was changed meanwhile.
        """
        policy = self._policy_of(name, hint='set mode = "migrate" for it in policy.toml first')
        request = StoreRequest(method="GET", bucket=name.bucket, key=name.key)
        async with self._storage.store.exchange(request) as response:
            if response.status != HTTPStatus.OK:
                raise await store_error(response)
            if not is_plaintext(response.headers):
                self.report.sealed += 1
                return
            size = stored_bytes_of(response.headers)
            require_one_request(size)
            if not self._dry_run:
                told = answer_headers(response.headers)
                headers = kept_of(told)
                headers |= await self._tags(name) | {"if-match": response.headers.get("ETag", "")}
                body = Body(response.content.iter_any(), size, want_md5=policy.etag is EtagMode.MD5)
                await self._writer.write(name, policy, headers, PlainBody(size, body.pieces(), body.finish))
        self.report.done += 1

    def _policy_of(self, name: Name, *, hint: str) -> Policy:
        """Return the policy that a name is sealed under.

        Raises:
            ConfigError: it is not to be sealed.
        """
        policy = self._storage.policies.require(name.bucket, name.key)
        if policy.mode is Mode.PASSTHROUGH:
            raise ConfigError(f"policy {policy.name} passes this name through", hint=hint)
        return policy

    async def _tags(self, name: Name) -> dict[str, str]:
        query = (("tagging", ""),)
        request = StoreRequest(method="GET", bucket=name.bucket, key=name.key, query=query)
        async with self._storage.store.exchange(request) as response:
            if response.status in {HTTPStatus.NOT_FOUND, HTTPStatus.NOT_IMPLEMENTED}:
                return {}
            if response.status != HTTPStatus.OK:
                raise await store_error(response)
            tags = parse_tagging(await read_all(response, _MAX_TAGS_BYTES))
        return {"x-amz-tagging": urlencode(tags)} if tags else {}


def kept_of(told: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of an answer that are kept with an object that is sealed where it stands."""
    return {key: value for key, value in told.items() if key in _KEPT or key.startswith(META)}


def require_one_request(size: int) -> None:
    """Return if a plaintext of this many bytes can be put in its place by one request.

    Raises:
        PeerError: it is larger.
    """
    if size > MAX_WHOLE_BYTES:
        msg = f"{size} bytes are more than one request can store; copy it through the proxy in parts"
        raise PeerError(msg, hint=THROUGH_PROXY)


class Body:
    """A plaintext as it is read: its length is checked, and its MD5 taken if ETags are that."""

    def __init__(
        self,
        source: AsyncIterator[bytes | memoryview],
        size: int,
        *,
        want_md5: bool,
        checksum: Checksum | None = None,
    ) -> None:
        """Take it, and the checksum that it had."""
        self._source = source
        self._left = size
        self._checksum = checksum
        self._md5 = hashlib.md5(usedforsecurity=False) if want_md5 else None

    async def pieces(self) -> AsyncIterator[memoryview]:
        """Give it."""
        async for data in self._source:
            self._left -= len(data)
            if self._md5 is not None:
                self._md5.update(data)
            yield memoryview(data)

    def finish(self) -> Digests:
        """Return its digests, once it has been given.

        Raises:
            OddAnswerError: it has another length than was announced.
        """
        if self._left:
            raise OddAnswerError("the store sent another length than it announced")
        return Digests(self._md5.digest() if self._md5 else None, self._checksum)
