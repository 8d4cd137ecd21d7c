"""CopyObject: by the store where the seal allows it, else through the proxy.

Names are bound in metadata only, so under one policy the store copies the bytes and the proxy gives them another entry.
Between policies, from plaintext, or for a checksum that nobody has computed yet, the plaintext is read and sealed anew.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, NoReturn
from urllib.parse import urlencode

from s3proxy.exchange.incoming import XML_TYPE, Incoming
from s3proxy.exchange.outgoing import PlainBody
from s3proxy.keys.policies import EtagMode, Mode, Policy
from s3proxy.operations.multipart.copy import Target, copy_multipart
from s3proxy.operations.passthrough import pass_on
from s3proxy.operations.put import ObjectWriter, Written
from s3proxy.s3api.checksums import RunningDigests, checksum_nodes, parse_algorithm
from s3proxy.s3api.documents import parse_tagging
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.names import copy_source_header
from s3proxy.s3api.object_headers import object_headers, passed_back, replaced_headers, require_metadata_room
from s3proxy.s3api.operations import Call
from s3proxy.s3api.sent import ENTRY_HEADER
from s3proxy.s3api.xml_write import node, to_xml
from s3proxy.store.client import StoreRequest, read_all
from s3proxy.store.errors import document_in, store_error
from s3proxy.stored import fresh
from s3proxy.stored.conditions import conditions_of_write
from s3proxy.stored.etags import bare_etag, etag_of, opaque_etag
from s3proxy.stored.multipart import MultipartObject
from s3proxy.stored.open import Objects
from s3proxy.stored.read import Name, StoredObject
from s3proxy.stored.source import open_source, require_unsealed
from s3proxy.stored.whole import SealedObject, WholeObject
from strongroom.sealed.attributes import Attributes
from strongroom.sealed.digests import ChecksumAlgorithm, Digests

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
        headers: what is kept with it; of tags that are those of the source nothing.
        conditions: of the write, for the store.
    """

    name: Name
    policy: Policy
    metadata: str
    tagging: str
    algorithm: ChecksumAlgorithm | None
    headers: Mapping[str, str] = field(default_factory=dict)
    conditions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Copied(Written):
    """A copy that the store has, whole or not; the ETag is not among its headers."""

    last_modified: str


