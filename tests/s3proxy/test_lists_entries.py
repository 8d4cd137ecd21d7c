"""Rewriting pages of listings, as stores of all kinds write them."""

import pytest

from s3proxy.keys.policies import Mode, Policy
from s3proxy.operations.lists.entries import (
    MAX_ENTRIES,
    Listed,
    Seen,
    entries_in,
    plaintext_shown,
    require_below,
    shown_page,
)
from strongroom.errors import PeerError
from strongroom.sealed.sizes import multipart_overhead_bytes, whole_stored_bytes

SEALED = Policy(name="p", kek="file", buckets=("*",))
OPEN = Policy(name="p", kek="file", buckets=("*",), mode=Mode.PASSTHROUGH)
HEX = "0123456789abcdef0123456789abcdef"
PAGE = (
    '<?xml version="1.0"?>\n<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>'
    "<Version><Key>a&amp;b&#9;&lt;</Key><VersionId>1</VersionId><ETag>&quot;x&quot;</ETag>\n<Size>384</Size>"
    "<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType></Version>"
    "<DeleteMarker><Key>a</Key><VersionId>2</VersionId></DeleteMarker>"
    "<Version><Key>b</Key><Size>7</Size></Version><NextVersionIdMarker>9</NextVersionIdMarker></ListVersionsResult>"
)


def listed(size: int | str, etag: str = f'"{HEX}"') -> Listed:
    return Listed("k", "", etag, str(size), 0, 0)


def test_entries_are_found_and_everything_else_stays() -> None:
    first, second = entries_in(PAGE)
    assert (first.key, first.version_id, first.etag, first.size) == ("a&b\t<", "1", '"x"', "384")
    assert (second.key, second.version_id, second.etag, second.size) == ("b", "", "", "7")
    assert shown_page(PAGE, [(first, None), (second, None)]) == PAGE
    changed = shown_page(PAGE, [(first, (5, '"y-1"')), (second, (6, '"z"'))])
    assert changed == (
        PAGE.replace("<Size>384</Size>", "<Size>5</Size>")
        .replace("<ETag>&quot;x&quot;</ETag>", "<ETag>&quot;y-1&quot;</ETag>")
        .replace("<Size>7</Size>", "<Size>6</Size>")
        .replace("<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>", "")
    )


@pytest.mark.parametrize(
    "page",
    [
        "<L><Contents a='1'><Key>k</Key><Size>1</Size></Contents></L>",
        "<L><s3:Contents><s3:Key>k</s3:Key></s3:Contents></L>",
        "<L><Contents/></L>",
        "<L><Contents><Key><![CDATA[k]]></Key></Contents></L>",
        "<L><!-- <Contents></Contents> --></L>",
        "<L><Contents><Key>k</Key>",
    ],
)
def test_a_page_in_which_an_entry_could_be_overlooked_is_refused(page: str) -> None:
    with pytest.raises(PeerError):
        entries_in(page)


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 10_000_000])
def test_sizes_of_sealed_objects(size: int) -> None:
    assert plaintext_shown(listed(whole_stored_bytes(size)), SEALED, None) == (size, f'"{HEX}-1"')
    parts = listed(size + multipart_overhead_bytes(3), f'"{HEX}-3"')
    assert plaintext_shown(parts, SEALED, None) == (size, f'"{HEX}-3"')


def test_what_no_proxy_has_sealed_stays() -> None:
    stored = listed(whole_stored_bytes(5))
    assert plaintext_shown(stored, None, None) is None
    assert plaintext_shown(stored, OPEN, None) is None
    assert plaintext_shown(stored, SEALED, Seen(is_sealed=False, etag='"e"')) is None
    assert plaintext_shown(stored, SEALED, Seen(is_sealed=True, etag='"e"')) == (5, '"e"')
    for size in (0, 383, "", "-5", "x", "9" * 40):
        assert plaintext_shown(listed(size), SEALED, None) is None


@pytest.mark.parametrize(
    "page",
    [
        "<Contents>" * 80_000,
        "<Contents></Version>" * 80_000,
        "<Contents><Key>k</Key></Contents>" * (MAX_ENTRIES + 1),
        "<" * (6 << 20),
        "<Contents><Key>" + "&#38;&" * (1 << 20) + "</Key></Contents>",
        f"<Contents><Key>{'&a' * 8000}</Key></Contents>" * 380,
        f"<Contents><Key>&#{'1' * 5000};</Key></Contents>",
    ],
    ids=[
        "never closed",
        "closed by another name",
        "too many",
        "nothing but openings",
        "a key of escapes",
        "escapes without an end",
        "an escape without an end",
    ],
)
def test_a_page_made_to_be_slow_is_refused_in_one_pass(page: str) -> None:
    """The first took minutes when the end of each entry was looked for anew; the time limit of the test shows it."""
    with pytest.raises(PeerError, match="cannot be read"):
        entries_in(page)


