"""GetObjectAttributes: size, ETag, checksum and parts of the plaintext, which the store knows nothing of."""

from http import HTTPStatus
from itertools import islice
from typing import Final

from s3proxy.exchange.incoming import XML_TYPE, Incoming
from s3proxy.keys.policies import Policy
from s3proxy.operations.passthrough import pass_on
from s3proxy.s3api.checksums import checksum_nodes
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.object_headers import answer_headers, read_headers
from s3proxy.s3api.xml_write import Node, node, to_xml
from s3proxy.store.client import Store
from s3proxy.stored.multipart import MultipartReader
from s3proxy.stored.open import Folder, Name, ObjectFinder, UnsealedObject
from strongroom.sealed.digests import Digests
from strongroom.sealed.manifest import Manifest

_ALL: Final = frozenset({"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"})
_MAX_PARTS: Final = 1000  # S3 API reference, GetObjectAttributes: the default and the most
_MAX_NUMBER: Final = (1 << 31) - 1  # what S3 reads as a number; of parts it shows no more than it would without
_MAX_DIGITS: Final = 32
_KEPT: Final = ("last-modified", "x-amz-version-id", "x-amz-delete-marker", "x-amz-request-charged")


class AttributesReader:
    """Tells attributes of objects."""

    def __init__(self, store: Store, finder: ObjectFinder, multipart: MultipartReader) -> None:
        """Take the store, what opens entries, and what opens manifests."""
        self._store = store
        self._finder = finder
        self._multipart = multipart

    async def serve(self, incoming: Incoming, policy: Policy) -> None:
        """Serve GetObjectAttributes.

        Raises:
            StrongroomError: it is refused, here or by the store.
        """
        wanted = _wanted(incoming.head)
        name = Name(incoming.call.bucket, incoming.call.key, incoming.call.query.get("versionId"))
        found = await self._finder.look(name, policy, headers=read_headers(incoming.head))
        if isinstance(found, UnsealedObject) and not isinstance(found, Folder):
            await pass_on(incoming, self._store)
            return
        parts: list[Node] = []
        if isinstance(found, Folder):
            size, digests = found.stored_bytes, Digests()
        elif found.is_multipart:
            manifest = (await self._multipart.manifest(name, found))[1]
            size, digests = manifest.plaintext_bytes, manifest.digests
            parts = [_parts(manifest, incoming.head)]
        else:
            size = found.segment.header.plaintext_bytes
            needed = "Checksum" in wanted
            digests = await self._finder.digests(name, found) if needed else Digests()
        etag = await self._finder.etag(name, found, policy) if "ETag" in wanted else ""
        answered = answer_headers(found.store_headers)
        told = {
            "ETag": [node("ETag", etag.strip('"'))],
            "Checksum": [node("Checksum", *checksum_nodes(digests.checksum))] if digests.checksum else [],
            "ObjectParts": parts,
            "StorageClass": [node("StorageClass", answered.get("x-amz-storage-class", "STANDARD"))],
            "ObjectSize": [node("ObjectSize", size)],
        }
        document = node("GetObjectAttributesResponse", *(one for name in told if name in wanted for one in told[name]))
        headers = {name: answered[name] for name in _KEPT if name in answered}
        await incoming.respond(HTTPStatus.OK, headers | {"content-type": XML_TYPE}, to_xml(document))


def _wanted(head: RequestHead) -> frozenset[str]:
    names = frozenset(name.strip() for name in head.header("x-amz-object-attributes").split(",") if name.strip())
    if not names or names - _ALL:
        code, msg = "InvalidArgument", "Invalid attribute name specified."
        text = head.header("x-amz-object-attributes")[:100]
        raise S3Error(code, msg, details={"ArgumentName": "x-amz-object-attributes", "ArgumentValue": text})
    return names


def _parts(manifest: Manifest, head: RequestHead) -> Node:
    """Return the client's parts from the marker on."""
    marker = _number(head, "x-amz-part-number-marker", 0)
    limit = min(_number(head, "x-amz-max-parts", _MAX_PARTS), _MAX_PARTS)
    rest = [part for part in manifest.client_parts if part.number > marker]
    shown = list(islice(rest, limit))
    return node(
        "ObjectParts",
        node("PartsCount", len(manifest.client_parts)),
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
