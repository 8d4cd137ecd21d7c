"""PostObject: an upload by HTML form, sealed as it comes like any other.

A form does not tell how long its file is, and a sealed object begins with its length. A file of more than
``buffered_bytes`` is therefore taken to be the end of the form; if it is not, because fields follow it, nothing is
stored.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, NoReturn
from urllib.parse import SplitResult, urlencode, urlsplit

from s3proxy.exchange.access_record import Decision
from s3proxy.exchange.incoming import XML_TYPE, Incoming
from s3proxy.exchange.memory import needed_bytes
from s3proxy.exchange.outgoing import PlainBody
from s3proxy.keys.policies import EtagMode
from s3proxy.operations.put import ObjectWriter
from s3proxy.s3api.access import require_visible
from s3proxy.s3api.asked import claim_of_form
from s3proxy.s3api.body import Body
from s3proxy.s3api.checksums import RunningDigests
from s3proxy.s3api.claims import Claims
from s3proxy.s3api.credentials import Credentials, Right
from s3proxy.s3api.documents import parse_tagging
from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.form import FormReader
from s3proxy.s3api.head import RequestHead, make_head
from s3proxy.s3api.names import refuse_argument, require_key
from s3proxy.s3api.object_headers import object_headers
from s3proxy.s3api.operation_table import Operation
from s3proxy.s3api.post_policy import PostUpload, verify_post
from s3proxy.s3api.sent import require_set, sent_headers
from s3proxy.s3api.signature import require_field
from s3proxy.s3api.signing_keys import SigningKeys
from s3proxy.s3api.xml_write import node, to_xml
from s3proxy.stored.read import Name
from strongroom.sealed.digests import Digests
from strongroom.service.following import Followed

_PIECE_BYTES: Final = 1 << 17  # that the event loop is busy with at a time
_STATUSES: Final = {"200": HTTPStatus.OK, "201": HTTPStatus.CREATED}


@dataclass(frozen=True)
class PostUploader:
    """Takes uploads by form.

    Attributes:
        writer: writes what they make.
        credentials: of those who may sign forms.
        keys: that their signatures were lately verified with.
    """

    writer: ObjectWriter
    credentials: Followed[Credentials]
    keys: SigningKeys = field(default_factory=SigningKeys)

    async def serve(self, incoming: Incoming) -> None:
        """Serve PostObject."""
        form, body = FormReader(incoming.head.header("content-type")), incoming.open_body()
        incoming.expect_short()
        arriving = incoming.plaintext(body)
        begun = bytearray()
        async for piece in arriving:
            begun += b"".join(form.feed(bytes(piece)))
            if form.file_begun:
                break
        bucket, record, objects = incoming.call.bucket, incoming.record, self.writer.objects
        record.claim, record.key = claim_of_form(form.fields), dict(form.fields).get("key", "")
        upload = verify_post(
            form.fields,
            bucket=bucket,
            filename=form.filename,
            credentials=self.credentials.value,
            keys=self.keys,
            now=datetime.now(UTC),
        )
        record.requester, record.key = upload.principal.name, upload.key
        require_key(upload.key)
        incoming.verified = replace(incoming.verified, principal=upload.principal)
        record.is_durable = objects.policies.are_durable(bucket, upload.key)
        record.decision = Decision.DENIED
        upload.principal.require(Right.WRITE, bucket, upload.key)
        require_visible(bucket, hidden_bucket=objects.system_bucket.name)
        record.decision = Decision.UNDECIDED
        described = _described(upload, incoming.head)
        headers, claims = _headers(described), Claims.from_head(described)
        record.decision = Decision.DENIED
        require_set(upload.principal, bucket, upload.key, headers)
        record.decision = Decision.ALLOWED
        if record.is_due:
            await incoming.put_on_record(record)
        policy = objects.policies.require(bucket, upload.key)
        incoming.whole_by = None
        size = needed_bytes(Operation.POST_OBJECT, body.length, buffered_bytes=self.writer.buffered_bytes)
        await incoming.place.go_on(None if upload.principal.is_anonymous else upload.principal.name, size)
        file = _File(form, body, upload, claims, begun, arriving)
        await file.read_ahead(self.writer.buffered_bytes)
        plain, name = file.plain(want_md5=policy.etag is EtagMode.MD5), Name(bucket, upload.key)
        written = await self.writer.write_anywhere(name, policy, object_headers(headers), plain)
        await _answer(incoming, upload, written.etag, written.headers)


@dataclass
class _File:
    """The file of a form: what is there of it, and the pieces to come."""

    form: FormReader
    body: Body
    upload: PostUpload
    claims: Claims
    begun: bytearray  # joined as it comes: a small piece costs as much memory as many bytes
    arriving: AsyncIterator[memoryview]
    received: int = 0

    async def read_ahead(self, limit_bytes: int) -> None:
        """Read on until the form has ended, or more of its file is there than is to be kept."""
        async for piece in self.arriving:
            self.begun += b"".join(self.form.feed(bytes(piece)))
            if len(self.begun) > limit_bytes and not self.form.file_ended:
                return

    def plain(self, *, want_md5: bool) -> PlainBody:
        """Return the plaintext, with the digests that the form claims, and its MD5 if that is wanted."""
        length = len(self.begun) if self.form.file_ended else self.form.file_bytes_expected(self.body.length)
        self.upload.require_size(length)
        md5, checksum = self.claims.md5, self.claims.checksum
        algorithm = checksum.algorithm if checksum is not None else None
        digests = RunningDigests(with_md5=want_md5 or md5 is not None, algorithm=algorithm)

        def finish() -> Digests:
            self.form.finish()
            self.body.finish()
            if self.received != length:
                _refuse("MalformedPOSTRequest", "Fields behind a large file: the file must be the last of the form.")
            found = digests.result()
            if md5 is not None and md5 != found.md5:
                _refuse("BadDigest", "The Content-MD5 you specified did not match what we received.")
            if checksum != found.checksum:
                _refuse("BadDigest", "The checksum you specified did not match what we received.")
            return found

        return PlainBody(length, self._pieces(length, digests), finish)

    async def _pieces(self, length: int, digests: RunningDigests) -> AsyncIterator[memoryview]:
        async for piece in self._all():
            self.received += len(piece)
            if self.received > length:
                _refuse("MalformedPOSTRequest", "The file is longer than the form has room for.")
            for one in digests.running:
                one.update(piece)
            yield piece

    async def _all(self) -> AsyncIterator[memoryview]:
        begun, self.begun = memoryview(self.begun), bytearray()
        for at in range(0, len(begun), _PIECE_BYTES):
            yield begun[at : at + _PIECE_BYTES]
        del begun
        async for data in self.arriving:
            for piece in self.form.feed(bytes(data)):
                yield memoryview(piece)


def _described(upload: PostUpload, head: RequestHead) -> RequestHead:
    """Return what the fields of a form say as the head of a PUT would.

    Raises:
        S3Error: InvalidArgument for a field that is there under two names, or cannot be a header.
    """
    fields = dict(upload.fields)
    for name in ("acl", "tagging"):
        if name in fields and f"x-amz-{name}" in fields:
            refuse_argument(f"Only one of the fields {name} and x-amz-{name} may be given.", name, "")
    if "acl" in fields:
        fields["x-amz-acl"] = fields.pop("acl")
    if "tagging" in fields:
        fields["x-amz-tagging"] = urlencode(parse_tagging(fields.pop("tagging").encode()))
    described = make_head("POST", head.raw_path, ((name, value.strip(" \t")) for name, value in fields.items()))
    for name in described.names():
        if name.startswith("x-amz-"):
            require_field(name, described.header(name))
    return described


def _headers(described: RequestHead) -> dict[str, str]:
    """Return the headers that count, by the same table as those of a PUT.

    Raises:
        S3Error: InvalidArgument for what cannot be a header, and what ``sent_headers`` refuses.
    """
    headers = sent_headers(Operation.POST_OBJECT, described)
    for name, value in headers.items():
        require_field(name, value)
    return headers


async def _answer(incoming: Incoming, upload: PostUpload, etag: str, headers: dict[str, str]) -> None:
    bucket, key = incoming.call.bucket, upload.key
    location = incoming.location(key)
    answered = headers | {"Location": location}
    url = _redirect_of(upload.fields)
    if url is not None:
        query = urlencode({"bucket": bucket, "key": key, "etag": etag})
        whole = url._replace(query=f"{url.query}&{query}" if url.query else query).geturl()
        await incoming.respond(HTTPStatus.SEE_OTHER, answered | {"Location": whole})
        return
    status = _STATUSES.get(upload.fields.get("success_action_status", ""), HTTPStatus.NO_CONTENT)
    document = b""
    if status is HTTPStatus.CREATED:
        elements = {"Location": location, "Bucket": bucket, "Key": key, "ETag": etag}
        document = to_xml(node("PostResponse", *(node(name, text) for name, text in elements.items())), namespace="")
        answered["content-type"] = XML_TYPE
    await incoming.respond(status, answered, document)


def _redirect_of(fields: Mapping[str, str]) -> SplitResult | None:
    """Return where the client is sent afterwards. S3: what is not a URL counts as nothing."""
    target = fields.get("success_action_redirect") or fields.get("redirect", "")
    try:
        url = urlsplit(target)
    except ValueError:
        return None
    return url if url.scheme in {"http", "https"} and url.netloc and target.isprintable() else None


def _refuse(code: str, message: str) -> NoReturn:
    raise S3Error(code, message)
