"""The audit log: one JSON line for each secret that was read or denied, durable before the caller hears anything.

Records are made of names only, so they can hold no value. Those of requests that come at once share one fsync. When one
cannot be written the request fails; nothing leaves the bridge unrecorded.
"""

import datetime as dt
import enum
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.offload import INLINE_ITEMS, compute, items_of
from strongroom.identity import SpiffeId
from strongroom.launch.reference import spell_key, spell_path
from strongroom.service.record_file import STDOUT
from strongroom.service.record_log import RecordLog, RecordLogNames
from strongroom.service.settings import seconds, setting

_NAMES = RecordLogNames(log="audit", setting="audit_file", owner="bridge")
MAX_DENIED_RECORDS = 100  # of one request or path; more are not one mistake, and asking costs less than recording
_LIST_BYTES = 8 << 10  # in one line; what collects logs cuts those of 16 KiB


class Decision(enum.Enum):
    """What became of one secret."""

    ALLOWED = "allowed"  # read and handed over
    CHECKED = "checked"  # read and found, and not handed over, because only that was asked for
    WITHHELD = "withheld"  # read, but not handed over because another secret of the request failed
    DENIED = "denied"  # by the bridge's policy or by OpenBao's
    MISSING = "missing"  # no such path, key or version; an optional one may be missing in an answer
    UNDELIVERABLE = "undeliverable"  # read, but it cannot be a variable
    UNAVAILABLE = "unavailable"  # OpenBao did not give an answer


class Operation(enum.Enum):
    """What was asked for."""

    BUNDLE = "bundle"
    PLAN = "plan"
    CHECK = "check"


@dataclass(frozen=True)
class Caller:
    """Who asks, and what for.

    Attributes:
        identity: in its certificate.
        address: of the peer.
        request_id: made by the bridge, sent back in X-Request-Id.
        operation: that was asked for.
    """

    identity: SpiffeId
    address: str
    request_id: str
    operation: Operation = Operation.BUNDLE


@dataclass(frozen=True)
class AuditRecord:
    """What happened to one secret.

    Attributes:
        name: of the variable, "" for a whole path.
        path: of the secret, "" for all of a request that was not read.
        key: in it, "" for a whole path.
        version: that was read, 0 where there is none.
        decision: what became of it.
        reason: one line, or "".
        count: of secrets that it stands for.
        also: paths and keys of those, as references spell them, where they have no records of their own.
    """

    name: str
    path: str
    key: str
    version: int
    decision: Decision
    reason: str = ""
    count: int = 1
    also: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Characters in all of its texts."""
        return len(self.name) + len(self.path) + len(self.key) + len(self.reason) + sum(map(len, self.also))


def listed(denied: Sequence[AuditRecord]) -> list[AuditRecord]:
    """Return the records of references that were denied at once: MAX_DENIED_RECORDS, and some that list the rest.

    All of what was asked for is on record, so nobody hides what it looks for behind other references.
    """
    records = list(denied[:MAX_DENIED_RECORDS])
    lists: list[list[str]] = []
    room = 0
    for record in denied[MAX_DENIED_RECORDS:]:
        spelled = spell_path(record.path) + (f"#{spell_key(record.key)}" if record.key else "")
        size = len(_json(spelled).encode()) + len(", ")
        room -= size
        if room < 0:
            lists.append([])
            room = _LIST_BYTES - size
        lists[-1].append(spelled)
    for also in lists:
        reason = f"{len(also)} more of this request are denied"
        records.append(AuditRecord("", "", "", 0, Decision.DENIED, reason, count=len(also), also=tuple(also)))
    return records


def summed_up(denied: Sequence[AuditRecord]) -> list[AuditRecord]:
    """Return the records of keys of one path that were denied at once: MAX_DENIED_RECORDS, and one for the rest.

    The request names the path only, and which keys it has is known from its version. The reason has a digest of their
    names, paths and keys, in their order, with a NUL byte behind each.
    """
    rest = denied[MAX_DENIED_RECORDS:]
    if not rest:
        return list(denied)
    digest = hashlib.sha256()
    for record in rest:
        digest.update(f"{record.name}\0{record.path}\0{record.key}\0".encode())
    path = rest[0].path if len({record.path for record in rest}) == 1 else ""
    reason = f"{len(rest)} more of this path are denied; SHA-256 of their list: {digest.hexdigest()}"
    more = AuditRecord("", path, "", rest[0].version, Decision.DENIED, reason, count=len(rest))
    return [*denied[:MAX_DENIED_RECORDS], more]


def encode_records(caller: Caller, records: Sequence[AuditRecord], *, now: float) -> bytes:
    """Write records as JSON lines.

    Args:
        caller: who asked.
        records: what happened.
        now: seconds of the epoch.
    """
    moment = dt.datetime.fromtimestamp(now, dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    head = {
        "time": moment,
        "identity": str(caller.identity),
        "peer": caller.address,
        "request_id": caller.request_id,
        "operation": caller.operation.value,
    }
    start = json.dumps(head)[:-1]
    return b"".join(_line(start, record) for record in records)


def _line(start: str, record: AuditRecord) -> bytes:
    members: dict[str, object] = {
        "name": record.name,
        "path": record.path,
        "key": record.key,
        "version": record.version or None,
        "decision": record.decision.value,
        "reason": record.reason,
    }
    members |= {"count": record.count} if record.count > 1 else {}
    members |= {"also": record.also} if record.also else {}
    return f"{start}, {_json(members)[1:]}\n".encode()


_PLAIN = json.JSONEncoder(ensure_ascii=False)


def _json(value: object) -> str:
    """Return JSON in which letters stand for themselves: escapes take up to three times as much of a line."""
    text = _PLAIN.encode(value)
    return text if text.isprintable() else json.dumps(value)


class Durability(enum.Enum):
    """What must have happened to an audit record before an answer is sent."""

    FSYNC = "fsync"
    WRITE = "write"


@dataclass(frozen=True)
class AuditSettings:
    """Where records go, and when they are there; settings behind ``audit_``."""

    file: Path = setting(STDOUT, "where audit records go", "file, or - for stdout", "a container's stdout is collected")
    durability: Durability = setting(
        Durability.FSYNC,
        "what must have happened to a record before the answer",
        "fsync or write",
        "fsync survives a power cut; on stdout it is write",
    )
    timeout_s: float = seconds(
        5.0, "wait for the audit record to be written", "a stuck disk must not hold callers", maximum=600
    )


class AuditLog(RecordLog):
    """The records of the bridge, in a file or on stdout."""

    def __init__(self, settings: AuditSettings, *, observe: Callable[[float, bool], None] = lambda *_: None) -> None:
        """Open the file; see ``RecordLog``."""
        fsync = settings.durability is Durability.FSYNC
        super().__init__(settings.file, names=_NAMES, fsync=fsync, timeout_s=settings.timeout_s, observe=observe)

    async def record(self, caller: Caller, records: Sequence[AuditRecord]) -> None:
        """Write records and return when they are durable.

        Raises:
            UnavailableError: they could not be written, or not in time; the request must fail.
        """
        if records:
            now = time.time()
            weight = items_of(len(records), sum(record.size for record in records[:INLINE_ITEMS]))
            await self.write(await compute(weight, lambda: encode_records(caller, records, now=now)))
