"""The audit log: one JSON line for each secret that was read or denied, durable before the caller hears anything.

Records of requests that come at once share one fsync. When a record cannot be written the request fails; nothing leaves
the bridge unrecorded.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bridge.offload import INLINE_ITEMS, compute, items_of
from bridge.record import AuditRecord, Caller, encode_records
from strongroom.service.record_log import RecordLog, RecordLogNames

_NAMES = RecordLogNames(log="audit", setting="audit_file", owner="bridge")


class AuditLog(RecordLog):
    """The records of the bridge, in a file or on stdout."""

    def __init__(
        self,
        path: Path,
        *,
        fsync: bool,
        timeout_s: float,
        observe: Callable[[float, bool], None] = lambda *_: None,
    ) -> None:
        """Open the file with mode 0600.

        Args:
            path: the file, or ``-`` for stdout.
            fsync: whether each write is forced to the disk; has no meaning for a pipe or terminal.
            timeout_s: how long a request waits for its record.
            observe: told after each write the seconds it took and whether it succeeded.

        Raises:
            ConfigError: it cannot be opened.
        """
        super().__init__(path, names=_NAMES, fsync=fsync, timeout_s=timeout_s, observe=observe)

    async def record(self, caller: Caller, records: Sequence[AuditRecord]) -> None:
        """Write records and return when they are durable.

        Raises:
            UnavailableError: they could not be written, or not in time; the request must fail.
        """
        if records:
            now = time.time()
            weight = items_of(len(records), sum(record.size for record in records[:INLINE_ITEMS]))
            await self.write(await compute(weight, lambda: encode_records(caller, records, now=now)))
