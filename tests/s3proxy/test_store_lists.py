"""Lists of a store that are nonsense, or never end: they come to an end, and are held no longer than they need be."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from s3proxy.keys import keyring as keyring_module
from s3proxy.keys.keyring import Keyring
from s3proxy.keys.missing_policies import MissingPolicies
from s3proxy.keys.policies import Mode, Policies, Policy
from s3proxy.keys.sample import Sampler
from s3proxy.operations.lists import objects
from s3proxy.operations.lists.objects import visible_buckets
from s3proxy.operations.multipart.kept import KeptParts
from s3proxy.operations.multipart.upload import Upload, create_upload, list_stored_parts
from s3proxy.s3api.errors import S3Error
from s3proxy.store.capabilities import Capabilities
from s3proxy.store.client import Together
from s3proxy.store.listing import list_objects
from s3proxy.store.probe import StoreProbe
from s3proxy.store.slash_keys import SEGMENT
from s3proxy.store.system_bucket import SystemBucket
from s3proxy.stored.etags import KnownDigests
from s3proxy.stored.open import ObjectFinder, Objects
from s3proxy.stored.read import Name
from strongroom.errors import PeerError, UnavailableError
from tests.s3proxy.answering import answering, in_a_loop, serving, store_at

LONG = "9" * 5000  # more digits than Python makes a number of


def page_of_parts(following: str) -> str:
    part = "<Part><PartNumber>1</PartNumber><Size>1</Size><ETag>e</ETag></Part>"
    told = f"<IsTruncated>true</IsTruncated><NextPartNumberMarker>{following}</NextPartNumberMarker>"
    return f"<ListPartsResult>{part}{told}</ListPartsResult>"


@in_a_loop
async def test_looks_at_listed_objects_are_kept_by_what_they_take_and_not_by_their_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The store gives versions and ETags any length; a hundred thousand of 16 KB are gigabytes."""
    monkeypatch.setattr(objects, "_KEPT_LOOKS_BYTES", 1 << 20)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 400\r\n\r\n')

    policy = Policy(name="p", kek="file", buckets=("*",), mode=Mode.MIGRATE)
    names = [Name("b", str(number), "v" * 16_000) for number in range(100)]
    async with serving(serve) as server:
        store = store_at(server)
        policies, known = Policies((policy,)), KnownDigests()
        keys: Any = None  # nothing is opened
        finder = ObjectFinder(store, keys, policies, known)
        bucket = SystemBucket(store, "system")
        parts = Objects(store=store, policies=policies, keys=keys, known=known, finder=finder, system_bucket=bucket)
        lister = objects.Lister(parts)
        await lister._look_at({(name, '"e"', "400", policy.etag): policy for name in names})
        kept = [place[0] for place, _ in lister._seen.items()]
        await store.close()
    assert kept
    assert sum(len(name.version_id) for name in kept) <= 1 << 20


@in_a_loop
async def test_a_list_of_buckets_with_many_lists_has_each_bucket_once_and_counts_all_of_its_pages() -> None:
    """What is seen stood in each of them: a page of a megabyte became gigabytes."""
    held = []

    async def hold(size: int) -> None:
        held.append(size)

    pages = [
        page.replace("<Buckets>", "<Buckets/>" * 1000 + "<Buckets>")
        for page in (page_of_buckets("a", "b"), page_of_buckets("b"))
    ]
    async with serving(answering(*pages)) as server:
        store = store_at(server)
        _, page = await visible_buckets(store, (), lambda names: names, make_room=hold)
        await store.close()
    assert [[bucket.get("Name") for bucket in found.children] for found in page.children] == [["a", "b"]]
    assert held[-1] == sum(map(len, pages))


@pytest.mark.parametrize("markers", [("1", "2"), ("1",), ("",), ("x",), ("10001",), (LONG,), ("-1",)])
@in_a_loop
async def test_a_list_of_parts_that_does_not_go_on_comes_to_an_end(markers: tuple[str, ...]) -> None:
    async with serving(answering(*map(page_of_parts, markers))) as server:
        store = store_at(server)
        with pytest.raises(PeerError, match="does not go on"):
            await list_stored_parts(store, Upload("b", "k", "id"), together=Together(no_limit))
        await store.close()


