"""Listings of a store that keeps content under ``name/`` by another key show exactly the keys that were written."""

import contextlib
import re
from collections.abc import Iterator
from html import unescape
from typing import Any, get_args
from urllib.parse import unquote_plus

import pytest
from botocore.handlers import set_list_objects_encoding_type_url
from hypothesis import given, settings
from hypothesis import strategies as st

from devstack.s3proxy import ProxyProcess
from s3proxy.operations.lists.slash_names import after_in, has_kept_keys, shown_names
from s3proxy.s3api.operations import Query
from s3proxy.store.slash_keys import SEGMENT, has_segment, is_told_apart, kept_key, shown_answer
from strongroom.errors import PeerError
from tests.s3proxy.conftest import client_of
from tests.support.s3.list_model import Kind, Style, Wish, names_in, pages_of

PIECES = ["!", "!!", SEGMENT, "!" * 9, "%21", "%2F", "%21" * 8, "/", "/", "a", "xF", "F", "+", " ", "&", "<", "é", "\t"]
names = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)
keys = names.filter(lambda key: not has_segment(key))
styles = st.builds(Style, st.sampled_from(get_args(Kind)), st.booleans(), st.integers(1, 4))


def stored(written: set[str]) -> set[str]:
    return {kept_key(key) if key.endswith("/") else key for key in written}


def told(page: str, element: str, *, encoded: bool) -> list[str]:
    texts = [unescape(text) for text in re.findall(rf"<{element}>([^<]*)</{element}>", page)]
    return [unquote_plus(text) for text in texts] if encoded else texts


def shown(page: str, wish: Wish, *, encoded: bool) -> tuple[list[str], list[str]]:
    if has_kept_keys(page):
        page = shown_names(page, prefix=wish.prefix, after=wish.after, is_encoded=encoded)
    listed, groups = (told(page, name, encoded=encoded) for name in ("Key", "Prefix"))
    counts = re.findall("<KeyCount>([0-9]+)</KeyCount>", page)
    assert counts in ([], [str(len(listed) + len(groups))])
    return listed, groups


@given(
    written=st.sets(keys, max_size=8),
    prefix=st.just("") | names,
    delimiter=st.just("") | st.sampled_from(["/", "a", "%", "%21", "//"]) | names,
    style=styles,
)
@settings(max_examples=600, deadline=None)
def test_all_pages_together_have_the_keys_and_groups_that_were_written(
    written: set[str], prefix: str, delimiter: str, style: Style
) -> None:
    if not is_told_apart(delimiter):
        return
    wish = Wish(prefix, delimiter)
    listed: list[str] = []
    groups: list[str] = []
    for page in pages_of(stored(written), wish, style):
        more = shown(page, wish, encoded=style.encoded)
        listed += more[0]
        groups += more[1]
    assert sorted(listed + groups) == names_in(written, wish)
    assert set(listed) == {name for name in names_in(written, wish) if wish.name_of(name) == name} - set(groups)


@given(written=st.sets(keys, max_size=8), after=names | keys, style=styles)
@settings(max_examples=600, deadline=None)
def test_no_key_behind_a_marker_is_missing_and_the_marker_is_not_listed_again(
    written: set[str], after: str, style: Style
) -> None:
    wish = Wish(after=after)
    pages = pages_of(stored(written), wish, style)
    listed = [key for page in pages for key in shown(page, wish, encoded=style.encoded)[0]]
    missing = set(names_in(written, wish)) - set(listed)
    assert not missing
    assert len(listed) == len(set(listed))
    # The store has it where its segment is sorted: what went by in front of that may be such a marker.
    assert all(key.endswith("/") and key < after < kept_key(key) for key in set(listed) - set(names_in(written, wish)))


