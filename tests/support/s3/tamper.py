"""A store that tampers: takes sealed objects out of the bare store and puts them back changed."""

import base64
import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeAlias
from urllib.request import urlopen

from devstack.s3proxy import ProxyProcess
from strongroom.sealed.sizes import STORE_MIN_PART_BYTES
from tests.support.s3.raw import Answer, KeepingClient, RawClient

ENTRY = "seg1"
S3: TypeAlias = Any  # botocore makes its clients at run time
Range: TypeAlias = tuple[int, int] | None
_REFUSED = re.compile(r'^strongroom_s3proxy_refused_objects_total\{rule="(\d+)"\} ([0-9.]+)$', re.MULTILINE)


@dataclass(frozen=True)
class Stored:
    """A sealed object as the store has it.

    Attributes:
        body: all stored bytes.
        entry: the value of its metadata entry; None to leave it away.
        parts: how many the store counts; 0 for one PUT.
    """

    body: bytes
    entry: str | None
    parts: int = 0

    def flipped(self, place: int, by: int) -> "Stored":
        """Return it with one byte of the body changed."""
        return replace(self, body=flip(self.body, place, by))

    def entry_flipped(self, place: int, by: int) -> "Stored":
        """Return it with one byte behind the base64 of the entry changed."""
        raw = base64.b64decode(self.entry or "")
        return replace(self, entry=base64.b64encode(flip(raw, place, by)).decode())


def flip(raw: bytes, place: int, by: int) -> bytes:
    """Return bytes with one of them changed."""
    assert 0 < by < 256
    return raw[:place] + bytes([raw[place] ^ by]) + raw[place + 1 :]


class Tamperer:
    """Writes at the bare store, reads through the proxy, and asks the proxy's metrics which rules it refused by."""

    def __init__(self, bare: S3, proxy: ProxyProcess, *, keeps: bool = False) -> None:
        """Take a client of the bare store, and the proxy; one that keeps its connection may be answered fast."""
        self._bare = bare
        self._health = proxy.health_address
        self.client = KeepingClient(proxy) if keeps else RawClient(proxy)
        self._reads = 0

    def take(self, bucket: str, key: str) -> Stored:
        """Return what the store has under a name."""
        got = self._bare.get_object(Bucket=bucket, Key=key)
        _, dash, parts = got["ETag"].strip('"').rpartition("-")
        return Stored(got["Body"].read(), got["Metadata"].get(ENTRY), int(parts) if dash else 0)

    def put(self, bucket: str, key: str, stored: Stored) -> None:
        """Write an object at the store, with as many parts as it says, or as a store that obeys S3 makes of it."""
        name: dict[str, object] = {"Bucket": bucket, "Key": key}
        metadata = {} if stored.entry is None else {"Metadata": {ENTRY: stored.entry}}
        if not stored.parts:
            self._bare.put_object(**name, **metadata, Body=stored.body)
            return
        upload: dict[str, object] = name | {
            "UploadId": self._bare.create_multipart_upload(**name, **metadata)["UploadId"]
        }
        count = min(stored.parts, 1 + len(stored.body) // STORE_MIN_PART_BYTES)
        borders = [*range(0, count * STORE_MIN_PART_BYTES, STORE_MIN_PART_BYTES), len(stored.body)]
        parts = []
        for number, (begin, end) in enumerate(pairwise(borders), start=1):
            piece = stored.body[begin:end]
            etag = self._bare.upload_part(**upload, PartNumber=number, Body=piece)["ETag"]
            parts.append({"PartNumber": number, "ETag": etag})
        self._bare.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})

    def refusals(self) -> Counter[int]:
        """Return how many objects the proxy has refused so far, by rule."""
        with urlopen(f"http://{self._health}/metrics", timeout=30) as response:
            text = response.read().decode()
        return Counter({int(rule): int(float(count)) for rule, count in _REFUSED.findall(text)})

    @contextlib.contextmanager
    def refusing(self, rules: set[int]) -> Iterator[None]:
        """Assert that all reads within are refused by one of these rules, and that the metric counts each."""
        before, reads = self.refusals(), self._reads
        yield
        counted = self.refusals() - before
        assert counted.total() == self._reads - reads, counted
        assert set(counted) <= rules, counted

    def read(self, method: str, bucket: str, key: str, *, original: bytes, range_: Range = None) -> None:
        """Read through the proxy, and assert an error that no client can take for a good answer.

        Args:
            method: GET or HEAD.
            bucket: of the object.
            key: of the object.
            original: the plaintext; what came before the error must be of it.
            range_: first and last byte to read.
        """
        self._reads += 1
        headers = {"range": f"bytes={range_[0]}-{range_[1]}"} if range_ else {}
        answer = self.client.send(method, bucket, key, headers=headers)
        require_error(answer, original[range_[0] :] if range_ else original)

    def require_refused(  # noqa: PLR0913 - what is read, and what must become of it
        self, method: str, bucket: str, key: str, *, original: bytes, rules: set[int], range_: Range = None
    ) -> None:
        """Read through the proxy once; assert an error, and that the metric counts it under one of these rules."""
        with self.refusing(rules):
            self.read(method, bucket, key, original=original, range_=range_)


def require_error(answer: Answer, original: bytes) -> None:
    """Assert that no client can take an answer for a good one, nor has got a wrong byte."""
    if answer.status in {200, 206}:
        assert not answer.complete, "a good answer for a damaged object"
        assert original.startswith(answer.body), "plaintext that is none"
    else:
        assert answer.status == 500, answer
        assert not answer.body or b"<Code>InternalError</Code>" in answer.body, answer
