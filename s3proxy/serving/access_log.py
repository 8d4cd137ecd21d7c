"""The access log: a record of each request, and for policies that ask for it one on disk before the answer goes out.

Records that nobody waits for are written a moment later, by a thread. Those of unknown senders that were refused have a
bound in time, or anyone who reaches the port could fill the disk; more are counted.
"""

import enum
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from s3proxy.exchange.access_record import AccessRecord, audit_line, request_lines
from s3proxy.keys.policies import Policies
from s3proxy.metrics import Metrics
from s3proxy.s3api.errors import S3Error
from strongroom.errors import ConfigError, UnavailableError
from strongroom.service.health import Part
from strongroom.service.record_file import STDOUT
from strongroom.service.record_log import RecordLog, RecordLogNames
from strongroom.service.settings import seconds, setting

_NAMES: Final = RecordLogNames(log="access_log", setting="access_log", owner="proxy")
_BURST_S: Final = 10.0  # what was not used of the bound for unknown senders is kept for this long


class Unrecorded(enum.StrEnum):
    """Why a request is not in the log."""

    FULL = "full"  # of the disk, or the disk is too slow
    UNKNOWN_SENDER = "unknown_sender"


class WhenFull(enum.Enum):
    """What happens to requests whose record cannot be kept."""

    DROP = "drop"
    REFUSE = "refuse"


@dataclass(frozen=True)
class AccessLogSettings:
    """Where records go, and what there is for those that wait."""

    access_log: Path | None = setting(
        None,
        "where the access log goes, a JSON line for each request; several processes write one file",
        "file, or - for stdout",
        "without it none is kept",
    )
    access_log_when_full: WhenFull = setting(
        WhenFull.DROP,
        "whether requests are served that the access log has no room for, since its disk is full or too slow",
        "drop (and count them) or refuse",
        'names of policies with audit = "durable" are refused in any case',
    )
    access_log_queue_bytes: int = setting(
        16 << 20,
        "records that wait to be written, for each process",
        "bytes",
        "20,000 requests, or two of 1,000 deleted keys of the longest kind",
        minimum=1 << 16,
    )
    access_log_timeout_s: float = seconds(
        5.0,
        "wait for a record that must be on disk before the answer",
        "a stuck disk must not hold clients",
        maximum=600,
    )
    access_log_unknown_per_s: float = setting(
        50.0,
        "record refused requests of unknown senders up to this rate, for each process; more are counted",
        "a second",
        "strangers must not fill the disk; ten seconds' worth may come at once",
        minimum=0,
    )


class AccessLog:
    """The log of one process; without a file it does nothing. Belongs to one event loop."""

    def __init__(self, settings: AccessLogSettings, policies: Policies, metrics: Metrics) -> None:
        """Open the file.

        Args:
            settings: of the log.
            policies: say what is to be on disk before the answer.
            metrics: told what is written and what is not.

        Raises:
            ConfigError: it cannot be opened.
        """
        self._policies = policies
        self._metrics = metrics
        self._refuses = settings.access_log_when_full is WhenFull.REFUSE
        self._room_bytes = settings.access_log_queue_bytes
        self._unknown = _Rate(settings.access_log_unknown_per_s)
        self._log: RecordLog | None = None
        if settings.access_log is not None:
            self._log = RecordLog(
                settings.access_log,
                names=_NAMES,
                fsync=True,
                timeout_s=settings.access_log_timeout_s,
                room_bytes=settings.access_log_queue_bytes,
                observe=metrics.access_log_write,
            )

    def is_durable(self, record: AccessRecord) -> bool:
        """Return whether a request is to be on disk before its answer: by the names that it asks for."""
        asked = record.asked
        if self._log is None or asked is None:
            return False
        source = asked.copy_source
        return self._policies.are_durable(asked.bucket, asked.key) or (
            source is not None and self._policies.are_durable(source.bucket, source.key)
        )

    def require_room(self) -> None:
        """Return if a request may be served: where requests are to be refused rather than not recorded, there is room.

        Raises:
            S3Error: ServiceUnavailable.
        """
        log = self._log
        if self._refuses and log is not None and (log.error or log.noted_bytes > self._room_bytes // 2):
            code, msg = "ServiceUnavailable", "The access log cannot be written. Please try again later."
            reason = log.error or "its disk is too slow"
            raise S3Error(code, msg, hint=f"access_log: {reason}; access_log_when_full = refuse")

    async def put_on_record(self, record: AccessRecord) -> None:
        """Return when a request is on disk.

        Raises:
            S3Error: ServiceUnavailable, as it cannot be; the request must fail.
        """
        assert self._log is not None  # noqa: S101 - or else require_recordable lets nothing be durable
        record.on_record = True
        try:
            await self._log.write(audit_line(record, now=time.time()))
        except UnavailableError as error:
            code, msg = "ServiceUnavailable", "The access log cannot be written. Please try again later."
            raise S3Error(code, msg, hint=f'{error.message}; the policy says audit = "durable"') from error

    def note(self, record: AccessRecord, *, seconds: float, store_request_ids: Sequence[str]) -> None:
        """Have the record of a request written that has ended. Never fails."""
        if self._log is None:
            return
        if not record.is_known:
            record.deleted.clear()  # a stranger may name a thousand keys in one request
            if not self._unknown.take(time.monotonic()):
                self._metrics.not_in_access_log(Unrecorded.UNKNOWN_SENDER)
                return
        if not self._log.note(request_lines(record, seconds=seconds, store_request_ids=store_request_ids)):
            self._metrics.not_in_access_log(Unrecorded.FULL)

    def state(self) -> Part:
        """Return whether requests are recorded, or served all the same."""
        if self._log is None:
            return Part(ok=True, detail="none")
        durable = [policy.is_durable for policy in self._policies]
        is_fine = not self._log.error or not (self._refuses or any(durable))
        return Part(ok=is_fine, detail=self._log.error, vital=self._refuses or all(durable))

    async def probe(self) -> None:
        """After a failure, find out whether it can be written again. Never fails."""
        if self._log is not None:
            await self._log.probe()

    async def reopen(self) -> None:
        """Open the file anew, for its rotation. Never fails."""
        if self._log is not None:
            await self._log.reopen()

    async def close(self) -> None:
        """Write what is left, and close the file."""
        if self._log is not None:
            await self._log.close()


class _Rate:
    """This many a second, with what was not used of the last seconds."""

    def __init__(self, per_s: float) -> None:
        self._per_s = per_s
        self._left = per_s * _BURST_S
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Return whether one more may be, at a time in seconds."""
        self._left = min(self._per_s * _BURST_S, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def require_recordable(policies: Policies, access_log: Path | None) -> None:
    """Return if what policies want on disk before the answer can be.

    Raises:
        ConfigError: there is no file for it.
    """
    if access_log is not None and access_log != STDOUT:
        return
    for policy in policies:
        if policy.is_durable:
            msg = f'policy {policy.name}: audit = "durable" needs access_log to name a file'
            raise ConfigError(
                msg, hint="set access_log=/var/log/strongroom/access.jsonl; what goes to stdout is not on disk"
            )
