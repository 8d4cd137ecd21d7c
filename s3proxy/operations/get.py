"""GetObject, HeadObject and GetObjectAttributes: what one opened object answers, decided in one place for all kinds.

A chunk is passed on only after its tag held. What fails before the first chunk answers an error; what fails later
breaks the connection off. How a range becomes stored bytes is told in ``stored.read``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, islice
from typing import Final

from s3proxy.exchange.incoming import XML_TYPE, Incoming
from s3proxy.keys.policies import Policy
from s3proxy.operations.passthrough import pass_on, send_plaintext
from s3proxy.s3api.byte_range import ByteRange, parse_range
from s3proxy.s3api.checksums import checksum_header, checksum_nodes
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.object_headers import answer_headers, read_headers
from s3proxy.s3api.operations import Call
from s3proxy.s3api.xml_write import Node, node, to_xml
from s3proxy.store.answers import OddAnswerError
from s3proxy.store.errors import store_error
from s3proxy.store.sent import SentRequest
from s3proxy.stored.conditions import range_applies, require_conditions
from s3proxy.stored.open import Objects
from s3proxy.stored.read import OK, PARTIAL, UNSATISFIABLE, Name, Read, StoredObject
from s3proxy.stored.whole import WholeObject
from strongroom.sealed.digests import ChecksumScope, Digests
from strongroom.sealed.manifest import PartRecord

_ALL: Final = frozenset({"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"})
_MAX_PARTS: Final = 1000  # S3 API reference, GetObjectAttributes: the default and the most
_MAX_NUMBER: Final = (1 << 31) - 1  # what S3 reads as a number; of parts it shows no more than it would without
_MAX_DIGITS: Final = 32
_KEPT: Final = ("last-modified", "x-amz-version-id", "x-amz-delete-marker", "x-amz-request-charged")


class ObjectReader:
    """Reads objects."""

    def __init__(self, objects: Objects) -> None:
        """Take what they are read with."""
        self._store = objects.store
        self._finder = objects.finder

    async def get(self, incoming: Incoming, policy: Policy, sent: SentRequest | None = None) -> None:
        """Serve GetObject: by one request if a whole object is there: it comes with the answer.

        Args:
            incoming: the request.
            policy: that its name is under.
            sent: that request to the store, if it was sent already.
        """
        head, found = incoming.head, None
        read, asked = read_of(incoming.call, head, policy), parse_range(head.header("range"))
        if sent or self.asks_for_all(read, asked, head, incoming.call):
            async with self._store.exchange(replace(read.request("GET", asked), sent=sent)) as answer:
                if answer.status == PARTIAL and asked is None:  # what it leaves out would not be looked at
                    raise OddAnswerError("the store answers with a range where all was asked for")
                if answer.status in {OK, PARTIAL}:
                    found = await self._finder.find(read, answer)
                    if isinstance(found, WholeObject):
                        await self._answer(incoming, found, asked)
                        return
                elif answer.status != UNSATISFIABLE:
                    raise await store_error(answer)
        await self._answer(incoming, found or await self._finder.look(read), asked)

    def asks_for_all(self, read: Read, asked: ByteRange | None, head: RequestHead, call: Call) -> bool:
        """Return whether a read is begun by asking for what it is about, and not for its metadata first."""
        depends = "partNumber" in call.query or (asked is not None and head.has("if-range"))
        return not depends and not self._finder.expects_multipart(read.name)

    async def head(self, incoming: Incoming, policy: Policy, sent: SentRequest | None = None) -> None:
        """Serve HeadObject; the arguments are those of ``get``."""
        head = incoming.head
        found = await self._finder.look(read_of(incoming.call, head, policy), sent)
        await self._answer(incoming, found, parse_range(head.header("range")))

    async def _answer(self, incoming: Incoming, found: StoredObject, asked: ByteRange | None) -> None:
        """Answer GetObject or HeadObject, once its conditions hold."""
        if found.is_passed_on:
            await send_plaintext(incoming, self._store)
            return
        head, query = incoming.head, incoming.call.query
        headers = told_headers(head, found.store_headers, await found.etag())
        size = await found.size()
        if "partNumber" in query:
            parts = await found.parts()
            span = _bounds_of(query.get("partNumber"), parts)
            headers |= {"x-amz-mp-parts-count": str(len(parts))} if parts else {}
        else:
            span = span_of(head, asked, headers, size)
        if wants_checksum(head, span):
            headers |= checksum_headers(await found.digests())
        status, first, last = told_range(headers, span, size)
        if incoming.request.method == "HEAD":
            await incoming.respond(status, headers, length=last - first + 1)
        else:
            await incoming.respond_stream(status, headers, last - first + 1, found.pieces(first, last))

    async def attributes(self, incoming: Incoming, policy: Policy) -> None:
        """Serve GetObjectAttributes: of the plaintext, which the store knows nothing of."""
        wanted = _wanted(incoming.head)
        found = await self._finder.look(read_of(incoming.call, incoming.head, policy))
        if found.is_passed_on:
            await pass_on(incoming, self._store)
            return
        size, parts = await found.size(), await found.parts()
        checksum = (await found.digests()).checksum if "Checksum" in wanted else None
        answered = answer_headers(found.store_headers)
        told = {
            "ETag": [node("ETag", (await found.etag()).strip('"'))] if "ETag" in wanted else [],
            "Checksum": [node("Checksum", *checksum_nodes(checksum))] if checksum else [],
            "ObjectParts": [_shown(parts, incoming.head)] if parts else [],
            "StorageClass": [node("StorageClass", answered.get("x-amz-storage-class", "STANDARD"))],
            "ObjectSize": [node("ObjectSize", size)],
        }
        document = node("GetObjectAttributesResponse", *(one for name in told if name in wanted for one in told[name]))
        headers = {name: answered[name] for name in _KEPT if name in answered}
        await incoming.respond(OK, headers | {"content-type": XML_TYPE}, to_xml(document))


def told_headers(head: RequestHead, store_headers: Mapping[str, str], etag: str) -> dict[str, str]:
    """Return what is told of an object whatever is asked of it, once the conditions of the request hold.

    Raises:
        S3Error: PreconditionFailed, or NotModified.
    """
    headers = answer_headers(store_headers)
    headers["ETag"] = etag
    headers["Accept-Ranges"] = "bytes"
    require_conditions(head, etag=etag, last_modified=headers.get("last-modified", ""))
    return headers


def span_of(
    head: RequestHead, asked: ByteRange | None, headers: Mapping[str, str], size: int
) -> tuple[int, int] | None:
    """Return first and last byte of what is asked for; None for all of it.

    Raises:
        S3Error: InvalidRange.
    """
    modified = headers.get("last-modified", "")
    if asked is None or not range_applies(head, etag=headers["ETag"], last_modified=modified):
        return None
    return asked.resolve(size)


def told_range(headers: dict[str, str], span: tuple[int, int] | None, size: int) -> tuple[int, int, int]:
    """Return the status of the answer, and first and last byte of it; its headers learn of the range."""
    first, last = span or (0, size - 1)
    status = PARTIAL if span is not None and first <= last else OK  # no Content-Range can say that there is nothing
    if status == PARTIAL:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return status, first, last


def wants_checksum(head: RequestHead, span: tuple[int, int] | None) -> bool:
    """Return whether the checksum of the object is to be told."""
    return span is None and head.header("x-amz-checksum-mode").upper() == "ENABLED"


def read_of(call: Call, head: RequestHead, policy: Policy) -> Read:
    """Return what a request wants to read."""
    overrides = tuple([pair for pair in call.query.pairs if pair[0].startswith("response-")])
    name = Name(call.bucket, call.key, call.query.get("versionId"))
    return Read(name, policy, read_headers(head), overrides)


def _bounds_of(number: str, parts: Sequence[PartRecord]) -> tuple[int, int] | None:
    """Return first and last byte of one of the client's parts; None if there are none, and number 1 is all of it.

    Raises:
        S3Error: InvalidPartNumber.
    """
    for part, end in zip(parts, accumulate(part.plaintext_bytes for part in parts), strict=True):
        if str(part.number) == number:
            return end - part.plaintext_bytes, end - 1
    if parts or number not in {"", "1"}:
        raise S3Error("InvalidPartNumber", "The requested partnumber is not satisfiable")
    return None


def checksum_headers(digests: Digests) -> dict[str, str]:
    """Return the headers that tell the checksum of an object, if it has one."""
    checksum = digests.checksum
    if checksum is None:
        return {}
    name, value = checksum_header(checksum)
    scope = "FULL_OBJECT" if checksum.scope is ChecksumScope.FULL_OBJECT else "COMPOSITE"
    return {name: value, "x-amz-checksum-type": scope}


def _wanted(head: RequestHead) -> frozenset[str]:
    names = frozenset(name.strip() for name in head.header("x-amz-object-attributes").split(",") if name.strip())
    if not names or names - _ALL:
        code, msg = "InvalidArgument", "Invalid attribute name specified."
        text = head.header("x-amz-object-attributes")[:100]
        raise S3Error(code, msg, details={"ArgumentName": "x-amz-object-attributes", "ArgumentValue": text})
    return names


def _shown(parts: Sequence[PartRecord], head: RequestHead) -> Node:
    """Return the client's parts from the marker on."""
    marker = _number(head, "x-amz-part-number-marker", 0)
    limit = min(_number(head, "x-amz-max-parts", _MAX_PARTS), _MAX_PARTS)
    rest = [part for part in parts if part.number > marker]
    shown = list(islice(rest, limit))
    return node(
        "ObjectParts",
        node("PartsCount", len(parts)),
        node("PartNumberMarker", marker),
        node("NextPartNumberMarker", shown[-1].number if shown else marker),
        node("MaxParts", limit),
        node("IsTruncated", len(shown) < len(rest)),
        *(node("Part", node("PartNumber", part.number), node("Size", part.plaintext_bytes)) for part in shown),
    )


def _number(head: RequestHead, name: str, default: int) -> int:
    text = head.header(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS and int(text) <= _MAX_NUMBER):
        code, msg = "InvalidArgument", f"{name} must be a number."
        raise S3Error(code, msg, details={"ArgumentName": name, "ArgumentValue": text[:100]})
    return int(text)
