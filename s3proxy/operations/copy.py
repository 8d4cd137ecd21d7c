"""CopyObject: by the store where the seal allows it, else through the proxy.

Names are bound in metadata only, so under one policy the store copies the bytes and the proxy gives them another entry.
Between policies, from plaintext, or for a checksum that nobody has computed yet, the plaintext is read and sealed anew.
"""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, NoReturn
from urllib.parse import urlencode

from s3proxy.exchange.incoming import XML_TYPE, Incoming
from s3proxy.exchange.outgoing import PlainBody
from s3proxy.keys.policies import EtagMode, Mode, Policies, Policy
from s3proxy.operations.multipart.copy import copy_multipart
from s3proxy.operations.multipart.upload import parse_answer
from s3proxy.operations.passthrough import pass_on
from s3proxy.operations.put import ObjectWriter
from s3proxy.s3api.checksums import checksum_nodes, parse_algorithm, running
from s3proxy.s3api.documents import parse_tagging
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.names import copy_source_header
from s3proxy.s3api.object_headers import object_headers, passed_back, replaced_headers, require_metadata_room
from s3proxy.s3api.operations import Call
from s3proxy.s3api.sent import ENTRY_HEADER
from s3proxy.s3api.xml_write import node, to_xml
from s3proxy.store.client import Store, StoreRequest, read_all
from s3proxy.store.errors import error_in, store_error
from s3proxy.stored import fresh
from s3proxy.stored.conditions import conditions_of_write
from s3proxy.stored.etags import bare_etag, etag_of, opaque_etag
from s3proxy.stored.multipart import MultipartReader
from s3proxy.stored.open import Name, ObjectFinder, SealedObject, UnsealedObject
from s3proxy.stored.source import Source, SourceReader, require_unsealed
from strongroom.sealed.attributes import Attributes
from strongroom.sealed.digests import Checksum, ChecksumAlgorithm, Digests

_MAX_RESULT_BYTES: Final = 1 << 16
COPY, REPLACE = "COPY", "REPLACE"
# What makes a copy of an object onto itself a change of it.
_CHANGING: Final = (
    "x-amz-storage-class", "x-amz-website-redirect-location", "x-amz-checksum-algorithm", "x-amz-object-lock-mode",
)  # fmt: skip


@dataclass(frozen=True)
class CopyRequest:
    """What a client wants of a copy.

    Attributes:
        name: where it is to stand.
        policy: that this name is under.
        metadata: COPY or REPLACE.
        tagging: COPY or REPLACE.
        algorithm: of a checksum that is to be computed, or None.
    """

    name: Name
    policy: Policy
    metadata: str
    tagging: str
    algorithm: ChecksumAlgorithm | None


@dataclass(frozen=True)
class Copied:
    """A copy that the store has."""

    etag: str
    digests: Digests
    last_modified: str
    headers: dict[str, str]


