"""Which S3 clients work through the proxy, told nothing but endpoint and credentials: ``docs/compatibility.md``.

Each cell is one test: the real client at a real proxy before a real store. What the client did is looked at with
another client, and at the store. Run with ``UPDATE_COMPATIBILITY=1`` to write the page anew.
"""

import filecmp
import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from ssl import create_default_context
from urllib.parse import urlsplit

import pytest

from tests.s3clients import page
from tests.s3clients.client import Client, Column
from tests.s3clients.conftest import BARE, CLIENTS, STORES
from tests.s3clients.stand import Stand

pytestmark = pytest.mark.early

CHUNK = 65_536
# s3cmd copies access lists, and moto answers 500 when it is asked for that of an object that came of an upload.
NO_LARGE_COPY = {("s3cmd", "moto")}
LONG_AGO_S = 1_000_000_000
FIRST, LAST = 70_000, 140_000  # from one chunk into another

_rows: dict[page.Row, dict[Column, str]] = {}
_versions: dict[str, str] = {}


def _who_has(column: Column) -> pytest.MarkDecorator:
    kinds = [kind for kind in CLIENTS if column not in kind.lacks]
    return pytest.mark.parametrize("client", kinds, indirect=True, ids=lambda kind: kind.name)


@contextmanager
def _cell(client: Client, stand: Stand, column: Column) -> Iterator[str]:
    """Note whether the block held, and give it a prefix of its own."""
    cells = _rows.setdefault((client.name, stand.endpoint.store), dict.fromkeys(client.lacks, page.NOTHING))
    if client.name not in _versions:
        _versions[client.name] = client.version()
    cells[column] = page.NO
    yield f"{client.name}/{column}/".replace(" ", "-").lower()
    cells[column] = page.YES


@_who_has(Column.PUT)
def test_put(client: Client, stand: Stand, small: Path, tmp_path: Path) -> None:
    with _cell(client, stand, Column.PUT) as prefix:
        empty = tmp_path / "empty"
        empty.touch()
        client.put(f"{prefix}small", small)
        client.put(f"{prefix}empty", empty)
        assert stand.read(f"{prefix}small") == small.read_bytes()
        assert stand.head(f"{prefix}small")["ContentLength"] == small.stat().st_size
        assert stand.read(f"{prefix}empty") == b""
        stand.require_sealed(f"{prefix}small", small.read_bytes())


@_who_has(Column.GET)
def test_get(client: Client, stand: Stand, small: Path, tmp_path: Path) -> None:
    with _cell(client, stand, Column.GET) as prefix:
        for name, body in (("small", small.read_bytes()), ("empty", b"")):
            stand.put(prefix + name, body)
            client.get(prefix + name, tmp_path / name)
            assert (tmp_path / name).read_bytes() == body


@_who_has(Column.RANGE)
def test_range(client: Client, stand: Stand, small: Path, tmp_path: Path) -> None:
    with _cell(client, stand, Column.RANGE) as prefix:
        stand.put(f"{prefix}small", small.read_bytes())
        client.read_range(f"{prefix}small", FIRST, LAST, tmp_path / "range")
        assert (tmp_path / "range").read_bytes() == small.read_bytes()[FIRST : LAST + 1]


@_who_has(Column.MULTIPART)
def test_multipart(client: Client, stand: Stand, large: Path, tmp_path: Path) -> None:
    with _cell(client, stand, Column.MULTIPART) as prefix:
        key = f"{prefix}large"
        length = client.large_bytes
        client.put_large(key, large)
        head = stand.head(key)
        parts = re.fullmatch(r'"[0-9a-f]{32}-(\d+)"', head["ETag"])
        assert parts is not None, head["ETag"]
        assert int(parts.group(1)) > 1
        assert head["ContentLength"] == length
        assert client.sizes(prefix) == {key: length}
        client.get(key, tmp_path / "large")
        assert filecmp.cmp(tmp_path / "large", large, shallow=False)
        body = large.read_bytes()
        stand.require_sealed(key, body)
        keys = [key]
        if (client.name, stand.endpoint.store) not in NO_LARGE_COPY:
            keys.append(f"{key}-copy")
            client.copy(*keys)
            assert client.sizes(prefix) == dict.fromkeys(keys, length)
            stand.require_sealed(keys[1], body)
            middle = length * 9 // 10  # from somewhere in a part to the end
            assert stand.read(keys[1], begin=middle) == body[middle:]
        client.delete(keys)  # the machine has better uses for its memory
        stand.require_absent(keys)


@_who_has(Column.LIST)
def test_list(client: Client, stand: Stand, small: Path) -> None:
    with _cell(client, stand, Column.LIST) as prefix:
        body = small.read_bytes()
        sizes = {
            f"{prefix}{name}": length
            for name, length in {"0": 0, "1": 1, "whole": CHUNK, "more": CHUNK + 1, "in/a/folder": 3 * CHUNK}.items()
        }
        for key, length in sizes.items():
            stand.put(key, body[:length])
        assert client.sizes(prefix) == sizes


