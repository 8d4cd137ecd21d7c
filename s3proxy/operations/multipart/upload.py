"""An unfinished multipart upload at the store, from the request that begins it to the one that makes it an object."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from s3proxy.exchange.incoming import XML_TYPE, Incoming
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.names import is_id
from s3proxy.s3api.object_headers import passed_back
from s3proxy.s3api.xml_read import Element
from s3proxy.s3api.xml_write import node, to_xml
from s3proxy.store.answers import OddAnswerError, number_in
from s3proxy.store.client import Store, StoreRequest, Together
from s3proxy.store.connection import Body, Held
from s3proxy.store.errors import document_in, store_error
from s3proxy.stored.etags import bare_etag, opaque_etag
from s3proxy.stored.read import Name
from strongroom.errors import PeerError
from strongroom.sealed.names import upload_tag
from strongroom.sealed.sizes import MAX_PARTS

_PIECE_BYTES: Final = 1 << 18
MAX_LIST_BYTES: Final = 4 << 20  # a page of 10,000 parts, more than S3 has in one
_MAX_ATTEMPTS: Final = 10 * MAX_PARTS  # in a list that may have pages of any length; all of it is held
MAX_ETAG_CHARACTERS: Final = 1024  # for the same reason; no store makes one nearly as long
_PASSED: Final = ("x-amz-expected-bucket-owner", "x-amz-request-payer")


@dataclass(frozen=True)
class Upload:
    """An upload, by the names that its parts are bound to.

    Attributes:
        bucket: of the object.
        key: of the object.
        upload_id: as the store gave it out.
        headers: of the client's request, for each request to the store.
    """

    bucket: str
    key: str
    upload_id: str
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def tag(self) -> bytes:
        """The object id of its parts and its manifest."""
        return upload_tag(self.bucket, self.key, self.upload_id)

    @property
    def name(self) -> Name:
        """The name of the object."""
        return Name(self.bucket, self.key)

    def request(
        self,
        method: str,
        *,
        query: tuple[tuple[str, str], ...] = (),
        headers: dict[str, str] | None = None,
        body: Body = None,
        length: int | None = None,
    ) -> StoreRequest:
        """Return a request about this upload."""
        return StoreRequest(
            method=method,
            bucket=self.bucket,
            key=self.key,
            query=(("uploadId", self.upload_id), *query),
            headers={**dict(self.headers), **(headers or {})},
            body=body,
            length=length,
        )


@dataclass(frozen=True)
class StoredPart:
    """A part as the store has it.

    Attributes:
        number: 1 … 10,000.
        etag: the store's, without quotes.
        stored_bytes: its sealed length.
    """

    number: int
    etag: str
    stored_bytes: int

    @property
    def shown_etag(self) -> str:
        """The ETag that clients see of it, with quotes: what they compare with an MD5 must not look like one."""
        return opaque_etag(self.etag)


def upload_of(incoming: Incoming) -> Upload:
    """Return the upload that a request is about."""
    call = incoming.call
    return Upload(call.bucket, call.key, call.query.get("uploadId"), passed_with_uploads(incoming.head))


def passed_with_uploads(head: RequestHead) -> tuple[tuple[str, str], ...]:
    """Return the headers that go to the store with every request about an upload."""
    return tuple((name, head.header(name)) for name in _PASSED if head.has(name))


def part_number_of(incoming: Incoming) -> int:
    """Return the part number of a request, which ``classify`` has checked."""
    return int(incoming.call.query.get("partNumber"))


async def create_upload(store: Store, name: Name, headers: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Begin an upload at the store.

    Args:
        store: where.
        name: of the object.
        headers: what the object is to have, its entry among them.

    Returns:
        The upload id, and the headers of the answer that clients may see.

    Raises:
        StrongroomError: the store cannot be reached, or refuses.
    """
    query = (("uploads", ""),)
    request = StoreRequest(method="POST", bucket=name.bucket, key=name.key, query=query, headers=headers)
    async with store.exchange(request) as response:
        upload_id = (await document_in(response, "InitiateMultipartUploadResult")).get("UploadId") or ""
        answered = passed_back(response.headers)
    if not is_id(upload_id):  # it is a part of every request about the upload, of which there may be thousands
        raise OddAnswerError("the store begins an upload without an id that can be used")
    return upload_id, answered


