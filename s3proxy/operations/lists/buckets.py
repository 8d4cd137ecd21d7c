"""ListBuckets: those that the client may see, and never the proxy's own."""

from http import HTTPStatus

from s3proxy.exchange.incoming import XML_TYPE, Incoming
from s3proxy.operations.lists.objects import MAX_PAGE_BYTES
from s3proxy.operations.multipart.upload import parse_answer
from s3proxy.s3api.object_headers import passed_back
from s3proxy.s3api.xml_read import Element, as_node
from s3proxy.s3api.xml_write import to_xml
from s3proxy.store.client import Store, StoreRequest, read_all
from s3proxy.store.errors import store_error


class BucketLister:
    """Lists buckets."""

    def __init__(self, store: Store, *, hidden_bucket: str) -> None:
        """Take the store, and the bucket that clients do not see."""
        self._store = store
        self._hidden_bucket = hidden_bucket

    async def serve(self, incoming: Incoming) -> None:
        """Serve ListBuckets. With max-buckets a page may have fewer: what is hidden is taken out of it.

        Raises:
            StrongroomError: the store refuses, or answers nonsense.
        """
        async with self._store.exchange(StoreRequest(method="GET", query=incoming.call.query.pairs)) as response:
            if response.status != HTTPStatus.OK:
                raise await store_error(response)
            headers = passed_back(response.headers) | {"content-type": XML_TYPE}
            page = parse_answer(
                await read_all(response, MAX_PAGE_BYTES, make_room=incoming.hold_page), "ListAllMyBucketsResult"
            )
        names = [_name(bucket) for buckets in page.all("Buckets") for bucket in buckets.all("Bucket")]
        visible = set(incoming.verified.principal.visible_buckets(names)) - {self._hidden_bucket}
        for buckets in page.all("Buckets"):
            buckets.children = [bucket for bucket in buckets.children if _name(bucket) in visible]
        await incoming.respond(HTTPStatus.OK, headers, to_xml(as_node(page)))


def _name(bucket: Element) -> str:
    return bucket.get("Name") or ""