@dataclass(frozen=True)
class ObjectCopier:
    """Copies objects; what is sealed anew has a writer."""

    objects: Objects
    writer: ObjectWriter

    async def serve(self, incoming: Incoming) -> None:
        """Serve CopyObject."""
        head, call = incoming.head, incoming.call
        policy = self.objects.policies.require(call.bucket, call.key)
        wanted = read_copy_request(head, Name(call.bucket, call.key), policy)
        source = await open_source(self.objects, call, head)
        if policy.mode is Mode.PASSTHROUGH:
            require_unsealed(source)
            await pass_on(incoming, self.objects.store)
            return
        require_change(head, source, wanted)
        headers = _kept(call, source, wanted)
        require_metadata_room(headers)
        conditions = await conditions_of_write(head, wanted.name, policy, self.objects.finder)
        copied = await self._copy(source, replace(wanted, headers=headers, conditions=conditions))
        result = [node("LastModified", copied.last_modified), node("ETag", copied.etag)]
        if copied.digests.checksum is not None:
            result += checksum_nodes(copied.digests.checksum)
        answered = copied.headers | {"content-type": XML_TYPE}
        if version := source.store_headers.get("x-amz-version-id"):
            answered["x-amz-copy-source-version-id"] = version
        await incoming.respond(HTTPStatus.OK, answered, to_xml(node("CopyObjectResult", *result)))

    async def _copy(self, source: StoredObject, wanted: CopyRequest) -> Copied:
        if isinstance(source, SealedObject) and source.segment.header.policy == wanted.policy.name:
            if isinstance(source, MultipartObject) and wanted.algorithm is None:
                return await self._copy_parts(source, wanted)
            if isinstance(source, WholeObject):
                checksum = (await source.digests()).checksum
                if wanted.algorithm is None or (checksum is not None and checksum.algorithm is wanted.algorithm):
                    return await self._copy_whole(source, wanted)
        return await self._seal_anew(source, wanted)

    async def _copy_parts(self, source: MultipartObject, wanted: CopyRequest) -> Copied:
        """Have the store copy the parts of a multipart object."""
        target = Target(
            wanted.name,
            await self._headers(source.name, wanted),
            Attributes(source.attributes.digests) if wanted.metadata == REPLACE else source.attributes,
            wanted.conditions,
        )
        etag, answered = await copy_multipart(self.objects.store, source, target)
        return Copied(opaque_etag(etag), await source.digests(), answered, _now())

    async def _copy_whole(self, source: WholeObject, wanted: CopyRequest) -> Copied:
        """Have the store copy the bytes of a whole object, under an entry for the new name."""
        name, digests = source.name, await source.digests()
        attributes = Attributes(digests, source.attributes.metadata if wanted.metadata == COPY else None)
        entry = fresh.entry(source.segment, attributes, bucket=wanted.name.bucket, key=wanted.name.key)
        own = {
            ENTRY_HEADER: entry,
            "x-amz-copy-source": copy_source_header(name.bucket, name.key, name.version_id),
            "x-amz-copy-source-if-match": f'"{source.store_etag}"',
            "x-amz-metadata-directive": REPLACE,
            "x-amz-tagging-directive": wanted.tagging,
        }
        headers = {**wanted.headers, **wanted.conditions, **own}
        request = StoreRequest(method="PUT", bucket=wanted.name.bucket, key=wanted.name.key, headers=headers)
        async with self.objects.store.exchange(request) as response:
            result = await document_in(response, "CopyObjectResult")
            answered = passed_back(response.headers)
        answered.pop("etag", None)
        store_etag = bare_etag(result.get("ETag") or "")
        if not store_etag:
            finder = self.objects.finder
            store_etag = await finder.written_etag(wanted.name, wanted.policy, source.segment, answered)
        etag = etag_of(wanted.policy, digests, store_etag)
        return Copied(etag, digests, answered, result.get("LastModified") or _now())

    async def _seal_anew(self, source: StoredObject, wanted: CopyRequest) -> Copied:
        headers = {**await self._headers(source.name, wanted), **wanted.conditions}
        plain = await self._plain(source, wanted)
        written = await self.writer.write(wanted.name, wanted.policy, headers, plain)
        answered = {name: value for name, value in written.headers.items() if name != "ETag"}
        return Copied(written.etag, written.digests, answered, _now())

    async def _plain(self, source: StoredObject, wanted: CopyRequest) -> PlainBody:
        """Return the plaintext of a source, with the digests that the copy is to have."""
        known = (await source.digests()).checksum if isinstance(source, WholeObject) else None  # a copy keeps it
        size = await source.size()
        digests = RunningDigests(with_md5=wanted.policy.etag is EtagMode.MD5, algorithm=wanted.algorithm)

        async def pieces() -> AsyncIterator[memoryview]:
            async for piece in source.pieces(0, size - 1):
                for one in digests.running:
                    one.update(piece)
                yield piece

        def finish() -> Digests:
            found = digests.result()
            return found if wanted.algorithm is not None else replace(found, checksum=known)

        return PlainBody(size, pieces(), finish)

    async def _headers(self, source: Name, wanted: CopyRequest) -> dict[str, str]:
        """Return what is kept with a copy that the store does not give its tags."""
        headers = dict(wanted.headers)
        if wanted.tagging != COPY:
            return headers
        query = (("tagging", ""), *source.query)
        request = StoreRequest(method="GET", bucket=source.bucket, key=source.key, query=query)
        async with self.objects.store.exchange(request) as response:
            if response.status != HTTPStatus.OK:
                error = await store_error(response)
                if error.code in {"NoSuchTagSet", "NotImplemented"}:
                    return headers
                raise error
            tags = parse_tagging(await read_all(response, _MAX_RESULT_BYTES))
        return headers | ({"x-amz-tagging": urlencode(tags)} if tags else {})


def _kept(call: Call, source: StoredObject, wanted: CopyRequest) -> dict[str, str]:
    """Return what is kept with the copy, but its tags if those of the source are."""
    headers = object_headers(call.headers)
    if wanted.metadata == COPY:
        headers = replaced_headers(headers, source.store_headers)
    if wanted.tagging == COPY:
        headers.pop("x-amz-tagging", None)
    return headers


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


def require_change(head: RequestHead, source: StoredObject, wanted: CopyRequest) -> None:
    """Return unless an object would be copied onto itself as it is. Plaintext is sealed by that.

    Raises:
        S3Error: InvalidRequest.
    """
    same = (source.name.bucket, source.name.key) == (wanted.name.bucket, wanted.name.key) and not source.name.version_id
    changes = REPLACE in {wanted.metadata, wanted.tagging} or any(head.has(name) for name in _CHANGING)
    if same and not changes and isinstance(source, SealedObject):
        _refuse(
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes."
        )


def _refuse(message: str) -> NoReturn:
    code = "InvalidRequest"
    raise S3Error(code, message)
