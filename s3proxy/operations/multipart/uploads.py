"""CreateMultipartUpload, AbortMultipartUpload and ListParts."""

from http import HTTPStatus

from s3proxy.exchange.incoming import XML_TYPE, Incoming
from s3proxy.keys.bucket_keys import BucketKeys
from s3proxy.keys.policies import Policy
from s3proxy.operations.multipart.kept import KeptParts
from s3proxy.operations.multipart.parts import ClientParts, needs_copies, plaintext_bytes_of
from s3proxy.operations.multipart.upload import MAX_ANSWER_BYTES, StoredPart, parse_answer, stored_part, upload_of
from s3proxy.s3api.checksums import parse_algorithm, parse_scope
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.object_headers import object_headers, passed_back, require_metadata_room
from s3proxy.s3api.sent import ENTRY_HEADER
from s3proxy.s3api.xml_read import Element
from s3proxy.s3api.xml_write import Node, node, to_xml
from s3proxy.store.answers import OddAnswerError
from s3proxy.store.client import Store, StoreRequest, read_all
from s3proxy.store.errors import store_error
from s3proxy.stored import fresh
from strongroom.sealed.attributes import Attributes


class MultipartUploads:
    """Begins, shows and gives up uploads."""

    def __init__(self, store: Store, keys: BucketKeys, kept: KeptParts) -> None:
        """Take the store, what seals entries, and where copies of small parts are kept."""
        self._store = store
        self._keys = keys
        self._kept = kept

    async def create(self, incoming: Incoming, policy: Policy) -> None:
        """Serve CreateMultipartUpload. The metadata gets a marker: what there will be to read, the manifest says.

        Raises:
            StrongroomError: it is refused, here or by the store.
        """
        call, head = incoming.call, incoming.head
        headers = object_headers(call.headers)
        require_metadata_room(headers)
        answered = _checksum_of_upload(head)
        marker = fresh.marker(await self._keys.to_seal(policy.name))
        headers[ENTRY_HEADER] = fresh.entry(marker, Attributes(), bucket=call.bucket, key=call.key)
        upload_id, store_headers = await create_upload(self._store, call.bucket, call.key, headers)
        answer = node(
            "InitiateMultipartUploadResult",
            node("Bucket", call.bucket),
            node("Key", call.key),
            node("UploadId", upload_id),
        )
        await incoming.respond(200, store_headers | answered | {"Content-Type": XML_TYPE}, to_xml(answer))

    async def abort(self, incoming: Incoming, _policy: Policy) -> None:
        """Serve AbortMultipartUpload; kept copies go, too.

        Raises:
            StrongroomError: it is refused, here or by the store.
        """
        upload = upload_of(incoming)
        async with self._store.exchange(upload.request("DELETE")) as response:
            if response.status not in {HTTPStatus.NO_CONTENT, HTTPStatus.OK}:
                raise await store_error(response)
            headers = passed_back(response.headers)
        await self._kept.remove_all(upload)
        headers.pop("content-type", None)
        await incoming.respond(204, headers)

    async def list_parts(self, incoming: Incoming, _policy: Policy) -> None:
        """Serve ListParts: the store's list, with the client's parts and their plaintext sizes.

        Raises:
            StrongroomError: it is refused, here or by the store.
        """
        upload = upload_of(incoming)
        place = tuple(pair for pair in incoming.call.query.pairs if pair[0] != "uploadId")
        async with self._store.exchange(upload.request("GET", query=place)) as response:
            if response.status != HTTPStatus.OK:
                raise await store_error(response)
            page = parse_answer(await read_all(response, MAX_ANSWER_BYTES), "ListPartsResult")
            headers = passed_back(response.headers)
        listed = {stored_part(element): element for element in page.all("Part")}
        kept = await self._kept.find(upload) if needs_copies(listed) else []
        elements = {part.number: element for part, element in listed.items()}
        shown = [_shown_part(part, elements[part.number]) for part in ClientParts(listed, kept).all]
        others = [_node_of(element) for element in page.children if _is_shown(element) and element.name != "Part"]
        if upload.key.endswith("/"):  # which the store may have by another name
            others = [node("Key", upload.key) if other.name == "Key" else other for other in others]
        answer = node("ListPartsResult", *others, *shown)
        await incoming.respond(200, headers | {"Content-Type": XML_TYPE}, to_xml(answer))


async def create_upload(store: Store, bucket: str, key: str, headers: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Begin an upload at the store.

    Args:
        store: where.
        bucket: of the object.
        key: of the object.
        headers: what the object is to have, its entry among them.

    Returns:
        The upload id, and the headers of the answer that clients may see.

    Raises:
        StrongroomError: the store cannot be reached, or refuses.
    """
    request = StoreRequest(method="POST", bucket=bucket, key=key, query=(("uploads", ""),), headers=headers)
    async with store.exchange(request) as response:
        if response.status != HTTPStatus.OK:
            raise await store_error(response)
        document = parse_answer(await read_all(response, MAX_ANSWER_BYTES), "InitiateMultipartUploadResult")
        headers = passed_back(response.headers)
    upload_id = document.get("UploadId")
    if not upload_id:
        raise OddAnswerError("the store begins an upload without an id")
    return upload_id, headers


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