@in_a_loop
async def test_a_list_of_parts_with_attempts_without_end_is_not_held() -> None:
    part = "<Part><PartNumber>1</PartNumber><Size>1</Size><ETag>e</ETag></Part>"
    pages = [page_of_parts(str(marker)).replace(part, 25_000 * part) for marker in range(1, 10)]
    async with serving(answering(*pages)) as server:
        store = store_at(server)
        with pytest.raises(PeerError, match="attempts at the parts") as caught:
            await list_stored_parts(store, Upload("b", "k", "id"), together=Together(no_limit))
        assert "abort the upload" in caught.value.hint
        await store.close()


@pytest.mark.parametrize("etag", ["", "&quot;&quot;", "e" * 1025])
@in_a_loop
async def test_a_part_without_an_etag_or_with_one_that_is_longer_than_any_is_refused(etag: str) -> None:
    """A hundred thousand parts, in ten thousand pages, may be held."""
    page = (
        f"<ListPartsResult><Part><PartNumber>1</PartNumber><Size>1</Size><ETag>{etag}</ETag></Part></ListPartsResult>"
    )
    async with serving(answering(page)) as server:
        store = store_at(server)
        with pytest.raises(PeerError, match="ETag of a part"):
            await list_stored_parts(store, Upload("b", "k", "id"), together=Together(no_limit))
        await store.close()


@in_a_loop
async def test_of_kept_copies_no_name_is_held_that_is_longer_than_any() -> None:
    upload = Upload("b", "k", "id")
    names = [f"uploads/{upload.tag.hex()}/1/{etag}" for etag in ("e" * 1025, "e" * 1024)]
    entries = "".join(f"<Contents><Key>{name}</Key><Size>1</Size></Contents>" for name in names)
    async with serving(answering(f"<ListBucketResult>{entries}</ListBucketResult>")) as server:
        store = store_at(server)
        kept = await KeptParts(store, SystemBucket(store, "system")).find(upload, Together(no_limit))
        assert [part.etag for part in kept] == ["e" * 1024]
        await store.close()


@pytest.mark.parametrize("upload_id", ["", "a/b", "u" * 1025])
@in_a_loop
async def test_an_upload_with_an_id_that_no_client_could_use_is_not_begun(upload_id: str) -> None:
    """An id of 4 MB was in each request about the upload, ten thousand for a copy, and each took 0.4 s to be made."""
    page = f"<InitiateMultipartUploadResult><UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>"
    async with serving(answering(page)) as server:
        store = store_at(server)
        with pytest.raises(PeerError, match="without an id"):
            await create_upload(store, Name("b", "k"), {})
        await store.close()


@in_a_loop
async def test_a_list_of_objects_with_a_name_that_is_longer_than_any_is_refused() -> None:
    page = f"<ListBucketResult><Contents><Key>{'k' * 20_000}</Key><Size>1</Size></Contents></ListBucketResult>"
    async with serving(answering(page)) as server:
        store = store_at(server)
        with pytest.raises(PeerError, match="too long"):
            _ = [one async for one in list_objects(store, "b")]
        await store.close()


def page_of_buckets(names: Iterable[str], token: str = "") -> str:
    listed = "".join(f"<Bucket><Name>{name}</Name></Bucket>" for name in names)
    following = f"<ContinuationToken>{token}</ContinuationToken>" if token else ""
    return f"<ListAllMyBucketsResult><Buckets>{listed}</Buckets>{following}</ListAllMyBucketsResult>"


@in_a_loop
async def test_buckets_that_the_store_lists_in_pages_are_one_list_without_what_may_not_be_seen() -> None:
    async def hold(_: int) -> None:
        return

    pages = page_of_buckets(["mine", "other"], "other"), page_of_buckets(["another"], "another"), page_of_buckets(["z"])
    async with serving(answering(*pages)) as server:
        store = store_at(server)
        _, page = await visible_buckets(store, (), lambda names: {*names} & {"mine", "z"}, make_room=hold)
        await store.close()
    assert [child.name for child in page.children] == ["Buckets"]
    assert [bucket.get("Name") for bucket in page.children[0].children] == ["mine", "z"]
    async with serving(answering(page_of_buckets(["mine"], "mine"))) as server:
        store = store_at(server)
        with pytest.raises(PeerError, match="does not end"):
            await visible_buckets(store, (), lambda _: (), make_room=hold)
        await store.close()


