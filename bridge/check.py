"""``POST /v1/plan`` and ``/v1/check``: whether a bundle would be handed over, secret by secret, never a value. Pure.

A plan says what the policy grants. For a check, that is read and resolved as for a bundle, so that the two cannot
disagree; of what came of it only states, versions and reasons are kept.
"""

import dataclasses
import io
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from bridge.audit import AuditRecord, Decision
from bridge.resolve import Outcomes, Require, Resolution, resolve
from strongroom.identity import SpiffeId
from strongroom.launch.bundle import BundleRequest, Entry
from strongroom.launch.problem import Failure

# What is said of each secret; those of a failure are its causes (``strongroom.launch.problem``).
EXISTS = "exists"
UNAVAILABLE = "unavailable"
_GRANTED = "granted"
_Members = dict[str, object]
_Refused = dict[tuple[str, str, str], str]


def granted_of(request: BundleRequest, denied: Collection[Failure]) -> BundleRequest:
    """Return a request without what the policy denies."""
    refused = _refused(denied)
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
    """Return the answer of a check, a JSON object.

    Args:
        identity: who asks.
        request: for what.
        denied: what the policy denies of it.
        found: what came of the rest.
        too_large: why all together could not be handed over, or "".
    """
    records, of_paths = iter(found.references), found.of_each_path()
    forms = _Forms(
        refusal=lambda reason: _refusal(reason) | {"state": Decision.DENIED.value, "found_version": 0},
        reference=lambda: _of_reference(next(records)),
        path=lambda: _of_path(*next(of_paths)),
    )
    return _encode({"identity": str(identity), "too_large": too_large}, request, denied, forms)


def encode_plan(identity: SpiffeId, request: BundleRequest, denied: Sequence[Failure]) -> bytes:
    """Return what the policy says about each reference and each whole path, a JSON object.

    Args:
        identity: who asks.
        request: for what.
        denied: what the policy denies of it.
    """
    forms = _Forms(
        refusal=_refusal,
        reference=lambda: {"allowed": True, "reason": _GRANTED},
        path=lambda: {"allowed": True, "reason": "granted, for the keys that the policy names"},
    )
    return _encode({"identity": str(identity)}, request, denied, forms)


class _Forms(NamedTuple):
    """What is said of a refusal, for its reason, and of the next granted reference and the next granted whole path."""

    refusal: Callable[[str], _Members]
    reference: Callable[[], _Members]
    path: Callable[[], _Members]


def _encode(head: _Members, request: BundleRequest, denied: Collection[Failure], forms: _Forms) -> bytes:
    """Encode an answer piece by piece: a thread that encodes all of it at once lets no other one run meanwhile."""
    refused = _refused(denied)
    answer = io.BytesIO()  # an answer has up to twenty times the size of its request, and is in memory but once
    answer.write(f'{json.dumps(head)[:-1]}, "entries": ['.encode())
    answer.writelines(_listed(_shown_references(request, refused, forms)))
    answer.write(b'], "from_path": [')
    answer.writelines(_listed(_shown_paths(request, refused, forms)))
    answer.write(b"]}")
    return answer.getvalue()


def _listed(items: Iterable[_Members]) -> Iterator[bytes]:
    for number, item in enumerate(items):
        yield f"{', ' if number else ''}{json.dumps(item)}".encode()


def _shown_references(request: BundleRequest, refused: _Refused, forms: _Forms) -> Iterator[_Members]:
    for entry in request.entries:
        for ref in entry.references:
            reason = refused.get((entry.name, ref.path, ref.key))
            about: _Members = {"name": entry.name, "path": ref.path, "key": ref.key, "version": ref.version}
            yield about | (forms.reference() if reason is None else forms.refusal(reason))


def _shown_paths(request: BundleRequest, refused: _Refused, forms: _Forms) -> Iterator[_Members]:
    for source in request.from_paths:
        reason = refused.get(("", source.path, ""))
        yield {"path": source.path} | (forms.path() if reason is None else forms.refusal(reason))


def _refused(denied: Collection[Failure]) -> _Refused:
    """Return why something is denied, by variable, path and key; a whole path has neither variable nor key."""
    return {(failure.name, failure.path, failure.key): failure.detail for failure in denied}


def _refusal(reason: str) -> _Members:
    return {"allowed": False, "reason": reason}


def _of_reference(record: AuditRecord) -> _Members:
    return _granted(_STATES[record.decision], record.version, record.reason)


_STATES = {
    Decision.ALLOWED: EXISTS,
    Decision.DENIED: Decision.DENIED.value,
    Decision.MISSING: Decision.MISSING.value,
    Decision.UNDELIVERABLE: Decision.UNDELIVERABLE.value,
    Decision.UNAVAILABLE: UNAVAILABLE,
}


def _granted(state: str, version: int, reason: str) -> _Members:
    return {"allowed": True, "reason": reason or _GRANTED, "state": state, "found_version": version}


def _of_path(records: list[AuditRecord], failures: list[Failure]) -> _Members:
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
