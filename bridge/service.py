"""What the bridge does for its callers; every operation exists once, here, and front ends are thin.

``bundle``: decide on every reference, and only if none is denied read, resolve, record, answer. ``plan``: decide only.
``check``: decide, read and resolve what is granted, record, and answer with what was found instead of its values.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from secrets import randbits
from typing import Protocol, TypeVar

from bridge.audit import AuditRecord, Caller, Decision, listed
from bridge.check import Findings, encode_check, encode_plan, granted_of, look
from bridge.offload import compute, items_of, weight_of, weight_of_resolving
from bridge.policy import Policy, denials
from bridge.reads import SecretSource, read_all
from bridge.resolve import Outcomes, Resolution, most_bytes, reads_of, resolve
from bridge.room import Room
from strongroom.errors import (
    DeniedError,
    StrongroomError,
    UnavailableError,
    UndeliverableError,
)
from strongroom.launch import region
from strongroom.launch.answer import Layout, encode_layout
from strongroom.launch.bundle import BundleRequest
from strongroom.launch.problem import DENIED, MISSING, UNDELIVERABLE, Failure

T = TypeVar("T")


class RefusedError(StrongroomError):
    """A bundle that some references stopped.

    Attributes:
        failures: what stopped it, at least one.
    """

    without_hint = "each failure has a detail of its own, with the next step for it"

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


class AuditTrail(Protocol):
    """Where records go."""

    async def record(self, caller: Caller, records: Sequence[AuditRecord]) -> None:
        """Return when the records are durable.

        Raises:
            UnavailableError: they are not.
        """


class PolicySource(Protocol):
    """What holds the policy in force."""

    @property
    def value(self) -> Policy:
        """The policy in force."""


class CountSecrets(Protocol):
    """What counts decisions."""

    def __call__(self, decision: str, count: int) -> None:
        """Count some secrets with one decision."""


@dataclass(frozen=True)
class Limits:
    """What one request may cost.

    Attributes:
        region_bytes: largest region image.
        files_bytes: most that all files of one answer may hold.
        reading_s: seconds for all reads.
        reads_at_once: reads of one request under way; leaves room for other requests.
    """

    region_bytes: int
    files_bytes: int
    reading_s: float
    reads_at_once: int

    @property
    def answer_bytes(self) -> int:
        """Most that all values of one answer may have."""
        return self.region_bytes + self.files_bytes


class Service:
    """The operations."""

    def __init__(
        self,
        *,
        policies: PolicySource,
        secrets: SecretSource,
        audit: AuditTrail,
        limits: Limits,
        count: CountSecrets = lambda *_: None,
    ) -> None:
        """Take the ports and the limits."""
        self._policies = policies
        self._secrets = secrets
        self._audit = audit
        self._limits = limits
        self._count = count

    def require_named(self, caller: Caller) -> None:
        """Return if the policy grants the caller anything; what it asks for is not worth reading otherwise.

        Raises:
            DeniedError: it does not; to be recorded.
        """
        self._policies.value.require_named(caller.identity)

    async def record_unnamed(self, caller: Caller, refusal: DeniedError) -> None:
        """Record that a request was refused without being read.

        Raises:
            UnavailableError: the audit log does not work now.
        """
        await self._record(caller, [AuditRecord("", "", "", 0, Decision.DENIED, refusal.message)])

    async def bundle(self, caller: Caller, request: BundleRequest, room: Room) -> bytes:
        """Return all that ``request`` asks for: the region image, or, if it has files, a ``strongroom.launch.answer``.

        Args:
            caller: who asks.
            request: for what.
            room: for what is read and answered; the caller of this method closes it when the answer is taken.

        Raises:
            RefusedError: some references are denied, missing or undeliverable; nothing is handed over.
            UndeliverableError: all together is too much for a region, or for files.
            UnavailableError: OpenBao or the audit log does not work now, or others hold all room for answers.
            PeerError: OpenBao answers nonsense.
        """
        # One policy for the whole request, even if it is replaced meanwhile.
        policy = self._policies.value
        denied, records = await _decide(policy, caller, request)
        if denied:
            await self._record(caller, records)
            raise RefusedError(denied)
        require = partial(policy.require, caller.identity)
        kept_bytes = self._limits.answer_bytes
        resolution = await self._make(
            request, room, lambda outcomes: resolve(request, outcomes, require, kept_bytes=kept_bytes)
        )
        try:
            answer = await self._encode(resolution, with_files=request.has_files)
        except StrongroomError:
            await self._record(caller, await compute(len(resolution.records), resolution.withheld_records))
            raise
        records = resolution.records
        del resolution  # and with it the values, which are in the answer
        room.keep(len(answer))
        await self._record(caller, records)
        return answer

    async def plan(self, caller: Caller, request: BundleRequest, room: Room) -> bytes:
        """Return what the policy says about each reference of ``request``, as JSON; nothing is read.

        What it refuses is recorded as for a bundle: nobody can find out what the policy says unnoticed.

        Raises:
            UnavailableError: the audit log does not work now.
        """
        denied, records = await _decide(self._policies.value, caller, request)
        await self._record(caller, records)
        answer = await compute(weight_of(request), lambda: encode_plan(caller.identity, request, denied))
        room.keep(len(answer))
        return answer

    async def check(self, caller: Caller, request: BundleRequest, room: Room) -> bytes:
        """Return whether a bundle would be handed over, reference by reference, as JSON and without a value.

        What is granted is read as for a bundle, within the same limits; each secret is recorded as checked.

        Raises:
            UnavailableError: the audit log does not work now.
        """
        policy = self._policies.value
        denied, records = await _decide(policy, caller, request)
        size = weight_of(request)
        granted = await compute(size, lambda: granted_of(request, denied))
        taken = request.exclude | {entry.name for entry in request.entries}
        require = partial(policy.require, caller.identity)
        kept_bytes = self._limits.answer_bytes
        found = await self._make(
            granted, room, lambda outcomes: look(granted, taken, outcomes, require, kept_bytes=kept_bytes)
        )
        too_large = self._too_large(found)
        size += len(found.paths)
        answer = await compute(size, lambda: encode_check(caller.identity, request, denied, found, too_large))
        room.keep(len(answer))
        await self._record(caller, records + await compute(size, found.records))
        return answer

    def _too_large(self, found: Findings) -> str:
        if found.variables > region.MAX_ENTRIES:
            return f"all together are {found.variables} variables; at most {region.MAX_ENTRIES} are delivered"
        for bytes_, largest, setting in (
            (region.size_for(found.variables, found.entry_bytes), self._limits.region_bytes, "max_region_bytes"),
            (found.file_bytes, self._limits.files_bytes, "max_files_bytes"),
        ):
            if bytes_ > largest:
                return f"all together have {bytes_} bytes; at most {largest} are delivered ({setting} of the bridge)"
        return ""

    async def _make(self, request: BundleRequest, room: Room, work: Callable[[Outcomes], T]) -> T:
        """Read what a request refers to, find room for the values and, beside them, for the answer, and do the rest."""
        size, limits = weight_of(request), self._limits
        reads = await compute(size, lambda: reads_of(request))
        outcomes: Outcomes = await read_all(
            self._secrets, reads, room, at_once=limits.reads_at_once, within_s=limits.reading_s
        )
        most = await compute(size, lambda: most_bytes(request, outcomes))
        try:
            await room.take(2 * min(most, limits.answer_bytes))
        except (UnavailableError, UndeliverableError) as error:
            outcomes = dict.fromkeys(reads, error)
        return await compute(size + weight_of_resolving(request, outcomes.values()), lambda: work(outcomes))

    async def _encode(self, resolution: Resolution, *, with_files: bool) -> bytes:
        if resolution.unavailable is not None:
            # The same error may be raised for several callers of one read; each gets its own.
            lost = resolution.unavailable
            pause = lost.retry_after_s if isinstance(lost, UnavailableError) else 1.0
            raise UnavailableError(lost.message, hint=lost.hint, retry_after_s=pause) from lost
        if resolution.failures:
            raise RefusedError(resolution.failures)
        size = sum(resolution.entry_sizes.values())
        largest = self._limits.region_bytes
        if size <= largest:
            image = await compute(
                items_of(len(resolution.entries), size),
                lambda: region.encode(resolution.entries, first_seed=randbits(32)),
            )
            size = len(image)
        if size > largest:
            msg = f"{len(resolution.entry_sizes)} secrets need {size} bytes; at most {largest} are delivered"
            raise UndeliverableError(msg, hint="ask for less, or raise max_region_bytes of the bridge")
        if not with_files:
            return image
        self._check_files(resolution.file_sizes)
        layout = Layout(len(image), {name: len(content) for name, content in resolution.files})
        parts = [encode_layout(layout), image, *(content for _, content in resolution.files)]
        return await compute(items_of(len(parts), sum(map(len, parts))), lambda: b"".join(parts))

    def _check_files(self, sizes: Mapping[str, int]) -> None:
        size, largest = sum(sizes.values()), self._limits.files_bytes
        if size > largest:
            name = max(sizes, key=lambda name: sizes[name])
            msg = f"{len(sizes)} files need {size} bytes, {name} alone {sizes[name]}; at most {largest} are delivered"
            raise UndeliverableError(msg, hint="ask for less, or raise max_files_bytes of the bridge")

    async def _record(self, caller: Caller, records: Sequence[AuditRecord]) -> None:
        await self._audit.record(caller, records)
        for decision, count in (await compute(len(records), lambda: _tally(records))).items():
            self._count(decision.value, count)


async def _decide(policy: Policy, caller: Caller, request: BundleRequest) -> tuple[list[Failure], list[AuditRecord]]:
    """Return what the policy denies, and the records of it."""

    def decide() -> tuple[list[Failure], list[AuditRecord]]:
        denied = denials(policy, caller.identity, request)
        return denied, listed(
            [AuditRecord(one.name, one.path, one.key, 0, Decision.DENIED, one.detail) for one in denied]
        )

    return await compute(weight_of(request), decide)


def _tally(records: Sequence[AuditRecord]) -> dict[Decision, int]:
    counts: Counter[Decision] = Counter()
    for record in records:
        counts[record.decision] += record.count
    return counts