async def send_part(
    store: Store, upload: Upload, number: int, sealed: Held | AsyncIterator[Held], length: int
) -> StoredPart:
    """Upload a sealed part.

    Raises:
        StrongroomError: the store cannot be reached, or refuses.
    """
    body = pieces_of(sealed) if isinstance(sealed, Held) else sealed
    request = upload.request("PUT", query=(("partNumber", str(number)),), body=body, length=length)
    async with store.exchange(request) as response:
        if response.status != HTTPStatus.OK:
            raise await store_error(response)
        etag = etag_of_part(response.headers.get("ETag"))
    return StoredPart(number, etag, length)


def etag_of_part(text: str | None) -> str:
    """Return the ETag that the store tells of a part, without quotes.

    Raises:
        PeerError: it tells none, or one that is longer than any.
    """
    etag = bare_etag(text or "")
    if not 0 < len(etag) <= MAX_ETAG_CHARACTERS:
        raise OddAnswerError("the store tells no ETag of a part, or one that is too long")
    return etag


async def pieces_of(raw: Held) -> AsyncIterator[Held]:
    """Give bytes in pieces, so that a large body does not hold up everybody else."""
    view = memoryview(raw)
    for at in range(0, len(view), _PIECE_BYTES):
        yield view[at : at + _PIECE_BYTES]


async def list_stored_parts(store: Store, upload: Upload, *, together: Together) -> list[StoredPart]:
    """Return all parts that the store has of an upload. Some stores list each attempt at a part.

    Args:
        store: where.
        upload: which.
        together: what has all pages counted.

    Raises:
        StrongroomError: the store cannot be reached, or refuses (NoSuchUpload).
    """
    parts: list[StoredPart] = []
    marker = 0
    while True:
        place = (("part-number-marker", str(marker)),) if marker else ()
        async with store.exchange(upload.request("GET", query=place)) as response:
            page = await document_in(response, "ListPartsResult", most_bytes=MAX_LIST_BYTES, make_room=together.next())
        parts += [stored_part(element) for element in page.all("Part")]
        if len(parts) > _MAX_ATTEMPTS:
            msg = f"more than {_MAX_ATTEMPTS} attempts at the parts of an upload"
            raise PeerError(msg, hint="abort the upload and begin anew")
        if page.get("IsTruncated") != "true":
            return parts
        following = number_in(page.get("NextPartNumberMarker") or "")
        if following is None or not marker < following <= MAX_PARTS:  # or else it would never end
            raise OddAnswerError("the store's list of parts does not go on")
        marker = following


def stored_part(element: Element) -> StoredPart:
    """Read a part of the store's list.

    Raises:
        PeerError: it has no number, size or ETag.
    """
    number, size = (number_in(element.get(name) or "") for name in ("PartNumber", "Size"))
    if number is None or size is None:
        raise OddAnswerError("the store lists a part without its number or size")
    return StoredPart(number, etag_of_part(element.get("ETag")), size)


async def finish_upload(
    store: Store, upload: Upload, parts: Sequence[StoredPart], conditions: Mapping[str, str]
) -> tuple[str, dict[str, str]]:
    """Complete an upload at the store.

    Args:
        store: where.
        upload: which.
        parts: of which the object is to be, in the order of their numbers; the last one ends in the manifest.
        conditions: of the write.

    Returns:
        The store's ETag without quotes, and the headers of its answer that clients may see.

    Raises:
        PeerError: the ETag does not tell the number of parts, so that nobody could read the object.
        StrongroomError: the store cannot be reached, or refuses.
    """
    headers = {**conditions, "content-type": XML_TYPE}
    async with store.exchange(upload.request("POST", headers=headers, body=list_of_parts(parts))) as response:
        document = await document_in(response, "CompleteMultipartUploadResult")
        answered = passed_back(response.headers)
    etag = bare_etag(document.get("ETag") or "")
    if etag.rpartition("-")[2] != str(len(parts)):
        msg = f"the store made an object of {len(parts)} parts, and its ETag {etag} does not say so"
        raise PeerError(msg, hint="sealed multipart objects need a store whose ETags end in the number of parts")
    return etag, answered


def list_of_parts(parts: Sequence[StoredPart]) -> bytes:
    """Return the document that completes an upload."""
    listed = (node("Part", node("PartNumber", part.number), node("ETag", f'"{part.etag}"')) for part in parts)
    return to_xml(node("CompleteMultipartUpload", *listed))
