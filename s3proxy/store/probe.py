"""Finding out what the store can do, with small objects and a small upload in the proxy's own bucket.

Each question is asked by itself. Only an answer that says yes or no counts: after an error, a timeout or nonsense the
capability stays unknown, and the question is asked again.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.xml_read import parse_document
from s3proxy.s3api.xml_write import node, to_xml
from s3proxy.store.capabilities import ALL_TITLES, SHAPES, Capabilities
from s3proxy.store.client import Store, StoreRequest, read_all
from s3proxy.store.errors import store_error
from s3proxy.store.framing import TRAILER
from s3proxy.store.listing import list_objects
from s3proxy.store.settings import Known, StoreSettings
from s3proxy.store.system_bucket import SystemBucket
from strongroom.errors import PeerError, StrongroomError

_PREFIX: Final = "probe/"
_CONTENT: Final = b"probe"
_META: Final = "x-amz-meta-probe"
_MAX_BYTES: Final = 1 << 16
_MAX_LISTED: Final = 1000  # about twenty are written
_OTHER_ETAG: Final = '"00000000000000000000000000000000"'
_SAID: Final = {Known.YES: True, Known.NO: False, Known.AUTO: None}
_WRONG: Final = "AAAAAAAAAAA="


def said_by(settings: StoreSettings) -> Capabilities:
    """Return what settings say of the store; it is not asked for."""
    names = {Known.YES: frozenset[str](), Known.NO: ALL_TITLES, Known.AUTO: None}
    return Capabilities(
        part_counts=_SAID[settings.part_counts],
        conditional_writes=_SAID[settings.conditional_writes],
        slash_content=_SAID[settings.slash_content],
        checksums=_SAID[settings.checksums],
        changed_names=names[settings.keeps_names],
    )


class StoreProbe:
    """Asks the store what is not known of it."""

    def __init__(self, store: Store, bucket: SystemBucket) -> None:
        """Take the store, and where to try."""
        self._store = store
        self._bucket = bucket

    async def ask(
        self, known: Capabilities, note: Callable[[Capabilities], None] = lambda _: None
    ) -> StrongroomError | None:
        """Ask for what is not known, and tell after each answer what is known by then.

        Returns:
            Why something is still not known, None if all is.
        """
        if known.are_known:
            return None
        place = f"{_PREFIX}{secrets.token_hex(8)}/"
        questions: dict[str, Callable[[str], Awaitable[object]]] = {
            "part_counts": self._counts_parts,
            "conditional_writes": self._decides_conditions,
            "slash_content": self._keeps_slash_content,
            "checksums": self._verifies_checksums,
            "changed_names": self._changed_names,
        }
        left: StrongroomError | None = None
        try:
            await self._bucket.put(f"{place}bucket", _CONTENT)  # makes the bucket, if there is none
        except StrongroomError as error:
            return error
        for name, question in questions.items():
            if getattr(known, name) is not None:
                continue
            try:
                known = replace(known, **{name: await question(place)})  # type: ignore[arg-type]  # each as its field
            except StrongroomError as error:
                left = error
            note(known)
        await self._clean(place)
        return left

    async def _decides_conditions(self, place: str) -> bool:
        """Return whether writes whose conditions do not hold are refused."""
        key = f"{place}conditions"
        await self._put(key)
        return await self._refuses(key, {"if-none-match": "*"}) and await self._refuses(key, {"if-match": _OTHER_ETAG})

    async def _refuses(self, key: str, headers: dict[str, str]) -> bool:
        """Return whether a write is refused by its condition; a store that ignores conditions is no better.

        Raises:
            StrongroomError: the answer says neither yes nor no.
        """
        request = StoreRequest(method="PUT", bucket=self._bucket.name, key=key, headers=headers, body=_CONTENT)
        async with self._store.exchange(request) as response:
            if response.status == HTTPStatus.PRECONDITION_FAILED:
                return True
            if response.status in {HTTPStatus.OK, HTTPStatus.NOT_IMPLEMENTED}:
                return False
            raise await store_error(response)

    async def _counts_parts(self, place: str) -> bool:
        """Return whether the ETag of an upload of one part ends in -1."""
        return (await self._upload(f"{place}upload", stream=False)).endswith("-1")

    async def _upload(self, key: str, *, stream: bool) -> str:
        """Upload an object of one part, with a checksum behind it if it is a stream; return its ETag."""
        bucket = self._bucket.name
        begin = StoreRequest(
            method="POST", bucket=bucket, key=key, query=(("uploads", ""),), has_checksum=stream or None
        )
        _, begun = await self._exchange(begin)
        upload_id = parse_document(begun, root="InitiateMultipartUploadResult").require("UploadId")
        query = (("partNumber", "1"), ("uploadId", upload_id))
        part = StoreRequest(method="PUT", bucket=bucket, key=key, query=query, body=_CONTENT)
        if stream:
            part = replace(part, body=_pieces(), length=len(_CONTENT), has_checksum=True)
        etag, _ = await self._exchange(part)
        document = to_xml(node("CompleteMultipartUpload", node("Part", node("PartNumber", "1"), node("ETag", etag))))
        end = StoreRequest(method="POST", bucket=bucket, key=key, query=(("uploadId", upload_id),), body=document)
        _, answer = await self._exchange(end)
        return (parse_document(answer, root="CompleteMultipartUploadResult").get("ETag") or "").strip('"')

    async def _keeps_slash_content(self, place: str) -> bool:
        """Return whether content and metadata of a key that ends in a slash are there afterwards."""
        key = f"{place}folder/"
        if not await self._put(key, {_META: "1"}):
            return False
        request = StoreRequest(method="HEAD", bucket=self._bucket.name, key=key, is_trial=True)
        async with self._store.exchange(request) as response:
            if response.status == HTTPStatus.NOT_FOUND:
                return False
            if response.status != HTTPStatus.OK:
                raise await store_error(response)
            return _META in response.headers and response.headers.get("Content-Length") == str(len(_CONTENT))

    async def _verifies_checksums(self, place: str) -> bool:
        """Return whether a wrong checksum is refused, and one behind a stream is taken and leaves the content alone."""
        key, bucket = f"{place}checksum", self._bucket.name
        wrong = StoreRequest(method="PUT", bucket=bucket, key=key, headers={TRAILER: _WRONG}, body=_CONTENT)
        async with self._store.exchange(wrong) as response:
            if response.status in {HTTPStatus.OK, HTTPStatus.NOT_IMPLEMENTED}:
                return False
            if response.status != HTTPStatus.BAD_REQUEST:
                raise await store_error(response)
        try:
            await self._upload(key, stream=True)
        except S3Error as error:
            if error.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_IMPLEMENTED}:
                return False
            raise
        return (await self._exchange(StoreRequest(method="GET", bucket=bucket, key=key)))[1] == _CONTENT

    async def _changed_names(self, place: str) -> frozenset[str]:
        """Return the shapes of names that are not listed as they were written."""
        plain = f"{place}plain"
        samples = {shape.title: shape.sample.format(place) for shape in SHAPES}
        await asyncio.gather(*(self._put(key) for key in (plain, *samples.values())))
        listed = await self._listed(place) | await self._listed(f"/{place}")
        if plain not in listed:
            msg = "the store does not list what was just written"
            raise PeerError(msg, hint="say with store_keeps_names whether it keeps all names as they are")
        return frozenset(title for title, key in samples.items() if key not in listed)

    async def _listed(self, prefix: str) -> set[str]:
        listed: list[str] = []  # a list may name one again and again
        async for item in list_objects(self._store, self._bucket.name, prefix=prefix):
            listed.append(item.key)
            if len(listed) > _MAX_LISTED:
                msg = "the store lists more than was written"
                raise PeerError(msg, hint="say with store_keeps_names whether it keeps all names as they are")
        return set(listed)

    async def _put(self, key: str, headers: dict[str, str] | None = None) -> bool:
        """Write, and return whether the store has taken it.

        Raises:
            StrongroomError: it says neither that it has nor that it does not want to.
        """
        request = StoreRequest(
            method="PUT", bucket=self._bucket.name, key=key, headers=headers, body=_CONTENT, is_trial=True
        )
        async with self._store.exchange(request) as response:
            if response.status == HTTPStatus.OK:
                return True
            if response.status == HTTPStatus.BAD_REQUEST:
                return False
            raise await store_error(response)

    async def _exchange(self, request: StoreRequest) -> tuple[str, bytes]:
        """Return ETag and body of a good answer.

        Raises:
            StrongroomError: it is another one.
        """
        async with self._store.exchange(request) as response:
            if response.status != HTTPStatus.OK:
                raise await store_error(response)
            return response.headers.get("ETag", ""), await read_all(response, _MAX_BYTES)

    async def _clean(self, place: str) -> None:
        """Delete what was written, under whatever name the store has it."""
        try:
            names = {shape.sample.format(place) for shape in SHAPES} | await self._listed(place)
            for key in sorted(names | {f"{place}folder/"}):
                request = StoreRequest(method="DELETE", bucket=self._bucket.name, key=key, is_trial=True)
                async with self._store.exchange(request):
                    pass
        except StrongroomError:
            return  # a lifecycle rule on the proxy's own bucket takes what is left


async def _pieces() -> AsyncIterator[bytes]:
    yield _CONTENT
