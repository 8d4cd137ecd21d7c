"""``POST /v1/check``: whether a bundle would be handed over now, secret by secret, and never a value. Pure.

What is granted is read and resolved as for a bundle, so that the two cannot disagree; of what came of it only states,
versions and reasons are kept.
"""

import dataclasses
import json
from collections.abc import Collection, Iterator, Sequence

from bridge.decide import GRANTED
from bridge.record import AuditRecord, Decision
from bridge.resolve import Outcomes, Require, Resolution, resolve
from strongroom.identity import SpiffeId
from strongroom.launch.bundle import BundleRequest, Entry
from strongroom.launch.problem import Failure

# What is said of each secret; those of a failure are its causes (``strongroom.launch.problem``).
EXISTS = "exists"
UNAVAILABLE = "unavailable"


def granted_of(request: BundleRequest, denied: Collection[Failure]) -> BundleRequest:
    """Return a request without what the policy denies."""
    refused = {(failure.name, failure.path, failure.key) for failure in denied}
    if not refused:
        return request
    entries = []
    for entry in request.entries:
        parts = [part for part in entry.references if (entry.name, part.path, part.key) not in refused]
        if parts:
            entries.append(Entry(entry.name, [*parts], as_file=entry.as_file, decode=entry.decode))
    sources = [source for source in request.from_paths if ("", source.path, "") not in refused]
    return BundleRequest(entries, sources, request.exclude)


@dataclasses.dataclass
class Findings:
    """What a check has found.

    Attributes:
        references: what would be recorded of each granted reference, in the order of the request.
        paths: likewise of the keys of whole paths.
        path_failures: what would stop the bundle because of a whole path.
        path_ends: how many of both there are up to the end of each whole path.
        variables: how many there would be.
        entry_bytes: of all variables.
        file_bytes: of all files.
    """

    references: list[AuditRecord]
    paths: list[AuditRecord]
    path_failures: list[Failure]
    path_ends: list[tuple[int, int]]
    variables: int
    entry_bytes: int
    file_bytes: int

    def records(self) -> list[AuditRecord]:
        """Return what is recorded: what a bundle would have handed over was checked."""
        return [
            dataclasses.replace(record, decision=Decision.CHECKED) if record.decision is Decision.ALLOWED else record
            for record in (*self.references, *self.paths)
        ]

    def of_each_path(self) -> Iterator[tuple[list[AuditRecord], list[Failure]]]:
        """Return what was found of each whole path; one that is taken several times has its findings each time."""
        start = (0, 0)
        for end in self.path_ends:
            yield self.paths[start[0] : end[0]], self.path_failures[start[1] : end[1]]
            start = end


def look(
    granted: BundleRequest, taken: frozenset[str], outcomes: Outcomes, require: Require, *, kept_bytes: int
) -> Findings:
    """Resolve what is granted, first the references and then the whole paths, and keep no value of it.

    Args:
        granted: the request.
        taken: names that a whole path does not set.
        outcomes: what was read.
        require: the policy, for the keys of whole paths.
        kept_bytes: of values that are made at a time, at most about this many.
    """
    entries = _without_values(
        resolve(BundleRequest(granted.entries, [], frozenset()), outcomes, require, kept_bytes=kept_bytes)
    )
    sources = BundleRequest([], granted.from_paths, taken)
    paths = _without_values(resolve(sources, outcomes, require, kept_bytes=kept_bytes))
    return Findings(
        references=entries.records,
        paths=paths.records,
        path_failures=paths.failures,
        path_ends=paths.path_ends,
        variables=len(entries.entry_sizes) + len(paths.entry_sizes),
        entry_bytes=sum(entries.entry_sizes.values()) + sum(paths.entry_sizes.values()),
        file_bytes=sum(entries.file_sizes.values()),
    )


def _without_values(resolution: Resolution) -> Resolution:
    resolution.entries.clear()
    resolution.files.clear()
    return resolution


def encode_check(
    identity: SpiffeId, request: BundleRequest, denied: Sequence[Failure], found: Findings, too_large: str
) -> bytes:
    """Return the answer, a JSON object, encoded piece by piece as ``encode_plan`` does it.

    Args:
        identity: who asks.
        request: for what.
        denied: what the policy denies of it.
        found: what came of the rest.
        too_large: why all together could not be handed over, or "".
    """
    refused = {(failure.name, failure.path, failure.key): failure.detail for failure in denied}
    records = iter(found.references)
    entries = []
    for entry in request.entries:
        for ref in entry.references:
            reason = refused.get((entry.name, ref.path, ref.key))
            shown = _of_reference(next(records)) if reason is None else _denied(reason)
            about = {"name": entry.name, "path": ref.path, "key": ref.key, "version": ref.version}
            entries.append(json.dumps(about | shown))
    of_paths = found.of_each_path()
    sources = []
    for source in request.from_paths:
        reason = refused.get(("", source.path, ""))
        shown = _of_path(*next(of_paths)) if reason is None else _denied(reason)
        sources.append(json.dumps({"path": source.path} | shown))
    head = f'{{"identity": {json.dumps(str(identity))}, "too_large": {json.dumps(too_large)}, "entries": ['
    return f'{head}{", ".join(entries)}], "from_path": [{", ".join(sources)}]}}'.encode()


def _denied(reason: str) -> dict[str, object]:
    return {"allowed": False, "reason": reason, "state": Decision.DENIED.value, "found_version": 0}


def _of_reference(record: AuditRecord) -> dict[str, object]:
    return _granted(_STATES[record.decision], record.version, record.reason)


_STATES = {
    Decision.ALLOWED: EXISTS,
    Decision.DENIED: Decision.DENIED.value,
    Decision.MISSING: Decision.MISSING.value,
    Decision.UNDELIVERABLE: Decision.UNDELIVERABLE.value,
    Decision.UNAVAILABLE: UNAVAILABLE,
}


def _granted(state: str, version: int, reason: str) -> dict[str, object]:
    return {"allowed": True, "reason": reason or GRANTED, "state": state, "found_version": version}


def _of_path(records: list[AuditRecord], failures: list[Failure]) -> dict[str, object]:
    version = max((record.version for record in records), default=0)
    if failures:
        return _granted(failures[0].cause, version, failures[0].detail)
    away = next((record for record in records if record.decision is Decision.UNAVAILABLE), None)
    if away is not None:
        return _granted(UNAVAILABLE, 0, away.reason)
    missing = next((record for record in records if not record.key and record.decision is Decision.MISSING), None)
    if missing is not None:  # and optional
        return _granted(Decision.MISSING.value, 0, missing.reason)
    count = sum(record.decision is Decision.ALLOWED for record in records)
    return _granted(EXISTS, version, f"{count} keys would be variables")
