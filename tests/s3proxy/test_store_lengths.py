"""What the store tells in its lists and small answers: of any length, but not held, counted and asked for so."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from s3proxy.keys.keyring import Keyring
from s3proxy.keys.policies import Policy
from s3proxy.keys.sample import Sampler
from s3proxy.operations.lists.objects import visible_buckets
from s3proxy.operations.multipart.kept import KeptParts
from s3proxy.operations.multipart.upload import Upload, create_upload, list_stored_parts
from s3proxy.store.client import Store, Together
from s3proxy.store.listing import list_objects
from s3proxy.store.system_bucket import SystemBucket
from s3proxy.stored.read import Name
from strongroom.errors import PeerError
from tests.s3proxy.answering import answering, in_a_loop, serving, store_at

LONG_NAME = "%25" * 10_000
GOES_ON = "<IsTruncated>true</IsTruncated>"


async def no_limit(_: int) -> None:
    """Make room for anything."""


def page_of_buckets(*names: str) -> str:
    listed = "".join(f"<Bucket><Name>{name}</Name></Bucket>" for name in names)
    return f"<ListAllMyBucketsResult><Buckets>{listed}</Buckets></ListAllMyBucketsResult>"


@in_a_loop
async def test_of_a_document_that_is_no_list_no_more_is_read_than_any_has() -> None:
    """Of a copy eight such answers are awaited at once, for which no memory is counted."""
    page = "<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>"
    async with serving(answering(page, page + " " * (1 << 16))) as server:
        store = store_at(server)
        assert (await create_upload(store, Name("b", "k"), {}))[0] == "id"
        with pytest.raises(PeerError, match="more than 65536 bytes"):
            await create_upload(store, Name("b", "k"), {})
        await store.close()


@in_a_loop
async def test_lists_of_the_parts_of_an_upload_count_together() -> None:
    """All of it was held, half a gigabyte of 400 MB at worst, and none of it counted."""
    held: list[int] = []

    async def hold(size: int) -> None:
        held.append(size)

    upload, part = Upload("b", "k", "id"), "<Part><PartNumber>1</PartNumber><Size>1</Size><ETag>e</ETag></Part>"
    pages = [
        f"<ListPartsResult>{part}{GOES_ON}<NextPartNumberMarker>5</NextPartNumberMarker></ListPartsResult>",
        f"<ListPartsResult>{part}</ListPartsResult>",
    ]
    copies = f"<ListBucketResult><Contents><Key>uploads/{upload.tag.hex()}/1/e</Key><Size>1</Size></Contents>"
    pages.append(copies + "</ListBucketResult>")
    async with serving(answering(*pages)) as server:
        store = store_at(server)
        together = Together(hold, size=1000)
        assert len(await list_stored_parts(store, upload, together=together)) == 2
        assert len(await KeptParts(store, SystemBucket(store, "system")).find(upload, together)) == 1
        await store.close()
    lengths = [len(page) for page in pages]
    assert held == [1000 + sum(lengths[:count]) for count in (1, 2, 3)]


@in_a_loop
async def test_what_is_read_beside_each_other_makes_room_one_after_the_other() -> None:
    """Who makes room has to know how much there is already."""
    at_once, told = 0, list[int]()

    async def hold(size: int) -> None:
        nonlocal at_once
        at_once += 1
        assert at_once == 1
        await asyncio.sleep(0)
        told.append(size)
        at_once -= 1

    together = Together(hold)
    one, other = together.next(), together.next()
    await asyncio.gather(one(10), other(1), one(20), other(2))
    await one(30)
    assert told[-1] == 32


async def asked_for(pages: list[str], ask: Callable[[Store], Awaitable[None]]) -> list[str]:
    """Return what a store is asked for that answers with these pages, and then that there is nothing."""
    targets: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            targets.append((await reader.readuntil(b"\r\n\r\n")).decode().split(" ", 2)[1])
            page, status = (pages[len(targets) - 1], 200) if len(targets) <= len(pages) else ("", 404)
            writer.write(f"HTTP/1.1 {status} Told\r\nContent-Length: {len(page)}\r\n\r\n{page}".encode())

    async with serving(serve) as server:
        store = store_at(server)
        await ask(store)
        await store.close()
    return targets


@in_a_loop
async def test_of_the_keyring_nothing_is_asked_for_that_is_the_name_of_no_record() -> None:
    """A name of 6 MB took two seconds to be asked for, of 256, and this long everybody waited at the start."""

    async def ask(store: Store) -> None:
        assert [one async for one in Keyring(store, SystemBucket(store, "system")).newest(256)] == []

    record = f"main/{'0f' * 16}.json"
    names = [record, LONG_NAME, f"main/{LONG_NAME}", "main/other.json", f"Upper/{'0f' * 16}.json", f"{record}/x", ""]
    entries = "".join(
        f"<Contents><Key>keyring/{name}</Key><LastModified>{'9' * 100}</LastModified></Contents>" for name in names
    )
    targets = await asked_for([f"<ListBucketResult>{entries}</ListBucketResult>"], ask)
    assert targets[1:] == [f"/system/keyring/{record}"]


@in_a_loop
async def test_no_bucket_is_looked_into_by_a_name_that_none_can_have() -> None:
    """It was asked for again and again, and could be told to whoever asks /readyz."""

    async def ask(store: Store) -> None:
        assert await Sampler(store, hidden_bucket="s").find(Policy(name="main", kek="file", buckets=("*",))) is None

    targets = await asked_for([page_of_buckets(LONG_NAME, "a/b", "", "good")], ask)
    assert [target.partition("?")[0] for target in targets[1:]] == ["/good"]


@in_a_loop
async def test_a_list_that_goes_on_at_a_token_that_is_longer_than_any_is_refused() -> None:
    """It is a part of the next request, of 18 MB then."""
    told = f"{GOES_ON}<NextContinuationToken>{LONG_NAME}</NextContinuationToken>"
    page = f"<ListBucketResult>{told}</ListBucketResult>"
    buckets = f"<ListAllMyBucketsResult><ContinuationToken>{LONG_NAME}</ContinuationToken></ListAllMyBucketsResult>"
    async with serving(answering(page, page, buckets)) as server:
        store = store_at(server)
        with pytest.raises(PeerError, match="token that is too long"):
            _ = [one async for one in list_objects(store, "b")]
        with pytest.raises(PeerError, match="token that is too long"):
            await Keyring(store, SystemBucket(store, "system")).policies()
        with pytest.raises(PeerError, match="token that is too long"):
            await visible_buckets(store, (), lambda names: names, make_room=no_limit)
        await store.close()