@in_a_loop
async def test_a_list_of_buckets_that_is_too_long_in_all_its_pages_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [
        page_of_buckets((f"{page}-{number}" for number in range(100)), token)
        for page, token in (("a", "next"), ("b", ""))
    ]
    monkeypatch.setattr(objects, "MAX_PAGE_BYTES", len(pages[0]) + 10)
    async with serving(answering(*pages)) as server:
        store = store_at(server)
        with pytest.raises(PeerError, match="list of buckets is too long"):
            await visible_buckets(store, (), lambda names: names, make_room=no_limit)
        await store.close()


async def no_limit(_: int) -> None:
    """Make room for anything."""


def page_of_policies(names: Iterable[str], token: str = "") -> str:
    told = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    listed = "".join(f"<CommonPrefixes><Prefix>keyring/{name}/</Prefix></CommonPrefixes>" for name in names)
    return f"<ListBucketResult>{listed}{told}</ListBucketResult>"


@in_a_loop
async def test_policies_of_the_keyring_without_end_are_neither_held_nor_told() -> None:
    async with serving(answering(page_of_policies(map(str, range(10_001)), "a"), "")) as server:
        store = store_at(server)
        keyring = Keyring(store, SystemBucket(store, "system"))
        with pytest.raises(PeerError, match="more than 10000 policies"):
            await keyring.policies()
        missing = MissingPolicies(keyring)
        await missing.follow(Policies(()))
        assert missing.names == []
        await store.close()


@in_a_loop
async def test_what_cannot_be_the_name_of_a_policy_is_not_taken_for_one() -> None:
    names = ("good", "Upper", "with%20blank", "x" * 33, "", "&#10;")
    async with serving(answering(page_of_policies(names))) as server:
        store = store_at(server)
        assert await Keyring(store, SystemBucket(store, "system")).policies() == {"good"}
        await store.close()


@in_a_loop
async def test_of_many_policies_that_are_missing_some_are_named_and_the_others_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(answering(page_of_policies(f"p{number:03}" for number in range(250)))) as server:
        store = store_at(server)
        missing = MissingPolicies(Keyring(store, SystemBucket(store, "system")))
        with caplog.at_level("WARNING"):
            await missing.follow(Policies(()))
        assert len(missing.names) == 250
        assert missing.detail.endswith("p099, and 150 more")
        assert [record.getMessage() for record in caplog.records].count("policies_missing") == 1
        assert len(caplog.records) == 101
        await store.close()