@_who_has(Column.LISTED)
def test_read_listed(client: Client, stand: Stand, small: Path) -> None:
    with _cell(client, stand, Column.LISTED) as prefix:
        body = small.read_bytes()
        sizes = {f"{prefix}{name}": length for name, length in {"1": 1, "whole": CHUNK, "more": 3 * CHUNK}.items()}
        for key, length in sizes.items():
            stand.put(key, body[:length])
        stand.put_parts(f"{prefix}parts", body)
        assert client.read_listed(prefix) == sizes | {f"{prefix}parts": len(body)}


@_who_has(Column.SYNC)
def test_sync(client: Client, stand: Stand, small: Path, tmp_path: Path) -> None:
    with _cell(client, stand, Column.SYNC) as prefix:
        here, there = tmp_path / "here", tmp_path / "there"
        (here / "folder").mkdir(parents=True)
        there.mkdir()
        bodies = {"a": b"", "b": b"b" * CHUNK, "folder/c": small.read_bytes()}
        for name, body in bodies.items():
            (here / name).write_bytes(body)
            os.utime(here / name, (LONG_AGO_S, LONG_AGO_S))  # stores round times to seconds, and some clients compare
        assert client.sync_up(here, prefix) == len(bodies)
        assert client.sync_up(here, prefix) == 0
        (here / "b").write_bytes(b"changed")
        assert client.sync_up(here, prefix) == 1
        assert client.sync_down(prefix, there) == len(bodies)
        assert client.sync_down(prefix, there) == 0
        for name, body in (bodies | {"b": b"changed"}).items():
            assert (there / name).read_bytes() == body
        stand.require_sealed(f"{prefix}folder/c", small.read_bytes())


@_who_has(Column.COPY)
def test_copy(client: Client, stand: Stand, small: Path) -> None:
    with _cell(client, stand, Column.COPY) as prefix:
        stand.s3.put_object(
            Bucket=stand.endpoint.bucket,
            Key=f"{prefix}source",
            Body=small.read_bytes(),
            ContentType="text/x-copied",
            Metadata={"word": "kept"},
        )
        client.copy(f"{prefix}source", f"{prefix}target")
        assert stand.read(f"{prefix}target") == small.read_bytes()
        head = stand.head(f"{prefix}target")
        assert (head["ContentType"], head["Metadata"].get("word")) == ("text/x-copied", "kept")
        stand.require_sealed(f"{prefix}target", small.read_bytes())


@_who_has(Column.PRESIGN)
def test_presign(client: Client, stand: Stand, small: Path) -> None:
    with _cell(client, stand, Column.PRESIGN) as prefix:
        stand.put(f"{prefix}small", small.read_bytes())
        url = client.presign(f"{prefix}small", "GET")
        assert _request(url, "GET", stand) == (HTTPStatus.OK, small.read_bytes())
        if "PUT" in client.presigns:
            url = client.presign(f"{prefix}written", "PUT")
            assert _request(url, "PUT", stand, small.read_bytes()) == (HTTPStatus.OK, b"")
            assert stand.read(f"{prefix}written") == small.read_bytes()
            stand.require_sealed(f"{prefix}written", small.read_bytes())


def _request(url: str, method: str, stand: Stand, body: bytes | None = None) -> tuple[int, bytes]:
    """Do what the URL is for, with no header of one's own."""
    parts = urlsplit(url)
    connection: HTTPConnection
    if parts.scheme == "https":
        context = create_default_context(cafile=stand.endpoint.ca_file)
        connection = HTTPSConnection(parts.netloc, context=context, timeout=30)
    else:
        connection = HTTPConnection(parts.netloc, timeout=30)
    with closing(connection):
        connection.request(method, f"{parts.path}?{parts.query}", body)
        answer = connection.getresponse()
        return answer.status, answer.read()


@_who_has(Column.DELETE)
def test_delete(client: Client, stand: Stand) -> None:
    with _cell(client, stand, Column.DELETE) as prefix:
        keys = [f"{prefix}{name}" for name in ("one", "two", "with space & plus+")]
        for key in (*keys, f"{prefix}stays"):
            stand.put(key, b"to be deleted")
        client.delete(keys)
        stand.require_absent(keys)
        assert stand.read(f"{prefix}stays") == b"to be deleted"


@pytest.mark.skipif(BARE, reason="the page is about the proxy, and these clients spoke with the stores")
def test_the_page_says_what_was_observed() -> None:
    assert _rows, "this test needs the ones before it"
    if os.environ.get("UPDATE_COMPATIBILITY"):
        order = [(client.name, store) for client in CLIENTS for store in STORES]
        page.write(_rows, _versions, order=order, remarks=_remarks())
        return
    assert page.remarks() == _remarks()
    documented = page.read()
    for row, cells in _rows.items():
        assert {column: documented.get(row, {}).get(column) for column in cells} == cells, row


def _remarks() -> list[str]:
    """Return a line for each remark, with all columns that it is about."""
    lines = []
    for client in CLIENTS:
        for words in (client.lacks, client.remarks):
            for remark in dict.fromkeys(words[column] for column in Column if column in words):
                columns = ", ".join(column for column in Column if words.get(column) == remark)
                lines.append(f"{client.name}, {columns}: {remark}")
    return lines
