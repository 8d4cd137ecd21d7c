"""ListObjects, ListObjectsV2 and ListObjectVersions: the store's own pages, with the sizes of the plaintext.

Names, markers, continuation tokens and counts are the store's, so a page has exactly the keys that the client asked
for: the proxy keeps nothing of its own among the clients' objects that would have to be hidden. A page costs one
request to the store; where plaintext may stand among sealed objects each object that is not known yet costs a HEAD.
"""

import asyncio
from collections import OrderedDict
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote_plus

from s3proxy.front.errors import S3Error
from s3proxy.front.xml_read import Element, parse_document
from s3proxy.front.xml_write import node, to_xml
from s3proxy.headers import passed_back, passed_headers
from s3proxy.incoming import XML_TYPE, Incoming
from s3proxy.list_entries import ENTRY_NAMES, Seen, as_node, shown_entry
from s3proxy.object_open import Found, Name, ObjectFinder
from s3proxy.policies import EtagMode, ListEtag, Mode, Policies, Policy
from s3proxy.store import Store, StoreRequest, read_all
from s3proxy.store_errors import store_error
from strongroom.errors import PeerError, StrongroomError, UnavailableError

MAX_PAGE_BYTES: Final = 16 << 20  # 1,000 names of 1,024 bytes, each byte percent-encoded, and room
_LOOKS_AT_ONCE: Final = 16
_KEPT_LOOKS: Final = 100_000  # about 300 bytes each

_Place = tuple[Name, str, str]  # with the store's ETag and size: another object has others


class ObjectLister:
    """Lists objects."""

    def __init__(self, store: Store, policies: Policies, finder: ObjectFinder) -> None:
        """Take the store, what is sealed, and what looks at objects."""
        self._store = store
        self._policies = policies
        self._finder = finder
        self._seen: OrderedDict[_Place, Seen] = OrderedDict()

    async def serve(self, incoming: Incoming) -> None:
        """Serve ListObjects, ListObjectsV2 or ListObjectVersions.

        Raises:
            StrongroomError: it is refused, here or by the store.
        """
        call = incoming.call
        request = StoreRequest(
            method="GET", bucket=call.bucket, query=call.query.pairs, headers=passed_headers(incoming.head)
        )
        async with self._store.exchange(request) as response:
            if response.status != HTTPStatus.OK:
                raise await store_error(response, bucket_asked=True)
            headers = passed_back(response.headers) | {"content-type": XML_TYPE}
            page = parse_page(await read_all(response, MAX_PAGE_BYTES))
        is_encoded = page.get("EncodingType") == "url"
        entries = [
            (_place(call.bucket, child, is_encoded), child) if child.name in ENTRY_NAMES else (None, child)
            for child in page.children
        ]
        policies = {place: self._policies.find(call.bucket, place[0].key) for place, _ in entries if place}
        await self._look_at({place: policy for place, policy in policies.items() if policy and _is_unclear(policy)})
        shown = (
            shown_entry(child, policies[place], self._seen.get(place)) if place else as_node(child)
            for place, child in entries
        )
        await incoming.respond(HTTPStatus.OK, headers, to_xml(node(page.name, *shown)))

    async def _look_at(self, places: dict[_Place, Policy]) -> None:
        turns = asyncio.Semaphore(_LOOKS_AT_ONCE)

        async def look(place: _Place, policy: Policy) -> None:
            async with turns:
                seen = await self._look(place[0], policy)
            if seen is not None:
                self._seen[place] = seen

        while len(self._seen) > _KEPT_LOOKS:
            self._seen.popitem(last=False)
        try:
            async with asyncio.TaskGroup() as group:
                for place, policy in places.items():
                    if place not in self._seen:
                        group.create_task(look(place, policy))
        except* StrongroomError as several:
            raise several.exceptions[0] from None

    async def _look(self, name: Name, policy: Policy) -> Seen | None:
        """Look at an object; None when there is nothing to be seen of it, since it is gone or damaged."""
        try:
            found = await self._finder.look(name, policy)
            return Seen(isinstance(found, Found), await self._finder.etag(name, found, policy))
        except UnavailableError:
            raise
        except StrongroomError:
            return None


def parse_page(raw: bytes) -> Element:
    """Read a listing of the store.

    Raises:
        PeerError: it cannot be read.
    """
    try:
        return parse_document(raw)
    except S3Error:
        msg = "the store answers a list that cannot be read"
        raise PeerError(msg) from None


def _is_unclear(policy: Policy) -> bool:
    """Say whether what is listed does not tell what clients would see."""
    if policy.mode is Mode.PASSTHROUGH:
        return False
    return policy.mode is Mode.MIGRATE or (policy.etag is EtagMode.MD5 and policy.list_etag is ListEtag.EXACT)


def _place(bucket: str, entry: Element, is_encoded: bool) -> _Place:  # noqa: FBT001 - of the page
    keys = entry.all("Key")
    key = keys[0].text if keys else ""  # blanks at its ends belong to it
    name = Name(bucket, unquote_plus(key) if is_encoded else key, entry.get("VersionId") or "")
    return name, entry.get("ETag") or "", entry.get("Size") or ""
