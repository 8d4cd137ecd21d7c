"""What the access log says of a request, and its form: one JSON object a line. Pure.

Names are those of S3's server access logs where they fit
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html), in snake case. Nothing of a query or of headers
is written but what is named here, so no signature, token or key of a client can be. Lines are ASCII: whatever a client
has put into a name is escaped, and each text has a bound.
"""

import enum
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from s3proxy.s3api.asked import UNSIGNED, Asked, Claim, claim_of
from s3proxy.s3api.credentials import ANONYMOUS
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.operations import Call
from strongroom.service.logs import moment

UNKNOWN: Final = "unknown"
_MAX_NAME_CHARACTERS: Final = 1024  # S3: the longest key, in bytes
_MAX_AGENT_CHARACTERS: Final = 256
_MAX_CODE_CHARACTERS: Final = 100  # of what became of a key, which the store tells
_encode: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
_Line = dict[str, object]


class Decision(enum.Enum):
    """What became of the question whether the sender may do it."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNDECIDED = "undecided"  # refused before it was asked: unknown sender, malformed request, no place


@dataclass(slots=True)
class DeletedKey:
    """One key of DeleteObjects, and what became of it.

    Attributes:
        error_code: that the client was told of it, "" if it was deleted; None while that is not known.
    """

    key: str
    version_id: str
    decision: Decision
    error_code: str | None = None


@dataclass(slots=True)
class AccessRecord:
    """What is known of a request so far. The dispatcher fills it, and handlers what only they can know.

    Attributes:
        request_id: of the exchange.
        began: seconds of the epoch.
        remote_ip: of the client.
        path: of the request, without its query; told where the names in it could not be read.
        head: of the request, once it could be read.
        asked: what for; of a refused request as far as it can be told.
        requester: whose signature was verified, or "anonymous"; "" while that is not known.
        claim: how the request is signed, where the head does not tell.
        key: that a form names.
        decision: about all of the request.
        version_id: that was answered.
        deleted: of DeleteObjects.
        is_durable: whether it is to be on disk before it is answered.
        on_record: whether that was tried.
        status: of the answer, 0 before there is one.
        error_code: of the answer.
        is_completed: whether all of the answer went out.
        received_bytes: of plaintext.
        sent_bytes: of the body of the answer.
    """

    request_id: str
    began: float
    remote_ip: str
    path: str
    head: RequestHead | None = None
    asked: Call | Asked | None = None
    requester: str = ""
    claim: Claim = UNSIGNED
    key: str = ""
    decision: Decision = Decision.UNDECIDED
    version_id: str = ""
    deleted: list[DeletedKey] = field(default_factory=list)
    is_durable: bool = False
    on_record: bool = False
    status: int = 0
    error_code: str = ""
    is_completed: bool = False
    received_bytes: int = 0
    sent_bytes: int = 0

    @property
    def operation(self) -> str:
        """The name of the operation, or "unknown"."""
        operation = self.asked.operation if self.asked else None
        return operation.value if operation else UNKNOWN

    @property
    def is_known(self) -> bool:
        """Whether it counts: its sender is known, or may do this without a signature."""
        return self.requester not in {"", ANONYMOUS} or self.decision is Decision.ALLOWED

    @property
    def is_due(self) -> bool:
        """Whether it is to be on disk now. Strangers who are refused, or ask what anybody may, cost no fsync."""
        return self.is_durable and self.is_known and not self.on_record


def audit_line(record: AccessRecord, *, now: float) -> bytes:
    """Return what is put on disk before a request is answered.

    Args:
        record: of the request.
        now: seconds of the epoch.
    """
    lines = [{"time": moment(now), "event": "audit", **_who(record), **_what(record)}]
    if record.status:
        lines[0]["http_status"] = record.status
    if record.error_code:
        lines[0]["error_code"] = record.error_code
    lines += [_of_deleted(record, item, "audit") for item in record.deleted]
    return _lines(lines)


def request_lines(record: AccessRecord, *, seconds: float, store_request_ids: Sequence[str]) -> bytes:
    """Return what is written of a request when it has ended: a line, and one for each key of DeleteObjects.

    Args:
        record: of it.
        seconds: that it took.
        store_request_ids: of the store's answers.
    """
    line: _Line = {"time": moment(record.began), "event": "request", **_who(record), **_what(record)}
    line |= {
        "http_status": record.status or None,
        "error_code": record.error_code or None,
        "completed": record.is_completed,
        "bytes_received": record.received_bytes,
        "bytes_sent": record.sent_bytes,
        "total_time_ms": round(seconds * 1000, 3),
        "store_request_ids": [_shown(text) for text in store_request_ids],
        "user_agent": (_shown(record.head.header("user-agent"), _MAX_AGENT_CHARACTERS) if record.head else "") or None,
    }
    if not record.deleted:
        return (_encode(line) + "\n").encode()
    return _lines([line, *(_of_deleted(record, item, "delete") for item in record.deleted)])


def _who(record: AccessRecord) -> _Line:
    claim = record.claim
    if claim is UNSIGNED and record.head is not None:
        claim = claim_of(record.head, with_key=not record.requester)
    line: _Line = {
        "request_id": record.request_id,
        "remote_ip": record.remote_ip or None,
        "requester": record.requester or None,
    }
    if not record.requester and claim.access_key_id:
        line["claimed_requester"] = _shown(claim.access_key_id)
    line["authentication_type"] = claim.kind or None
    line["signature_version"] = claim.version or None
    return line


def _what(record: AccessRecord) -> _Line:
    asked = record.asked
    line: _Line = {"operation": record.operation, "decision": record.decision.value}
    if asked is None:
        return line | {"bucket": None, "key": None, "version_id": None, "path": _shown(record.path)}
    query = asked.query
    line["bucket"] = _shown(asked.bucket) or None
    line["key"] = _shown(record.key or asked.key) or None
    line["version_id"] = _shown(record.version_id or query.get("versionId")) or None
    if asked.copy_source is not None:
        source = asked.copy_source
        line |= {"source_bucket": _shown(source.bucket), "source_key": _shown(source.key)}
        line["source_version_id"] = _shown(source.version_id) or None
    if query.pairs:
        told = {"uploadId": "upload_id", "partNumber": "part_number", "prefix": "prefix"}
        line |= {told[name]: _shown(value) for name, value in query.pairs if name in told}
    if asked.operation is None:
        line["path"] = _shown(record.path)
    return line


def _of_deleted(record: AccessRecord, item: DeletedKey, event: str) -> _Line:
    told = item.error_code
    if told is None:
        told = record.error_code  # of the request as a whole
    return {
        "time": moment(record.began),
        "event": event,
        "request_id": record.request_id,
        "requester": record.requester or None,
        "operation": record.operation,
        "decision": item.decision.value,
        "bucket": _shown(record.asked.bucket) if record.asked else None,
        "key": _shown(item.key),
        "version_id": _shown(item.version_id) or None,
        "error_code": _shown(told, _MAX_CODE_CHARACTERS) or None,
    }


def _lines(lines: Sequence[_Line]) -> bytes:
    def ended() -> Iterator[str]:
        for line in lines:
            yield _encode(line)
            yield "\n"

    return "".join(ended()).encode()


def _shown(text: str, most: int = _MAX_NAME_CHARACTERS) -> str:
    """Return a text that every reader of JSON takes; bytes that are not UTF-8 are shown as Python escapes them."""
    cut = text[:most]
    return cut if cut.isascii() else cut.encode("utf-8", "backslashreplace").decode()