@given(delimiter=names, key=keys, prefix=st.just("") | names)
@settings(max_examples=600, deadline=None)
def test_a_delimiter_that_is_taken_groups_a_key_as_if_it_stood_there(delimiter: str, key: str, prefix: str) -> None:
    if not is_told_apart(delimiter) or not key.startswith(prefix):
        return
    kept, wish = kept_key(key + "/"), Wish(prefix, delimiter)
    group = wish.name_of(kept)
    assert group in {kept, wish.name_of(key + "/")}


@pytest.mark.parametrize("count", range(1, 9))
@pytest.mark.parametrize("before", ["", "/", "a/", "!/"])
def test_a_delimiter_that_ends_within_the_segment_is_not_taken(count: int, before: str) -> None:
    assert not is_told_apart(before + "!" * count)


@pytest.mark.parametrize("delimiter", ["", "/", "a!", "!a", "!/", "/!a", "!" * 9, "/" + "!" * 9])
def test_other_delimiters_are_taken(delimiter: str) -> None:
    assert is_told_apart(delimiter)


@pytest.mark.parametrize("key", ["xF" + SEGMENT, "a/" + "%21" * 8, "a/!!!!!!!%21", "a%2F" + SEGMENT])
@pytest.mark.parametrize("encoded", [True, False])
def test_a_key_that_only_looks_like_ours_stays_as_it_is(key: str, *, encoded: bool) -> None:
    (page,) = pages_of({key, kept_key("d/")}, Wish(), Style(encoded=encoded))
    assert shown(page, Wish(), encoded=encoded) == (sorted([key, "d/"]), [])


def test_version_1_goes_on_by_the_key_of_the_store_where_it_tells_no_marker() -> None:
    first, *_ = pages_of(stored({"d/", "e"}), Wish(), Style(size=1, tells_marker=False))
    page = shown_names(first, prefix="", after="", is_encoded=False)
    assert told(page, "NextMarker", encoded=False) == [kept_key("d/")]
    assert told(page, "Key", encoded=False) == ["d/"]


def test_a_page_that_ends_again_and_again_has_the_marker_once() -> None:
    """A marker of half a page before each end was the square of the page, in memory."""
    entries = f"<Contents><Key>{kept_key('d/')}</Key></Contents><Contents><Key>{'k' * 50_000}</Key></Contents>"
    page = f"<IsTruncated>true</IsTruncated>{entries}{'</ListBucketResult>' * 2000}"
    assert len(shown_names(page, prefix="", after="", is_encoded=False)) < len(page) + 51_000


@pytest.mark.parametrize(
    ("query", "after"),
    [
        ({"list-type": "2", "start-after": "d/", "marker": "x"}, "d/"),
        ({"marker": "d/"}, "d/"),
        ({"versions": "", "key-marker": "d/"}, "d/"),
        ({"versions": "", "key-marker": "d/", "version-id-marker": "1"}, ""),
        ({"uploads": "", "key-marker": "d/", "upload-id-marker": "1"}, ""),
        ({}, ""),
    ],
)
def test_where_a_listing_begins(query: dict[str, str], after: str) -> None:
    assert after_in(Query(tuple(query.items()))) == after


def test_an_entry_of_two_keys_is_refused() -> None:
    entry = f"<Contents><Key>a/{SEGMENT}</Key><Key>b/{SEGMENT}</Key></Contents>"
    with pytest.raises(PeerError):
        shown_names(f"<ListBucketResult>{entry}</ListBucketResult>", prefix="", after="", is_encoded=False)


def test_an_answer_about_one_key_has_that_key() -> None:
    location = "http://s/b/d%2F{}"
    for segment in (SEGMENT, "%21" * 8):
        answer = f"<R><Location>{location.format(segment)}</Location><Key>d/{SEGMENT}</Key></R>"
        assert shown_answer(answer, "d/") == f"<R><Location>{location.format('')}</Location><Key>d/</Key></R>"
    foreign = f"<R><Location>http://s/b/xF{SEGMENT}</Location><Key>xF{SEGMENT}</Key></R>"
    assert shown_answer(foreign, "d/") == foreign


