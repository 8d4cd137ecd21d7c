"""Lists of buckets, objects, versions and uploads: the store's own pages, with the sizes of the plaintext.

Names, markers, continuation tokens and counts are the store's, so a page has exactly the keys that the client asked
for; only where the store drops content under keys that end in a slash a page may have fewer. A page costs one
request to the store; where plaintext may stand among sealed objects, or ETags are MD5s, each object that is not known
yet costs a HEAD.
"""

import asyncio
import sys
from collections.abc import Callable, Collection
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote_plus

from s3proxy.exchange.incoming import XML_TYPE, Incoming
from s3proxy.keys.policies import EtagMode, Mode, Policy
from s3proxy.operations.lists.entries import Listed, Seen, entries_in, plaintext_shown, require_below, shown_page
from s3proxy.operations.lists.slash_names import after_in, has_kept_keys, shown_names
from s3proxy.s3api.names import refuse_argument
from s3proxy.s3api.object_headers import passed_back
from s3proxy.s3api.operations import Query
from s3proxy.s3api.xml_read import Element, as_node
from s3proxy.s3api.xml_write import to_xml
from s3proxy.store.answers import OddAnswerError, require_token
from s3proxy.store.client import MakeRoom, Store, StoreRequest, read_all
from s3proxy.store.connection import StoreAnswer
from s3proxy.store.errors import document_in, store_error
from s3proxy.stored.etags import bare_etag
from s3proxy.stored.open import Objects
from s3proxy.stored.read import Name, Read
from s3proxy.stored.whole import SealedObject
from strongroom.errors import StrongroomError, UnavailableError
from strongroom.service.lru import Lru

MAX_PAGE_BYTES: Final = 6 << 20  # 1,000 names of 1,024 bytes, each byte percent-encoded, and room
_LOOKS_AT_ONCE: Final = 16
_KEPT_LOOKS_BYTES: Final = 64 << 20  # of memory: about 100,000
_LOOK_BYTES: Final = 400  # of memory, beside its texts: a store gives them any length
_MAX_BUCKET_PAGES: Final = 100  # of 10,000 at S3
_NEXT: Final = "ContinuationToken"
_BUCKETS: Final = "Buckets"
_MARKERS: Final = frozenset({"key-marker", "marker", "start-after"})  # each counts for one operation
_IDS: Final = frozenset({"upload-id-marker", "version-id-marker"})  # of what has the key of a marker
_LAST: Final = "\U0010ffff"
_TELLS_TOKENS: Final = "SeaweedFS"  # whose tokens are names, and are given out below the prefix only

_Pairs = tuple[tuple[str, str], ...]
_Place = tuple[Name, str, str, EtagMode | None]  # with the store's ETag and size: another object has others


class Lister:
    """Lists buckets, objects and uploads."""

    def __init__(self, objects: Objects) -> None:
        """Take what objects are looked at with."""
        self._objects = objects
        self._seen = Lru[_Place, Seen](_KEPT_LOOKS_BYTES)

    async def buckets(self, incoming: Incoming) -> None:
        """Serve ListBuckets: those that the client may see.

        Raises:
            StrongroomError: the store refuses, or answers nonsense.
        """
        headers, document = await self._buckets(incoming)
        await incoming.respond(HTTPStatus.OK, headers, document)

    async def _buckets(self, incoming: Incoming) -> tuple[dict[str, str], bytes]:
        """Return headers and document of an answer; nothing else is held while the client takes it."""
        own = self._objects.system_bucket.name

        def visible(names: list[str]) -> set[str]:
            return set(incoming.verified.principal.visible_buckets(names)) - {own}

        store, query = self._objects.store, incoming.call.query.pairs
        headers, page = await visible_buckets(store, query, visible, make_room=incoming.hold_document)
        return headers, to_xml(as_node(page))

    async def objects(self, incoming: Incoming) -> None:
        """Serve ListObjects, ListObjectsV2 or ListObjectVersions."""
        headers, document = await self._shown(incoming)
        await incoming.respond(HTTPStatus.OK, headers, document)

    async def _shown(self, incoming: Incoming) -> tuple[dict[str, str], bytes]:
        """Return headers and page of an answer; nothing else is held while the client takes it."""
        bucket = incoming.call.bucket
        headers, page, is_encoded = await self._page(incoming)
        entries = [self._placed(bucket, entry, is_encoded=is_encoded) for entry in entries_in(page)]
        await self._look_at(
            {place: policy for entry, place, policy in entries if policy and _is_unclear(entry, policy)}
        )
        shown = [(entry, plaintext_shown(entry, policy, self._seen.peek(place))) for entry, place, policy in entries]
        return headers, shown_page(page, shown).encode()

    async def uploads(self, incoming: Incoming) -> None:
        """Serve ListMultipartUploads: the store's own page, by the keys that clients know."""
        headers, page, _ = await self._page(incoming)
        await incoming.respond(HTTPStatus.OK, headers, page.encode())

    async def _page(self, incoming: Incoming) -> tuple[dict[str, str], str, bool]:
        """Return headers and page of the store, by the keys that clients know, and whether these are percent-encoded.

        Raises:
            StrongroomError: it is refused, as the page could not be shown, or the store refuses.
        """
        call, capabilities = incoming.call, self._objects.store.capabilities
        capabilities.require_delimiter(call.query.get("delimiter"))
        request = StoreRequest(method="GET", bucket=call.bucket, query=_sent(call.query), headers=call.headers)
        async with self._objects.store.exchange(request) as response:
            _require_token(call.query, response)
            if response.status != HTTPStatus.OK:
                raise await store_error(response, bucket_asked=True)
            headers = passed_back(response.headers) | {"content-type": XML_TYPE}
            page = read_page(await read_all(response, MAX_PAGE_BYTES, make_room=incoming.hold_page))
        is_encoded, prefix = "<EncodingType>url</EncodingType>" in page, call.query.get("prefix")
        if prefix:
            require_below(page, prefix, may_be_encoded="encoding-type" in call.query)
        if has_kept_keys(page) and not capabilities.keeps_slash_content():
            page = shown_names(page, prefix=prefix, after=after_in(call.query), is_encoded=is_encoded)
        return headers, page, is_encoded

    def _placed(self, bucket: str, entry: Listed, *, is_encoded: bool) -> tuple[Listed, _Place, Policy | None]:
        name = Name(bucket, unquote_plus(entry.key) if is_encoded else entry.key, entry.version_id)
        policy = self._objects.policies.find(bucket, name.key)
        return entry, (name, entry.etag, entry.size, policy.etag if policy else None), policy

    async def _look_at(self, places: dict[_Place, Policy]) -> None:
        turns = asyncio.Semaphore(_LOOKS_AT_ONCE)

        async def look(place: _Place, policy: Policy) -> None:
            async with turns:
                seen = await self._look(place, policy)
            if seen is not None:
                self._seen.keep(place, seen, weight=_bytes_of(place, seen))

        try:
            async with asyncio.TaskGroup() as group:
                for place, policy in places.items():
                    if self._seen.get(place) is None:
                        group.create_task(look(place, policy))
        except* StrongroomError as several:
            raise several.exceptions[0] from None

    async def _look(self, place: _Place, policy: Policy) -> Seen | None:
        """Look at an object; None if it cannot be seen: gone, damaged, or another one by now."""
        name, listed_etag = place[:2]
        try:
            found = await self._objects.finder.look(Read(name, policy))
            if found.store_etag != bare_etag(listed_etag):
                return None
            return Seen(isinstance(found, SealedObject), await found.etag())
        except UnavailableError:
            raise
        except StrongroomError:
            return None