@pytest.mark.parametrize("name", ["Key", "VersionId", "ETag", "Size"])
def test_an_entry_that_tells_something_twice_is_refused(name: str) -> None:
    """Each ETag would be replaced by the one that is shown, of any length: 65 KB became 80 MB."""
    told = "<Key>k</Key><VersionId>1</VersionId><ETag>e</ETag><Size>384</Size>"
    assert len(entries_in(f"<Contents>{told}</Contents>")) == 1
    with pytest.raises(PeerError, match="cannot be read"):
        entries_in(f"<Contents>{told}<{name}></{name}></Contents>")


def test_escapes_stand_for_what_they_do_in_xml() -> None:
    entries = [f"<Contents><Key>{n}&amp;lt;&#38;gt;&apos;&#xe9;\u00e9</Key></Contents>" for n in range(3)]
    assert [entry.key for entry in entries_in("".join(entries))] == [f"{n}&lt;&gt;'\u00e9\u00e9" for n in range(3)]
    for odd in ("&nbsp;", "&amp", "&", "&#x110000;"):
        with pytest.raises(PeerError, match="cannot be read"):
            entries_in(f"<L><Contents><Key>{odd}</Key></Contents></L>")


ECHO = "<L><Prefix>public/</Prefix><Marker>private/</Marker><StartAfter>private/</StartAfter>"


@pytest.mark.parametrize(
    "told",
    [
        "<Contents><Key>private/x</Key><Size>1</Size></Contents>",  # SeaweedFS 4.34 and 4.47, for this marker
        "<Contents><Key>public/a</Key></Contents><Contents><Key>public</Key></Contents>",
        "<Version><Key>private/x</Key></Version>",
        "<DeleteMarker><Key>private/x</Key></DeleteMarker>",
        "<Upload><Key>private/x</Key></Upload>",
        "<CommonPrefixes><Prefix>private/</Prefix></CommonPrefixes>",
        "<NextMarker>private/x</NextMarker>",
        "<NextKeyMarker>private/x</NextKeyMarker>",
        "<Contents><Key>private%2Fpublic/</Key></Contents>",
        "<Contents><Key>&#112;rivate/x</Key></Contents>",
    ],
)
@pytest.mark.parametrize("may_be_encoded", [True, False])
def test_a_list_with_a_name_beside_its_prefix_is_refused(told: str, *, may_be_encoded: bool) -> None:
    with pytest.raises(PeerError, match="prefix"):
        require_below(f"{ECHO}{told}</L>", "public/", may_be_encoded=may_be_encoded)


@pytest.mark.parametrize(
    ("prefix", "told", "may_be_encoded"),
    [
        ("public/", "public/a", False),
        ("public/", "public%2Fa", True),
        ("a b+c%/ü", "a%20b%2Bc%25/%C3%BC1", True),
        ("a b+c%/ü", "a+b%2Bc%25/%C3%BC1", True),
        ("a b+c%/ü", "a%20b+c%25/%C3%BC1", True),
        ("a b+c%/ü", "a b+c%/ü1", True),  # of versions SeaweedFS encodes none
        ("a&<", "a&amp;&lt;1", False),
        ("a&<", "a&amp;%3C1", True),
    ],
)
def test_names_below_the_prefix_pass_however_they_are_encoded(prefix: str, told: str, *, may_be_encoded: bool) -> None:
    require_below(f"<L><Contents><Key>{told}</Key></Contents></L>", prefix, may_be_encoded=may_be_encoded)


@pytest.mark.timeout(10)
def test_a_list_of_very_many_short_names_is_refused_before_each_is_looked_at() -> None:
    """Of uploads nothing else is counted; the time limit of the test shows it."""
    with pytest.raises(PeerError, match="cannot be read"):
        require_below("<L>" + "<Key>%61</" * (600 << 10), "a", may_be_encoded=True)


def test_a_percent_sign_in_a_name_is_no_escape_where_none_were_asked_for() -> None:
    with pytest.raises(PeerError):
        require_below("<L><Contents><Key>public%2Fa</Key></Contents></L>", "public/", may_be_encoded=False)
