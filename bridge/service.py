"""What the bridge does for its callers; every operation exists once, here, and front ends are thin.

``bundle``: decide on every reference, and only if none is denied read, resolve, record, answer. ``plan``: decide only.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from bridge.kv import Reading
from bridge.policy import Policy
from bridge.record import AuditRecord, Caller, Decision
from bridge.resolve import Place, Resolution, places_of, resolve
from strongroom import region
from strongroom.bundle import BundleRequest
from strongroom.errors import (
    DeniedError,
    NotFoundError,
    PeerError,
    StrongroomError,
    UnavailableError,
    UndeliverableError,
)
from strongroom.identity import SpiffeId, parse_spiffe_id
from strongroom.problem import DENIED, MISSING, UNDELIVERABLE, Failure

_INLINE_ENTRIES = 500  # more are encoded in a thread, so that other callers are served meanwhile


class RefusedError(StrongroomError):
    """A bundle that some references stopped.

    Attributes:
        failures: what stopped it, at least one.
    """

    def __init__(self, failures: Sequence[Failure]) -> None:
        """Sum the failures up in one line."""
        self.failures = list(failures)
        first = self.failures[0]
        more = f" (and {len(self.failures) - 1} more)" if len(self.failures) > 1 else ""
        super().__init__(f"{first.name or first.path}: {first.detail}{more}")

    @property
    def cause(self) -> str:
        """The cause that counts most: a denial, then something missing, then something undeliverable."""
        causes = {failure.cause for failure in self.failures}
        return next(cause for cause in (DENIED, MISSING, UNDELIVERABLE) if cause in causes)


class SecretSource(Protocol):
    """Where secrets are read."""

    async def read(self, path: str, version: int) -> Reading:
        """Read one path, version 0 for the newest.

        Raises:
            NotFoundError: there is no such mount, path or version.
            DeniedError: the source's own rules do not let the bridge read it.
            UndeliverableError: the path is not a key-value secret.
            UnavailableError: the source cannot be reached or is too slow.
        """


class AuditTrail(Protocol):
    """Where records go."""

    async def record(self, caller: Caller, records: Sequence[AuditRecord]) -> None:
        """Return when the records are durable.

        Raises:
            UnavailableError: they are not.
        """


class PolicySource(Protocol):
    """What holds the policy in force."""

    policy: Policy


class CountSecrets(Protocol):
    """What counts decisions."""

    def __call__(self, decision: str, count: int) -> None:
        """Count some secrets with one decision."""


class Service:
    """The operations."""

    def __init__(
        self,
        *,
        policies: PolicySource,
        secrets: SecretSource,
        audit: AuditTrail,
        max_region_bytes: int,
        count: CountSecrets = lambda *_: None,
    ) -> None:
        """Take the ports and the limit of an answer in bytes."""
        self._policies = policies
        self._secrets = secrets
        self._audit = audit
        self._max_region_bytes = max_region_bytes
        self._count = count

    async def bundle(self, caller: Caller, request: BundleRequest) -> bytes:
        """Return the region image with all that ``request`` asks for.

        Raises:
            RefusedError: some references are denied, missing or undeliverable; nothing is handed over.
            UndeliverableError: all together is too much for a region.
            UnavailableError: OpenBao or the audit log does not work now.
            PeerError: OpenBao answers nonsense.
        """
        policy = self._policies.policy  # one policy for the whole request, even if it is replaced meanwhile
        identity = parse_spiffe_id(caller.identity)
        denied = _denials(policy, identity, request)
        if denied:
            await self._record(caller, [_denial_record(failure) for failure in denied])
            raise RefusedError(denied)
        places = places_of(request)
        outcomes = await asyncio.gather(*(self._read(place) for place in places))
        resolution = resolve(
            request,
            dict(zip(places, outcomes, strict=True)),
            lambda path, key: policy.require(identity, path, key),
        )
        try:
            image = await self._encode(resolution)
        except StrongroomError:
            await self._record(caller, resolution.withheld_records())
            raise
        await self._record(caller, resolution.records)
        return image

    def plan(self, caller: Caller, request: BundleRequest) -> dict[str, object]:
        """Return what the policy says about each reference of ``request``; nothing is read."""
        policy = self._policies.policy
        identity = parse_spiffe_id(caller.identity)
        entries: list[dict[str, object]] = []
        for entry in request.entries:
            for ref in entry.references:
                failure = _denial(policy, identity, entry.name, ref.path, ref.key)
                entries.append(
                    {
                        "name": entry.name,
                        "path": ref.path,
                        "key": ref.key,
                        "version": ref.version,
                        "allowed": failure is None,
                        "reason": failure.detail if failure else "granted",
                    }
                )
        from_path: list[dict[str, object]] = []
        for source in request.from_paths:
            failure = _path_denial(policy, identity, source.path)
            from_path.append(
                {
                    "path": source.path,
                    "allowed": failure is None,
                    "reason": failure.detail if failure else "granted, for the keys that the policy names",
                }
            )
        return {"identity": caller.identity, "entries": entries, "from_path": from_path}

    async def _read(self, place: Place) -> Reading | StrongroomError:
        try:
            return await self._secrets.read(place.path, place.version)
        except (NotFoundError, DeniedError, UndeliverableError, PeerError) as error:
            return error

    async def _encode(self, resolution: Resolution) -> bytes:
        if resolution.unavailable is not None:
            # The same error may be raised for several callers of one read; each gets its own.
            lost = resolution.unavailable
            pause = lost.retry_after_s if isinstance(lost, UnavailableError) else 1.0
            raise UnavailableError(lost.message, hint=lost.hint, retry_after_s=pause) from lost
        if resolution.failures:
            raise RefusedError(resolution.failures)
        size = sum(len(name) + len(value) for name, value in resolution.entries)
        if size <= self._max_region_bytes:
            if len(resolution.entries) <= _INLINE_ENTRIES:
                image = region.encode(resolution.entries)
            else:
                image = await asyncio.to_thread(region.encode, resolution.entries)
            size = len(image)
        if size > self._max_region_bytes:
            msg = f"{len(resolution.entries)} secrets need {size} bytes; at most {self._max_region_bytes} are delivered"
            raise UndeliverableError(msg, hint="ask for less, or raise max_region_bytes of the bridge")
        return image

    async def _record(self, caller: Caller, records: Sequence[AuditRecord]) -> None:
        await self._audit.record(caller, records)
        for decision in Decision:
            count = sum(record.decision is decision for record in records)
            if count:
                self._count(decision.value, count)


def _denials(policy: Policy, identity: SpiffeId, request: BundleRequest) -> list[Failure]:
    failures = [
        _denial(policy, identity, entry.name, ref.path, ref.key)
        for entry in request.entries
        for ref in entry.references
    ]
    failures += [_path_denial(policy, identity, source.path) for source in request.from_paths]
    return [failure for failure in failures if failure is not None]


def _denial(policy: Policy, identity: SpiffeId, name: str, path: str, key: str) -> Failure | None:
    try:
        policy.require(identity, path, key)
    except DeniedError as error:
        return Failure(name=name, path=path, key=key, cause=DENIED, detail=error.message)
    return None


def _path_denial(policy: Policy, identity: SpiffeId, path: str) -> Failure | None:
    try:
        policy.require_some(identity, path)
    except DeniedError as error:
        return Failure(name="", path=path, key="", cause=DENIED, detail=error.message)
    return None


def _denial_record(failure: Failure) -> AuditRecord:
    return AuditRecord(failure.name, failure.path, failure.key, 0, Decision.DENIED, failure.detail)
