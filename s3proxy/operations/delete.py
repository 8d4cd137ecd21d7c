"""DeleteObject and DeleteObjects. What is deleted need not be readable, nor sealed."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

from s3proxy.exchange.access_record import Decision, DeletedKey
from s3proxy.exchange.incoming import XML_TYPE, Incoming
from s3proxy.keys.policies import Mode
from s3proxy.operations.passthrough import pass_on
from s3proxy.s3api.credentials import Right
from s3proxy.s3api.documents import ObjectToDelete, parse_delete
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.names import require_key, require_version_id
from s3proxy.s3api.object_headers import passed_back
from s3proxy.s3api.operations import refuse_unsupported
from s3proxy.s3api.xml_read import as_node
from s3proxy.s3api.xml_write import Node, node, to_xml
from s3proxy.store.answers import parse_answer
from s3proxy.store.client import StoreRequest, read_all
from s3proxy.store.errors import store_error
from s3proxy.store.listing import for_each
from s3proxy.stored.conditions import matching_store_etag
from s3proxy.stored.open import Objects
from s3proxy.stored.read import Name
from strongroom.errors import IntegrityError

_MAX_RESULT_BYTES: Final = 8 << 20  # 1,000 names of 1,024 bytes, each of them escaped, with codes and messages
_AT_ONCE: Final = 8
_PASSED: Final = frozenset(
    {"x-amz-bypass-governance-retention", "x-amz-expected-bucket-owner", "x-amz-mfa", "x-amz-request-payer"}
)


@dataclass(frozen=True)
class ObjectDeleter:
    """Deletes objects, and finds out ETags for conditions of that."""

    objects: Objects

    async def one(self, incoming: Incoming) -> None:
        """Serve DeleteObject."""
        head, call = incoming.head, incoming.call
        policy = self.objects.policies.find(call.bucket, call.key)
        if policy is None or policy.mode is Mode.PASSTHROUGH:
            await pass_on(incoming, self.objects.store)
            return
        headers = {}
        if head.has("if-match"):
            name = Name(call.bucket, call.key, call.query.get("versionId"))
            headers["if-match"] = await matching_store_etag(head.header("if-match"), name, policy, self.objects.finder)
        await pass_on(incoming, self.objects.store, headers=headers)

    async def several(self, incoming: Incoming) -> None:
        """Serve DeleteObjects. Each key is allowed or refused by itself.

        Raises:
            StrongroomError: the request as a whole is refused, here or by the store.
        """
        asked = parse_delete(await incoming.document())
        allowed: list[ObjectToDelete] = []
        results: list[Node] = []
        for item in asked.objects:
            noted = DeletedKey(item.key, item.version_id, Decision.ALLOWED)
            incoming.record.deleted.append(noted)
            try:
                allowed.append(await self._admit(incoming, item))
            except S3Error as error:
                noted.decision = Decision.DENIED if error.code == "AccessDenied" else Decision.UNDECIDED
                results.append(_failure(item, error))
        record = incoming.record
        record.decision = Decision.ALLOWED if allowed else Decision.DENIED
        record.is_durable = any(
            self.objects.policies.are_durable(incoming.call.bucket, item.key) for item in asked.objects
        )
        if record.is_due:
            await incoming.put_on_record(record)
        headers: dict[str, str] = {}
        if not self.objects.store.capabilities.slash_content:  # or else they are like all others
            apart = [item for item in allowed if item.key.endswith("/")]
            allowed = [item for item in allowed if not item.key.endswith("/")]
            results += await self._each(incoming, apart, quiet=asked.quiet)
        if allowed:
            document = to_xml(node("Delete", *map(_item, allowed), node("Quiet", asked.quiet)))
            md5 = base64.b64encode(hashlib.md5(document, usedforsecurity=False).digest()).decode()
            request = StoreRequest(
                method="POST",
                bucket=incoming.call.bucket,
                query=incoming.call.query.pairs,
                headers={**incoming.call.headers, "content-md5": md5, "content-type": XML_TYPE},
                body=document,
            )
            async with self.objects.store.exchange(request) as response:
                if response.status != HTTPStatus.OK:
                    raise await store_error(response, bucket_asked=True)
                headers = passed_back(response.headers)
                raw = await read_all(response, _MAX_RESULT_BYTES, make_room=incoming.hold_document)
                answer = parse_answer(raw, "DeleteResult")
            results += [as_node(child) for child in answer.children]
        _note_results(incoming.record.deleted, results)
        places = {item.key: place for place, item in enumerate(asked.objects)}
        results.sort(key=lambda result: places.get(_key_of(result), len(places)))
        await incoming.respond(
            HTTPStatus.OK, headers | {"content-type": XML_TYPE}, to_xml(node("DeleteResult", *results))
        )

    async def _each(self, incoming: Incoming, items: list[ObjectToDelete], *, quiet: bool) -> list[Node]:
        """Delete objects one by one: keys that end in a slash, where the store makes directories of such."""
        results: list[Node] = []
        passed = {name: value for name, value in incoming.call.headers.items() if name in _PASSED}

        async def delete(item: ObjectToDelete) -> None:
            request = StoreRequest(
                method="DELETE",
                bucket=incoming.call.bucket,
                key=item.key,
                query=(("versionId", item.version_id),) if item.version_id else (),
                headers=passed | ({"if-match": item.etag} if item.etag else {}),
            )
            try:
                async with self.objects.store.exchange(request) as response:
                    if response.status not in {HTTPStatus.NO_CONTENT, HTTPStatus.OK}:
                        raise await store_error(response)
                    told = response.headers
            except S3Error as error:
                results.append(_failure(item, error))
                return
            if not quiet:
                results.append(_deleted(item, told))

        await for_each(items, delete, at_once=_AT_ONCE)
        return results

    async def _admit(self, incoming: Incoming, item: ObjectToDelete) -> ObjectToDelete:
        """Return what is to be deleted as the store knows it.

        Raises:
            S3Error: the client may not, or the object is not what the client takes it for.
        """
        bucket = incoming.call.bucket
        if item.size or item.last_modified_time:  # no store but of directory buckets obeys these
            refuse_unsupported("Size or LastModifiedTime as a condition of DeleteObjects")
        require_key(item.key)
        require_version_id("VersionId", item.version_id)
        incoming.verified.principal.require(Right.DELETE, bucket, item.key)
        self.objects.store.capabilities.require_name(item.key, method="DELETE")
        policy = self.objects.policies.find(bucket, item.key)
        if policy is None or policy.mode is Mode.PASSTHROUGH or not item.etag:
            return item
        try:
            name = Name(bucket, item.key, item.version_id)
            return replace(item, etag=await matching_store_etag(item.etag, name, policy, self.objects.finder))
        except IntegrityError:
            raise S3Error("PreconditionFailed", "The object has no ETag, as it cannot be read.") from None


def _item(item: ObjectToDelete) -> Node:
    fields = {"Key": item.key, "VersionId": item.version_id, "ETag": item.etag}
    return node("Object", *(node(name, value) for name, value in fields.items() if value))


def _note_results(noted: list[DeletedKey], results: list[Node]) -> None:
    """Note what became of each key. Of those that were deleted a client may have asked to hear nothing."""
    failed = {
        (_text_of(result, "Key"), _text_of(result, "VersionId")): _text_of(result, "Code")
        for result in results
        if result.name == "Error"
    }
    for item in noted:
        item.error_code = failed.get((item.key, item.version_id), "")


def _key_of(result: Node) -> str:
    return _text_of(result, "Key")


def _text_of(result: Node, name: str) -> str:
    return next((child.text for child in result.children if child.name == name), "")


def _deleted(item: ObjectToDelete, told: Mapping[str, str]) -> Node:
    version = told.get("x-amz-version-id", "")
    is_marker = told.get("x-amz-delete-marker") == "true"
    fields = {
        "Key": item.key,
        "VersionId": item.version_id,
        "DeleteMarker": "true" if is_marker else "",
        "DeleteMarkerVersionId": version if is_marker else "",
    }
    return node("Deleted", *(node(name, value) for name, value in fields.items() if value))


def _failure(item: ObjectToDelete, error: S3Error) -> Node:
    version = (node("VersionId", item.version_id),) if item.version_id else ()
    return node("Error", node("Key", item.key), *version, node("Code", error.code), node("Message", error.message))
