"""A client of the proxy that does what clients do, at random, and holds every answer against its model."""

import contextlib
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.chaos.model import Content, Contest, Counts, Model, ViolationError, content
from tests.s3proxy.conftest import S3

BUCKET = "chaos"
LEAST_PART = 5 << 20
PROMPT_S = 1.0  # below every timeout of the proxy (world.py): what is answered by then was asked once
FAILED = (ClientError, BotoCoreError)
_ABSENT = {"NoSuchKey", "404"}


class S3Client(threading.Thread):
    """Works until ``finish``, on names below its own."""

    def __init__(self, number: int, seed: int, connect: Callable[[], S3], contest: Contest) -> None:
        super().__init__(name=f"client-{number}")
        self.model = Model()
        self.counts = Counts()
        self.error: BaseException | None = None
        self.codes: dict[str, int] = {}
        self._dice = random.Random(seed * 1000 + number)  # noqa: S311 - what to do, no keys
        self._connect = connect
        self._contest = contest
        self._done = threading.Event()

    def run(self) -> None:
        try:
            while not self._done.is_set():
                with contextlib.closing(self._connect()) as s3:
                    while not self._done.is_set():
                        self.step(s3)
        except BaseException as error:  # noqa: BLE001 - told by finish
            self.error = error

    def finish(self) -> None:
        self._done.set()
        self.join(120)
        assert not self.is_alive(), f"{self.name} hangs"
        if self.error is not None:
            raise self.error

    def step(self, s3: S3) -> None:
        """Do one thing; what fails is counted, and what must not be is raised."""
        kinds = (self._put, self._get, self._get_range, self._head, self._remove, self._copy, self._list, self._upload,
                 self._create)  # fmt: skip
        work = self._dice.choices(kinds, (8, 8, 4, 2, 2, 2, 1, 1, 2))[0]
        try:
            work(s3)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            self._count(code)
            if code in {
                "AccessDenied",
                "InvalidAccessKeyId",
                "SignatureDoesNotMatch",
                "BadDigest",
                "XAmzContentSHA256Mismatch",
            }:
                message = f"{self.name}: {code}: {error}"
                raise ViolationError(message) from error
        except BotoCoreError as error:
            self._count(type(error).__name__)
        else:
            self.counts.acknowledged += 1

    def _count(self, code: str) -> None:
        self.counts.failed += 1
        self.codes[code] = self.codes.get(code, 0) + 1

    def _key(self) -> str:
        return f"{self.name}/{self._dice.randrange(12):02}"

    def _body(self) -> bytes:
        bound = self._dice.choices((1, 100, 70_000, 3_000_000), (1, 5, 3, 1))[0]
        return content(self._dice, self._dice.randrange(bound))

    def _write(self, key: str, body: Content, write: Callable[[], Any]) -> None:
        """Change a key by one request and tell the model; once, if neither SDK nor proxy had cause to repeat it."""
        self.model.begin(key, body)
        begin = time.monotonic()
        answer = write()
        attempts = 1 + answer["ResponseMetadata"]["RetryAttempts"]
        self.model.acknowledge(key, once=attempts == 1 and time.monotonic() - begin < PROMPT_S)

    def _put(self, s3: S3) -> None:
        key, body = self._key(), self._body()
        self._write(key, body, lambda: s3.put_object(Bucket=BUCKET, Key=key, Body=body))

    def _get(self, s3: S3) -> None:
        key = self._key()
        self.model.require(key, read(s3, key))

    def _get_range(self, s3: S3) -> None:
        key = self._key()
        first, count = self._dice.randrange(2000), self._dice.randrange(1, 5000)
        try:
            found = s3.get_object(Bucket=BUCKET, Key=key, Range=f"bytes={first}-{first + count - 1}")["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] not in {*_ABSENT, "InvalidRange"}:
                raise
            return
        self.model.require(key, found, first=first, last=first + count)

    def _head(self, s3: S3) -> None:
        key = self._key()
        try:
            size = s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"]
        except ClientError as error:
            if error.response["Error"]["Code"] not in _ABSENT:
                raise
            self.model.require(key, None)
            return
        if size not in {len(each) for each in self.model.possible(key) if each is not None}:
            message = f"{key}: has {size} bytes, which nobody wrote"
            raise ViolationError(message)

    def _remove(self, s3: S3) -> None:
        key = self._key()
        self._write(key, None, lambda: s3.delete_object(Bucket=BUCKET, Key=key))

    def _copy(self, s3: S3) -> None:
        source, key = self._key(), self._key()
        contents = self.model.possible(source)
        if len(contents) > 1 or None in contents or source == key:
            return
        (body,) = contents
        copied = {"Bucket": BUCKET, "Key": source}
        self._write(key, body, lambda: s3.copy_object(Bucket=BUCKET, Key=key, CopySource=copied))

    def _list(self, s3: S3) -> None:
        items = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{self.name}/").get("Contents", [])
        require_listed(self.model, {item["Key"]: item["Size"] for item in items})

    def _upload(self, s3: S3) -> None:
        key = self._key()
        body = content(self._dice, LEAST_PART + self._dice.randrange(200_000))
        name = {"Bucket": BUCKET, "Key": key}
        upload = name | {"UploadId": s3.create_multipart_upload(**name)["UploadId"]}
        parts = []
        for number, piece in enumerate((body[:LEAST_PART], body[LEAST_PART:]), start=1):
            etag = s3.upload_part(**upload, PartNumber=number, Body=piece)["ETag"]
            parts.append({"PartNumber": number, "ETag": etag})
        self._write(key, body, lambda: s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}))

    def _create(self, s3: S3) -> None:
        key = f"contest/{self._dice.randrange(40):02}"
        body = content(self._dice, 200)
        try:
            s3.put_object(Bucket=BUCKET, Key=key, Body=body, IfNoneMatch="*")
        except ClientError as error:
            # With retries of the SDK the client's own first attempt may stand in its way.
            if error.response["Error"]["Code"] not in {"PreconditionFailed", "ConditionalRequestConflict"}:
                raise
            return
        self._contest.won(key, body)


def read(s3: S3, key: str) -> Content:
    """Return what stands under a key, None if nothing does.

    Raises:
        ClientError, BotoCoreError: it could not be found out.
    """
    try:
        body: bytes = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] not in _ABSENT:
            raise
        return None
    return body


def require_listed(model: Model, sizes: dict[str, int]) -> None:
    """Raise if a listing shows what nobody wrote, or lacks what was acknowledged."""
    for key in {*model.keys(), *sizes}:
        possible = {None if each is None else len(each) for each in model.possible(key)}
        if sizes.get(key) not in possible:
            message = f"{key}: listed with {sizes.get(key, 'no')} bytes; possible: {possible}"
            raise ViolationError(message)