@pytest.mark.timeout(150)
@in_a_loop
async def test_a_list_of_the_keyring_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What confirms bucket keys waits behind it."""
    monkeypatch.setattr(keyring_module, "_MAX_ENTRIES", 20_000)
    pages = [page_of_policies(("p",), token) for token in "ab"]
    async with serving(answering(*pages)) as server:
        store = store_at(server)
        keyring = Keyring(store, SystemBucket(store, "system"))
        with pytest.raises(PeerError, match="does not end"):
            await keyring.policies()
        assert [one async for one in keyring.newest(8)] == [], "the newest of what was seen; here there are no records"
        await store.close()


OBJECTS = "<ListBucketResult><Contents><Key>k</Key><Size>1</Size><ETag>e</ETag></Contents></ListBucketResult>"


@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize(
    ("documents", "buckets"),
    [(("",), "b"), (("",), "b*"), ((OBJECTS, ""), "b")],
    ids=["list of objects", "list of buckets", "object"],
)
@in_a_loop
async def test_a_store_that_fails_while_objects_of_a_policy_are_looked_for_has_not_said_that_there_is_none(
    documents: tuple[str, ...], buckets: str, status: int
) -> None:
    """The key of a policy would be taken for the right one, and sealed under."""
    statuses = (*[200] * (len(documents) - 1), status)
    async with serving(answering(*documents, statuses=statuses)) as server:
        store = store_at(server)
        with pytest.raises(UnavailableError, match=f"the store answers {status}"):
            await Sampler(store, hidden_bucket="s").find(Policy(name="main", kek="file", buckets=(buckets,)))
        await store.close()


@in_a_loop
async def test_a_store_that_has_no_list_of_buckets_refuses_it_for_good() -> None:
    async with serving(answering("", statuses=(501,))) as server:
        store = store_at(server)
        with pytest.raises(S3Error) as caught:
            await Sampler(store, hidden_bucket="s").find(Policy(name="main", kek="file", buckets=("b*",)))
        assert caught.value.code == "NotImplemented"
        await store.close()


@pytest.mark.parametrize("size", ["", "x", "-1", "\u0663", LONG])
@in_a_loop
async def test_a_list_of_objects_without_sizes_is_refused(size: str) -> None:
    page = f"<ListBucketResult><Contents><Key>k</Key><Size>{size}</Size></Contents></ListBucketResult>"
    async with serving(answering(page, page.replace("<Key>k</Key>", ""))) as server:
        store = store_at(server)
        for _ in range(2):
            with pytest.raises(PeerError, match="without its name or size"):
                _ = [one async for one in list_objects(store, "b")]
        await store.close()


@pytest.mark.timeout(150)
@in_a_loop
async def test_a_list_of_empty_pages_comes_to_an_end() -> None:
    pages = [
        f"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
        "</ListBucketResult>"
        for token in "ab"
    ]
    async with serving(answering(*pages)) as server:
        store = store_at(server)
        with pytest.raises(PeerError, match="does not go on"):
            _ = [one async for one in list_objects(store, "b")]
        await store.close()


def pages_without_end(*keys: str) -> list[str]:
    entries = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in keys)
    told = "<IsTruncated>true</IsTruncated><NextContinuationToken>{}</NextContinuationToken>"
    return [f"<ListBucketResult>{told.format(token)}{entries}</ListBucketResult>" for token in "ab"]


@in_a_loop
async def test_a_list_of_nothing_but_the_content_of_one_folder_again_and_again_comes_to_an_end() -> None:
    first = pages_without_end("a/")[0].replace(">a<", ">c<")
    async with serving(answering(first, *600 * pages_without_end(f"a/{SEGMENT}"))) as server:
        store = store_at(server)
        store.capabilities = Capabilities(slash_content=False)
        with pytest.raises(PeerError, match="does not go on"):
            _ = [one async for one in list_objects(store, "b")]
        await store.close()


@in_a_loop
async def test_a_list_of_other_names_where_parts_were_kept_or_names_were_tried_comes_to_an_end() -> None:
    """The request would never end, and its place be taken for good."""
    async with serving(answering(*pages_without_end(*1000 * ["other"]))) as server:
        store = store_at(server)
        bucket = SystemBucket(store, "system")
        with pytest.raises(PeerError, match="attempts at the small parts"):
            await KeptParts(store, bucket).find(Upload("b", "k", "id"), Together(no_limit))
        with pytest.raises(PeerError, match="lists more than was written"):
            await StoreProbe(store, bucket)._listed("probe/")
        await store.close()


@in_a_loop
async def test_an_upload_with_more_attempts_than_it_may_have_parts_is_only_given_up() -> None:
    upload, pages, removed = Upload("b", "k", "id"), 13, set[str]()
    prefix = f"uploads/{upload.tag.hex()}/1/"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            method, target, _ = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ", 2)
            body = ""
            if method == "DELETE":
                removed.add(target.rpartition("/")[2])
            else:
                page = int((target.partition("continuation-token=")[2] or "0").partition("&")[0])
                names = range(1000 * page, 1000 * page + 1000)
                body = "".join(f"<Contents><Key>{prefix}{n}</Key><Size>1</Size></Contents>" for n in names)
                told = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{page + 1}</NextContinuationToken>"
                body = f"<ListBucketResult>{told if page + 1 < pages else ''}{body}</ListBucketResult>"
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    async with serving(serve) as server:
        store = store_at(server)
        kept = KeptParts(store, SystemBucket(store, "system"))
        with pytest.raises(PeerError, match="attempts at the small parts") as caught:
            await kept.find(upload, Together(no_limit))
        assert "abort the upload" in caught.value.hint
        await kept.remove_all(upload, Together(no_limit))
        assert len(removed) == 1000 * pages
        await store.close()