def _bytes_of(place: _Place, seen: Seen) -> int:
    """Return how much memory a look takes."""
    name, etag, size, _ = place
    return _LOOK_BYTES + sum(map(sys.getsizeof, (name.key, name.version_id, etag, size, seen.etag)))


def _sent(query: Query) -> _Pairs:
    """Return the parameters of a list for the store, with no marker beside the prefix.

    Some stores list what is beside such a marker (``require_below``), and whether they do would tell what is there. One
    that comes before the prefix means its beginning, one that comes after it its end.
    """
    prefix = query.get("prefix")
    for name, marker in query.pairs:
        if name in _MARKERS and marker and not marker.startswith(prefix):
            others = tuple(pair for pair in query.pairs if pair[0] != name and pair[0] not in _IDS)
            return others if marker.encode() < prefix.encode() else (*others, (name, prefix + _LAST))
    return query.pairs


def _require_token(query: Query, answer: StoreAnswer) -> None:
    """Return unless a continuation token is a name beside the prefix, whatever the store makes of it.

    Raises:
        S3Error: InvalidArgument.
    """
    token = query.get("continuation-token")
    names = answer.headers.get("Server", "").startswith(_TELLS_TOKENS)
    if token and names and not token.startswith(query.get("prefix")):
        refuse_argument("The continuation token provided is incorrect", "continuation-token", token)


async def visible_buckets(
    store: Store, query: _Pairs, visible: Callable[[list[str]], Collection[str]], *, make_room: MakeRoom
) -> tuple[dict[str, str], Element]:
    """Return headers and list of the buckets that a client may see, without pages: what a token says may be a name.

    Raises:
        StrongroomError: the store refuses, or answers nonsense.
    """
    headers: dict[str, str] = {}
    first: Element | None = None
    shown: list[Element] = []
    place: _Pairs = ()
    sizes: list[int] = []  # of the pages: what is shown of all of them is held

    async def hold(size: int) -> None:
        sizes[-1] = size
        if sum(sizes) > MAX_PAGE_BYTES:  # some 30,000 buckets
            raise OddAnswerError("the store's list of buckets is too long")
        await make_room(sum(sizes))

    for _ in range(_MAX_BUCKET_PAGES):
        sizes.append(0)
        async with store.exchange(StoreRequest(method="GET", query=query + place)) as response:
            page = await document_in(response, "ListAllMyBucketsResult", most_bytes=MAX_PAGE_BYTES, make_room=hold)
            headers = passed_back(response.headers) | {"content-type": XML_TYPE}
        found = [bucket for buckets in page.all(_BUCKETS) for bucket in buckets.all("Bucket")]
        names = visible([bucket.get("Name") or "" for bucket in found])
        shown += [bucket for bucket in found if (bucket.get("Name") or "") in names]
        first, token = first or page, page.get(_NEXT)
        if not token:
            break
        require_token(token)
        place = (("continuation-token", token),)
    else:
        raise OddAnswerError("the store's list of buckets does not end")
    others = [child for child in first.children if child.name not in {_NEXT, _BUCKETS}]
    first.children = [*others, Element(_BUCKETS, children=shown)]  # once, however many lists the page has
    return headers, first


def read_page(raw: bytes) -> str:
    """Return a listing of the store.

    Raises:
        PeerError: it is not UTF-8 text.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise OddAnswerError("the store answers a list that is not UTF-8") from None


def _is_unclear(entry: Listed, policy: Policy) -> bool:
    """Return whether what is listed does not tell what clients would see."""
    if plaintext_shown(entry, policy, None) is None:
        return False  # no sealed object is listed like this
    return policy.mode is Mode.MIGRATE or (policy.etag is EtagMode.MD5 and "-" not in entry.etag)
