"""CreateMultipartUpload, AbortMultipartUpload and ListParts."""

from dataclasses import dataclass
from http import HTTPStatus

from s3proxy.exchange.incoming import XML_TYPE, Incoming
from s3proxy.keys.policies import Policy
from s3proxy.operations.multipart.kept import KeptParts
from s3proxy.operations.multipart.parts import ClientParts, needs_copies, plaintext_bytes_of
from s3proxy.operations.multipart.upload import (
    MAX_LIST_BYTES,
    StoredPart,
    create_upload,
    stored_part,
    upload_of,
)
from s3proxy.s3api.checksums import parse_algorithm, parse_scope
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.object_headers import object_headers, passed_back, require_metadata_room
from s3proxy.s3api.sent import ENTRY_HEADER
from s3proxy.s3api.xml_read import Element
from s3proxy.s3api.xml_write import Node, node, to_xml
from s3proxy.store.client import Together
from s3proxy.store.errors import document_in, store_error
from s3proxy.stored import fresh
from s3proxy.stored.open import Objects
from s3proxy.stored.read import Name
from strongroom.sealed.attributes import Attributes


@dataclass(frozen=True)
class MultipartUploads:
    """Begins, shows and gives up uploads, and with them the copies of small parts."""

    objects: Objects
    kept: KeptParts

    async def create(self, incoming: Incoming, policy: Policy) -> None:
        """Serve CreateMultipartUpload. The metadata gets a marker: what there will be to read, the manifest says."""
        call, head = incoming.call, incoming.head
        headers = object_headers(call.headers)
        require_metadata_room(headers)
        answered = _checksum_of_upload(head)
        marker = fresh.marker(await self.objects.keys.to_seal(policy.name))
        headers[ENTRY_HEADER] = fresh.entry(marker, Attributes(), bucket=call.bucket, key=call.key)
        upload_id, store_headers = await create_upload(self.objects.store, Name(call.bucket, call.key), headers)
        answer = node(
            "InitiateMultipartUploadResult",
            node("Bucket", call.bucket),
            node("Key", call.key),
            node("UploadId", upload_id),
        )
        await incoming.respond(200, store_headers | answered | {"Content-Type": XML_TYPE}, to_xml(answer))

    async def abort(self, incoming: Incoming, _policy: Policy) -> None:
        """Serve AbortMultipartUpload; kept copies go, too."""
        upload = upload_of(incoming)
        async with self.objects.store.exchange(upload.request("DELETE")) as response:
            if response.status not in {HTTPStatus.NO_CONTENT, HTTPStatus.OK}:
                raise await store_error(response)
            headers = passed_back(response.headers)
        await self.kept.remove_all(upload, Together(incoming.hold_document))
        headers.pop("content-type", None)
        await incoming.respond(204, headers)

    async def list_parts(self, incoming: Incoming, _policy: Policy) -> None:
        """Serve ListParts: the store's list, with the client's parts and their plaintext sizes."""
        headers, document = await self._list_of_parts(incoming)
        await incoming.respond(200, headers | {"Content-Type": XML_TYPE}, document)

    async def _list_of_parts(self, incoming: Incoming) -> tuple[dict[str, str], bytes]:
        """Return headers and document of an answer; nothing else is held while the client takes it.

        Raises:
            StrongroomError: the store refuses, or answers nonsense.
        """
        upload = upload_of(incoming)
        together = Together(incoming.hold_document)
        place = tuple(pair for pair in incoming.call.query.pairs if pair[0] != "uploadId")
        async with self.objects.store.exchange(upload.request("GET", query=place)) as response:
            page = await document_in(response, "ListPartsResult", most_bytes=MAX_LIST_BYTES, make_room=together.next())
            headers = passed_back(response.headers)
        listed = {stored_part(element): element for element in page.all("Part")}
        kept = await self.kept.find(upload, together) if needs_copies(listed) else []
        parts = ClientParts(listed, kept)
        shown = [_shown_part(part, listed[one]) for part, one in zip(parts.all, parts.listed, strict=True)]
        others = [_node_of(element) for element in page.children if _is_shown(element) and element.name != "Part"]
        if upload.key.endswith("/"):  # which the store may have by another name
            others = [node("Key", upload.key), *(other for other in others if other.name != "Key")]
        return headers, to_xml(node("ListPartsResult", *others, *shown))


def _checksum_of_upload(head: RequestHead) -> dict[str, str]:
    """Return what the client asks for, checked: the parts themselves and their list say it again.

    Raises:
        S3Error: InvalidRequest, as there is no such algorithm, or not of this type.
    """
    text = head.header("x-amz-checksum-algorithm")
    if not text:
        return {}
    algorithm = parse_algorithm(text)
    scope = parse_scope(head.header("x-amz-checksum-type"), algorithm)
    return {"x-amz-checksum-algorithm": algorithm.name, "x-amz-checksum-type": scope.name}


def _node_of(element: Element) -> Node:
    children = tuple(_node_of(child) for child in element.children if _is_shown(child))
    return Node(element.name, "" if children else element.text, children)


def _is_shown(element: Element) -> bool:
    return not element.name.startswith("Checksum")  # the store's are of what it stores


def _shown_part(part: StoredPart, element: Element) -> Node:
    values = {"ETag": part.shown_etag, "Size": str(plaintext_bytes_of(part))}
    children = [Node(child.name, values.get(child.name, child.text), ()) for child in _node_of(element).children]
    return node("Part", *children)
