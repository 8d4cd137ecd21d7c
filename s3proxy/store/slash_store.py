"""Requests about keys that end in a slash, to stores that make a directory of such a key and drop its content.

Content is kept under a key of ours (``slash_keys``), and what stands there is what clients see; only where nothing
stands there is it the directory. So one write decides, and nothing has to be done in two places to be true. An object
without content is a directory unless content stands in its way.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.names import CopySource, parse_copy_source
from s3proxy.store.capabilities import no_such_key
from s3proxy.store.client import Store, StoreRequest, read_all
from s3proxy.store.connection import Held, StoreAnswer
from s3proxy.store.slash_keys import FOLDER_ETAG, kept_key
from strongroom.errors import StrongroomError

_MAX_ERROR_BYTES: Final = 1 << 16
_SOURCE: Final = "x-amz-copy-source"
_OF_UPLOADS: Final = frozenset({"uploads", "uploadId"})
_OF_OBJECTS: Final = frozenset({"versionId", "x-id"})
_CONDITIONS: Final = frozenset({"if-match", "if-none-match"})


class SlashStore(Store):
    """A store where content under ``name/`` is kept, one way or the other."""

    def exchange(self, request: StoreRequest) -> contextlib.AbstractAsyncContextManager[StoreAnswer]:
        """Do what ``Store.exchange`` does. A key that ends in a slash may cost more requests, others do not.

        Raises:
            StrongroomError: as ``Store.exchange``.
        """
        source = _slash_source(request)
        if request.is_trial or not (request.key.endswith("/") or source):
            return super().exchange(request)
        if self.capabilities.keeps_slash_content():
            return super().exchange(request)
        self.capabilities.require_name(request.key, method=request.method)
        return self._exchange(request, source)

    @contextlib.asynccontextmanager
    async def _exchange(self, request: StoreRequest, source: CopySource | None) -> AsyncIterator[StoreAnswer]:
        if source is not None and await self._has_content(source.bucket, source.key, source.version_id):
            kept = replace(source, key=kept_key(source.key))
            request = replace(request, headers={**(request.headers or {}), _SOURCE: kept.header})
        async with self._one_of(request) as answer:
            yield answer

    def _one_of(self, request: StoreRequest) -> contextlib.AbstractAsyncContextManager[StoreAnswer]:
        """Send a request whose source is settled."""
        if not request.key.endswith("/"):
            return self.send(request)
        names = {name for name, _ in request.query}
        if names & _OF_UPLOADS:
            conditional = request.method == "POST" and _is_conditional(request)
            return self._write(request) if conditional else self.send(_kept(request))
        if request.method == "PUT" and names <= _OF_OBJECTS:
            return self._write(request)
        if request.method == "DELETE" and names <= _OF_OBJECTS:
            return self._delete(request)
        return self._look_for(request)

    async def _head(self, bucket: str, key: str, version_id: str = "") -> StoreAnswer:
        query = (("versionId", version_id),) if version_id else ()
        async with self.send(StoreRequest(method="HEAD", bucket=bucket, key=key, query=query)) as answer:
            return answer

    async def _has_content(self, bucket: str, key: str, version_id: str = "") -> bool:
        """Return whether content stands, or stood, under a key that ends in a slash.

        Raises:
            StrongroomError: the store says neither yes nor no.
        """
        answer = await self._head(bucket, kept_key(key), version_id)
        if answer.status not in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
            raise _refused(answer)
        return not _is_nothing(answer)

    @contextlib.asynccontextmanager
    async def _look_for(self, request: StoreRequest) -> AsyncIterator[StoreAnswer]:
        """Ask for what stands under a key: the content, or else the directory."""
        async with self.send(_kept(request)) as answer:
            only = not isinstance(request.body, Held | None) or not _may_be_directory(request)
            if only or not _is_nothing(answer):
                yield answer
                return
            await read_all(answer, _MAX_ERROR_BYTES)
        if not _reads_object(request):  # whose answer does not tell what the directory is
            directory = await self._head(request.bucket, request.key)
            if directory.status != HTTPStatus.OK or not _was_put(directory):
                raise no_such_key(hint="a directory that only holds others is not an object")
        async with self.send(request) as answer:
            if answer.status == HTTPStatus.OK and not _was_put(answer):
                raise no_such_key(hint="a directory that only holds others is not an object")
            yield answer

    @contextlib.asynccontextmanager
    async def _write(self, request: StoreRequest) -> AsyncIterator[StoreAnswer]:
        """Write content, or an object without any: a directory, unless a condition has to be decided with it."""
        goal, conditional = _kept(request), _is_conditional(request)
        if (request.is_empty or conditional) and not await self._has_content(request.bucket, request.key):
            goal = await self._onto_directory(request) if conditional else request
        # Of copies 200 is not the end.
        is_last = request.method == "PUT" and goal.key != request.key and _SOURCE not in (request.headers or {})
        async with self.send(goal) as answer:
            if not is_last or answer.status != HTTPStatus.OK:
                yield answer
                return
            await read_all(answer, _MAX_ERROR_BYTES)
        with contextlib.suppress(StrongroomError):  # reads do not see it any longer, lists could
            await self._drop_directory(request.bucket, request.key)
        yield answer  # not before: what the client puts there next must not be dropped

    async def _onto_directory(self, request: StoreRequest) -> StoreRequest:
        """Return a conditional write of content where there is none: what it is compared with is the directory.

        Raises:
            S3Error: PreconditionFailed.
        """
        directory = await self._head(request.bucket, request.key)
        if directory.status != HTTPStatus.OK or not _was_put(directory):
            return _kept(request)
        headers = dict(request.headers or {})
        match = headers.pop("if-match", "*")
        if "if-none-match" in headers or match not in {"*", FOLDER_ETAG, directory.headers.get("ETag", "*")}:
            raise _precondition_failed()
        return replace(_kept(request), headers=headers | {"if-none-match": "*"})  # no content came in between

    @contextlib.asynccontextmanager
    async def _delete(self, request: StoreRequest) -> AsyncIterator[StoreAnswer]:
        """Delete the content, then the directory, which is not empty before."""
        if _is_conditional(request) and not await self._has_content(request.bucket, request.key):
            async with self.send(request) as answer:
                yield answer
            return
        async with self.send(_kept(request)) as first:
            if first.status not in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND} or not _may_be_directory(request):
                yield first
                return
        if first.status == HTTPStatus.NOT_FOUND:  # some stores say so
            async with self.send(request) as answer:
                yield answer
            return
        then = await self._drop_directory(request.bucket, request.key)
        if then.status not in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND}:
            raise _refused(then)
        yield first  # which has no body

    async def _drop_directory(self, bucket: str, key: str) -> StoreAnswer:
        async with self.send(StoreRequest(method="DELETE", bucket=bucket, key=key)) as answer:
            return answer


def _kept(request: StoreRequest) -> StoreRequest:
    return replace(request, key=kept_key(request.key))


def _slash_source(request: StoreRequest) -> CopySource | None:
    """Return the source of a copy if its key ends in a slash."""
    text = (request.headers or {}).get(_SOURCE)
    if text is None:
        return None
    source = parse_copy_source(text)
    return source if source.key.endswith("/") else None


def _is_conditional(request: StoreRequest) -> bool:
    return not _CONDITIONS.isdisjoint(request.headers or ())


def _is_nothing(answer: StoreAnswer) -> bool:
    """Return whether there is nothing: a marker says that there was content, and that it was deleted."""
    return answer.status == HTTPStatus.NOT_FOUND and answer.headers.get("x-amz-delete-marker") != "true"


def _was_put(directory: StoreAnswer) -> bool:
    """Return whether a directory was put by a client, and so is listed.

    Others are there because of what is below them, or was: SeaweedFS tells their ETag as that of an upload of no parts,
    which nobody can make.
    """
    return not directory.headers.get("ETag", "").strip('"').endswith("-0")


def _reads_object(request: StoreRequest) -> bool:
    names = {name for name, _ in request.query if not name.startswith("response-")}
    return request.method in {"GET", "HEAD"} and names <= _OF_OBJECTS


def _may_be_directory(request: StoreRequest) -> bool:
    """Return whether a request can be about a directory, which has no versions."""
    return dict(request.query).get("versionId", "null") in {"", "null"}


def _refused(answer: StoreAnswer) -> S3Error:
    codes = {HTTPStatus.FORBIDDEN: "AccessDenied", HTTPStatus.PRECONDITION_FAILED: "PreconditionFailed"}
    code, msg = codes.get(HTTPStatus(answer.status), "SlowDown"), "The store does not tell what stands under this key."
    return S3Error(code, msg)


def _precondition_failed() -> S3Error:
    code, msg = "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"
    return S3Error(code, msg, details={"Condition": "If-None-Match"})