class ObjectCopier:
    """Copies objects."""

    def __init__(  # noqa: PLR0913 - what reads and writes objects of all kinds
        self,
        store: Store,
        policies: Policies,
        *,
        finder: ObjectFinder,
        sources: SourceReader,
        multipart: MultipartReader,
        writer: ObjectWriter,
    ) -> None:
        """Take the store, what is sealed, and what reads and writes objects."""
        self._multipart = multipart
        self._store = store
        self._policies = policies
        self._finder = finder
        self._sources = sources
        self._writer = writer

    async def serve(self, incoming: Incoming) -> None:
        """Serve CopyObject.

        Raises:
            StrongroomError: it is refused, here or by the store.
        """
        head, call = incoming.head, incoming.call
        policy = self._policies.require(call.bucket, call.key)
        wanted = read_copy_request(head, Name(call.bucket, call.key), policy)
        source = await self._sources.open(call, head)
        if policy.mode is Mode.PASSTHROUGH:
            require_unsealed(source)
            await pass_on(incoming, self._store)
            return
        require_change(head, source, wanted)
        headers = self._kept(call, source, wanted)
        require_metadata_room(headers)
        conditions = await conditions_of_write(head, wanted.name, policy, self._finder)
        copied = await self._copy(source, wanted, headers, conditions)
        result = [node("LastModified", copied.last_modified), node("ETag", copied.etag)]
        if copied.digests.checksum is not None:
            result += checksum_nodes(copied.digests.checksum)
        answered = copied.headers | {"content-type": XML_TYPE}
        if version := source.found.store_headers.get("x-amz-version-id"):
            answered["x-amz-copy-source-version-id"] = version
        await incoming.respond(HTTPStatus.OK, answered, to_xml(node("CopyObjectResult", *result)))

    def _kept(self, call: Call, source: Source, wanted: CopyRequest) -> dict[str, str]:
        """Return what is kept with the copy, but its tags if those of the source are."""
        headers = object_headers(call.headers)
        if wanted.metadata == COPY:
            headers = replaced_headers(headers, source.found.store_headers)
        if wanted.tagging == COPY:
            headers.pop("x-amz-tagging", None)
        return headers

    async def _copy(
        self, source: Source, wanted: CopyRequest, headers: dict[str, str], conditions: dict[str, str]
    ) -> Copied:
        found = source.found
        if isinstance(found, SealedObject) and found.segment.header.policy == wanted.policy.name:
            if found.is_multipart and wanted.algorithm is None:
                return await self._copy_parts(source.name, found, wanted, headers, conditions)
            if not found.is_multipart:
                digests = await self._finder.digests(source.name, found)
                checksum = digests.checksum
                if wanted.algorithm is None or (checksum is not None and checksum.algorithm is wanted.algorithm):
                    return await self._copy_whole(source.name, found, digests, wanted, headers | conditions)
        return await self._seal_anew(source, wanted, headers | conditions)

    async def _copy_parts(
        self,
        source: Name,
        found: SealedObject,
        wanted: CopyRequest,
        headers: dict[str, str],
        conditions: dict[str, str],
    ) -> Copied:
        """Have the store copy the parts of a multipart object."""
        if wanted.tagging == COPY:
            headers |= await self._tags(source)
        digests = (await self._multipart.manifest(source, found))[1].digests
        copied = await copy_multipart(
            self._store,
            self._multipart,
            source=source,
            found=found,
            target=wanted.name,
            headers=headers,
            attributes=Attributes(found.attributes.digests) if wanted.metadata == REPLACE else None,
            conditions=conditions,
        )
        return Copied(opaque_etag(copied.etag), digests, _now(), copied.headers)

    async def _copy_whole(
        self, source: Name, found: SealedObject, digests: Digests, wanted: CopyRequest, headers: dict[str, str]
    ) -> Copied:
        """Have the store copy the bytes of a whole object, under an entry for the new name."""
        attributes = Attributes(digests, found.attributes.metadata if wanted.metadata == COPY else None)
        entry = fresh.entry(found.segment, attributes, bucket=wanted.name.bucket, key=wanted.name.key)
        own = {
            ENTRY_HEADER: entry,
            "x-amz-copy-source": copy_source_header(source.bucket, source.key, source.version_id),
            "x-amz-copy-source-if-match": f'"{found.store_etag}"',
            "x-amz-metadata-directive": REPLACE,
            "x-amz-tagging-directive": wanted.tagging,
        }
        request = StoreRequest(method="PUT", bucket=wanted.name.bucket, key=wanted.name.key, headers=headers | own)
        async with self._store.exchange(request) as response:
            if response.status != HTTPStatus.OK:
                raise await store_error(response)
            answered = passed_back(response.headers)
            raw = await read_all(response, _MAX_RESULT_BYTES)
        if b"<Error>" in raw:  # S3 may find out after it has said 200
            raise error_in(raw, response.status)
        result = parse_answer(raw, "CopyObjectResult")
        answered.pop("etag", None)
        store_etag = bare_etag(result.get("ETag") or "")
        store_etag = store_etag or await self._finder.written_etag(wanted.name, found.segment, answered)
        etag = etag_of(wanted.policy, digests, store_etag)
        return Copied(etag, digests, result.get("LastModified") or _now(), answered)

    async def _seal_anew(self, source: Source, wanted: CopyRequest, headers: dict[str, str]) -> Copied:
        if wanted.tagging == COPY:
            headers |= await self._tags(source.name)
        plain = await self._plain(source, wanted)
        written = await self._writer.write(wanted.name, wanted.policy, headers, plain)
        answered = {name: value for name, value in written.headers.items() if name != "ETag"}
        return Copied(written.etag, written.digests, _now(), answered)

    async def _plain(self, source: Source, wanted: CopyRequest) -> PlainBody:
        """Return the plaintext of a source, with the digests that the copy is to have."""
        md5 = hashlib.md5(usedforsecurity=False) if wanted.policy.etag is EtagMode.MD5 else None
        known = await self._known_checksum(source)
        summing = running(wanted.algorithm) if wanted.algorithm is not None else None

        async def pieces() -> AsyncIterator[memoryview]:
            async for piece in self._sources.pieces(source, 0, source.plaintext_bytes - 1):
                for one in (md5, summing):
                    if one is not None:
                        one.update(piece)
                yield piece

        def finish() -> Digests:
            checksum = known
            if summing is not None and wanted.algorithm is not None:
                checksum = Checksum(wanted.algorithm, summing.digest())
            return Digests(md5.digest() if md5 else None, checksum)

        return PlainBody(source.plaintext_bytes, pieces(), finish)

    async def _known_checksum(self, source: Source) -> Checksum | None:
        """Return the checksum that a copy keeps: that of a whole object."""
        if isinstance(source.found, UnsealedObject) or source.found.is_multipart:
            return None
        return (await self._finder.digests(source.name, source.found)).checksum

    async def _tags(self, name: Name) -> dict[str, str]:
        """Return the header that gives an object the tags of another."""
        query = (("tagging", ""), *name.query)
        async with self._store.exchange(
            StoreRequest(method="GET", bucket=name.bucket, key=name.key, query=query)
        ) as response:
            if response.status != HTTPStatus.OK:
                error = await store_error(response)
                if error.code in {"NoSuchTagSet", "NotImplemented"}:
                    return {}
                raise error
            tags = parse_tagging(await read_all(response, _MAX_RESULT_BYTES))
        return {"x-amz-tagging": urlencode(tags)} if tags else {}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def read_copy_request(head: RequestHead, name: Name, policy: Policy) -> CopyRequest:
    """Read what a request wants.

    Raises:
        S3Error: InvalidArgument for an unknown directive, InvalidRequest for an unknown checksum algorithm.
    """
    text = head.header("x-amz-checksum-algorithm")
    return CopyRequest(
        name,
        policy,
        _directive(head, "x-amz-metadata-directive"),
        _directive(head, "x-amz-tagging-directive"),
        parse_algorithm(text) if text else None,
    )


def _directive(head: RequestHead, header: str) -> str:
    value = head.header(header).upper() or COPY
    if value not in {COPY, REPLACE}:
        code, msg = "InvalidArgument", f"Unknown {header}."
        raise S3Error(code, msg, details={"ArgumentName": header, "ArgumentValue": head.header(header)[:100]})
    return value


def require_change(head: RequestHead, source: Source, wanted: CopyRequest) -> None:
    """Return unless an object would be copied onto itself as it is. Plaintext is sealed by that.

    Raises:
        S3Error: InvalidRequest.
    """
    same = (source.name.bucket, source.name.key) == (wanted.name.bucket, wanted.name.key) and not source.name.version_id
    changes = REPLACE in {wanted.metadata, wanted.tagging} or any(head.has(name) for name in _CHANGING)
    if same and not changes and isinstance(source.found, SealedObject):
        _refuse(
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes."
        )


def _refuse(message: str) -> NoReturn:
    code = "InvalidRequest"
    raise S3Error(code, message)
