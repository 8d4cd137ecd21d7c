"""Reading secrets from OpenBao's key-value engines: finds the engine of a path, reads, explains.

Users write ``kv/shop/db``. Where the mount ends and whether it has versions is OpenBao's knowledge; it is asked once
per mount, remembered for a while, and asked again ahead of that while the mount is in use. Values are remembered
nowhere.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

from strongroom.errors import DeniedError, NotFoundError, UnavailableError
from strongroom.openbao.connection import Answer, Call
from strongroom.openbao.kv import Mount, Reading, mount_of, no_secret_at, reading_of_v1, reading_of_v2
from strongroom.secret import Secret

MOUNT_TTL_S = 60.0  # how long an engine may be believed to be what it was; a miss asks earlier
MOUNT_DOUBT_S = 1.0  # after a miss, an older knowledge of the mount is checked once more
MOUNT_IN_USE_S = 86_400.0  # how long it is asked about ahead without a read: the first launch of a day is quick

Keep = Callable[[Mapping[str, object], Mount], Mapping[str, object]]


@dataclass
class _Known:
    """What is known of a mount.

    Attributes:
        mount: the engine.
        since: when it was asked about.
        asked_at: when it was asked about, in vain or not.
        used_at: when a path in it was last read.
    """

    mount: Mount
    since: float
    asked_at: float
    used_at: float


class SecretStore:
    """Reads paths; for one event loop."""

    def __init__(
        self,
        exchange: Callable[[Call], Awaitable[Answer]],
        *,
        holder: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what the store stands on.

        Args:
            exchange: makes one API call.
            holder: what the holder of the tokens is called in messages.
            clock: seconds; ``time.monotonic``.
        """
        self._exchange = exchange
        self._holder = holder
        self._clock = clock
        self._mounts: dict[str, _Known] = {}

    async def read(
        self, path: str, version: int, *, token: Secret, deadline: float, keep: Keep = lambda document, _: document
    ) -> Reading:
        """Read one path.

        Args:
            path: canonical, mount first.
            version: 0 for the newest.
            token: to read with.
            deadline: of ``time.monotonic``.
            keep: returns what is wanted of the answer of an engine.

        Raises:
            NotFoundError: there is no such mount, path or version, or the version is deleted or destroyed.
            DeniedError: OpenBao's own policy does not let the token read it, or the token is dead.
            UndeliverableError: the path is in an engine of another type.
            UnavailableError: OpenBao cannot be reached, is sealed, busy or slow.
            PeerError: OpenBao's answer is nonsense.
        """
        mount, age_s = await self._mount_of(path, token=token, deadline=deadline)
        call = _get("read", path, token=token, deadline=deadline)
        try:
            return await self._read_in(mount, path, version, replace(call, keep=lambda document: keep(document, mount)))
        except (NotFoundError, DeniedError):
            if age_s < MOUNT_DOUBT_S:
                raise
        # The mount may have been replaced since; an engine of another version answers 404 or 403 to our URL.
        self.forget(mount)
        again, _ = await self._mount_of(path, token=token, deadline=deadline)
        return await self._read_in(again, path, version, replace(call, keep=lambda document: keep(document, again)))

    def due(self) -> list[Mount]:
        """Return the mounts in use that are to be asked about ahead, so that no read has to."""
        now = self._clock()
        return [
            known.mount
            for known in self._mounts.values()
            if now - known.used_at < MOUNT_IN_USE_S and now - known.asked_at >= MOUNT_TTL_S / 2
        ]

    async def confirm(self, token: Secret, *, mount: Mount, deadline: float) -> None:
        """Ask about a mount that is known.

        Raises:
            NotFoundError: it is gone.
            DeniedError: the token may not see it, or is dead.
            UndeliverableError: there is an engine of another type now.
            PeerError: OpenBao cannot be reached, is sealed, busy or slow, or its answer is nonsense.
        """
        now = self._clock()
        if (known := self._mounts.get(mount.path)) is not None:
            known.asked_at = now
        answer = await self._ask_mount(mount.path.rstrip("/"), token=token, deadline=deadline)
        if answer.status == HTTPStatus.FORBIDDEN:
            self._refuse(answer, mount.path)
        found = self._said_of(answer, mount.path)
        known = self._mounts.get(mount.path)  # as it is now: a read may have forgotten it, or asked later
        if known is None or known.since > now:
            return
        if found.path != mount.path:
            self.forget(mount)
        self._mounts[found.path] = _Known(found, since=now, asked_at=now, used_at=known.used_at)

    def forget(self, mount: Mount) -> None:
        """Let the next read ask about a mount."""
        self._mounts.pop(mount.path, None)

    async def _read_in(self, mount: Mount, path: str, version: int, call: Call) -> Reading:
        rest = path.removeprefix(mount.path)
        if mount.path.rstrip("/") == path:
            raise NotFoundError(f"{path} is a mount and not a secret", hint="name a secret below it: MOUNT/PATH")
        if mount.version == 1:
            if version:
                msg = f"{path} is in a version 1 engine, which keeps no versions"
                raise NotFoundError(msg, hint="leave the version out")
            answer = await self._exchange(call)
            self._refuse(answer, path)
            return reading_of_v1(answer.status, answer.document, path)
        url = f"{mount.path}data/{rest}"
        query = {"version": str(version)} if version else None
        answer = await self._exchange(replace(call, path=url, query=query))
        self._refuse(answer, path)
        try:
            return reading_of_v2(answer.status, answer.document, path, version)
        except NotFoundError:
            if not version or answer.document.get("data"):
                raise
        # OpenBao says the same for a missing path and a missing version; the newest version tells them apart.
        newest = await self._exchange(replace(call, path=url))
        if newest.status == HTTPStatus.NOT_FOUND and not newest.document.get("data"):
            raise no_secret_at(path)
        msg = f"there is no version {version} of {path}"
        raise NotFoundError(msg, hint="it was never written, or more versions came after it than the engine keeps")

    async def _mount_of(self, path: str, *, token: Secret, deadline: float) -> tuple[Mount, float]:
        """Return the engine that a path is in, and for how many seconds that has been known."""
        now = self._clock()
        for prefix, known in self._mounts.items():
            if f"{path}/".startswith(prefix) and now - known.since < MOUNT_TTL_S:
                known.used_at = now
                return known.mount, now - known.since
        answer = await self._ask_mount(path, token=token, deadline=deadline)
        if answer.status == HTTPStatus.FORBIDDEN:
            await self._explain_no_mount(path, token=token, deadline=deadline)
        mount = self._said_of(answer, path)
        self._mounts[mount.path] = _Known(mount, since=now, asked_at=now, used_at=now)
        return mount, 0.0

    def _said_of(self, answer: Answer, path: str) -> Mount:
        if answer.status != HTTPStatus.OK:
            msg = f"OpenBao does not say how {path} is mounted: {answer.reason or answer.status}"
            raise NotFoundError(
                msg, hint="is it mounted, and does the token of the server have rights on a path below it?"
            )
        return mount_of(answer.document, path)

    async def _ask_mount(self, path: str, *, token: Secret, deadline: float) -> Answer:
        return await self._exchange(_get("mount", f"sys/internal/ui/mounts/{path}", token=token, deadline=deadline))

    async def _explain_no_mount(self, path: str, *, token: Secret, deadline: float) -> None:
        """Raise why there is no mount: OpenBao answers 403 both when it is missing and when the token may not see it.

        A token without any right on the mount cannot make the engine do anything by this request.
        """
        answer = await self._exchange(_get("probe", path, token=token, deadline=deadline))
        if answer.status == HTTPStatus.NOT_FOUND:
            msg = f"nothing is mounted at {path.partition('/')[0]}/"
            raise NotFoundError(msg, hint="the first part of a path is the mount; `bao secrets list` shows them")
        msg = f"OpenBao does not let {self._holder} see {path}"
        hint = f"give the OpenBao policy of {self._holder}'s token `read` on it, or mount a kv engine there"
        raise DeniedError(msg, hint=hint)

    def _refuse(self, answer: Answer, path: str) -> None:
        if answer.status == HTTPStatus.FORBIDDEN:
            msg = f"OpenBao does not let {self._holder} read {path}"
            raise DeniedError(msg, hint=f"give the OpenBao policy of {self._holder}'s token `read` on it")
        if answer.status == HTTPStatus.BAD_REQUEST:
            # A version 2 engine says this while it upgrades itself from version 1.
            msg = f"OpenBao cannot read {path} now: {answer.reason}"
            raise UnavailableError(msg, hint="wait until the mount is upgraded; `bao secrets list` shows it")


def _get(operation: str, path: str, *, token: Secret, deadline: float) -> Call:
    return Call(operation=operation, method="GET", path=path, deadline=deadline, token=token)