@pytest.mark.parametrize("key", ["&a" * 8000, f"&#{'1' * 5000};", "\udcff"])
def test_an_answer_about_a_key_that_cannot_be_read_is_refused(key: str) -> None:
    with pytest.raises(PeerError, match="cannot be read"):
        shown_answer(f"<R><Key>{key}</Key></R>", "d/")


WRITTEN = {
    "d/": b"content", "d/ a": b"1", "d/!": b"1", "d/!a": b"1", "d/a": b"1", "d/sub/": b"content", "xF" + SEGMENT: b"1",
    "e/": b"", "e/b": b"1", "f!" + SEGMENT: b"1", SEGMENT: b"1", "&/": b"content",
}  # fmt: skip


LISTINGS = {"list_objects": "Contents", "list_objects_v2": "Contents", "list_object_versions": "Versions"}
WISHES = (Wish(), Wish("d/"), Wish("d/!"), Wish("", "/"), Wish("d/", "/"), Wish(kept_key("d/")))


@pytest.fixture(scope="module")
def bucket(s3: Any) -> str:
    name = "slash-lists"
    s3.create_bucket(Bucket=name)
    for key, content in WRITTEN.items():
        s3.put_object(Bucket=name, Key=key, Body=content)
    return name


@pytest.fixture(params=["encoded", "plain"])
def lister(request: pytest.FixtureRequest, proxy: ProxyProcess) -> Iterator[Any]:
    with contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as client:
        if request.param == "plain":  # or else boto3 asks for names that are encoded, and decodes them
            for operation in ("ListObjects", "ListObjectsV2", "ListObjectVersions"):
                event = f"before-parameter-build.s3.{operation}"
                client.meta.events.unregister(event, set_list_objects_encoding_type_url)
        yield client


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("listing", LISTINGS)
def test_a_real_store_lists_what_was_written(lister: Any, bucket: str, listing: str, size: int) -> None:
    for wish in WISHES:
        pages = lister.get_paginator(listing).paginate(
            Bucket=bucket, Prefix=wish.prefix, Delimiter=wish.delimiter, PaginationConfig={"PageSize": size}
        )
        listed: list[str] = []
        for page in pages:
            listed += [one["Key"] for one in page.get(LISTINGS[listing], [])]
            listed += [one["Prefix"] for one in page.get("CommonPrefixes", [])]
        assert sorted(listed) == names_in(WRITTEN, wish), wish


@pytest.mark.parametrize("listing", LISTINGS)
def test_a_real_store_lists_keys_with_percent_signs(s3: Any, lister: Any, listing: str) -> None:
    """On one page: SeaweedFS does not encode its NextMarker where it encodes keys, and goes round there, bare, too."""
    name = f"slash-lists-{listing.replace('_', '-')}"
    keys = {"p/", "p/" + "%21" * 8, "p%2F" + SEGMENT, "p/%", "%2F/", "p+q/"}
    with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou, s3.exceptions.BucketAlreadyExists):
        s3.create_bucket(Bucket=name)
    for key in keys:
        s3.put_object(Bucket=name, Key=key, Body=b"content")
    page = getattr(lister, listing)(Bucket=name)
    assert {one["Key"] for one in page[LISTINGS[listing]]} == keys


def test_a_real_store_lists_what_is_behind_a_marker(lister: Any, bucket: str) -> None:
    for after in sorted(WRITTEN):
        late = {"d/"} if "d/" < after < kept_key("d/") else set()  # the place of its content in the store's order
        for page in (
            lister.list_objects_v2(Bucket=bucket, StartAfter=after),
            lister.list_objects(Bucket=bucket, Marker=after),
            lister.list_object_versions(Bucket=bucket, KeyMarker=after),
        ):
            listed = {one["Key"] for one in page.get("Contents", page.get("Versions", []))}
            assert listed == set(names_in(WRITTEN, Wish(after=after))) | late, after
