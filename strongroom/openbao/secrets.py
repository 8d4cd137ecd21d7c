"""Reading secrets from OpenBao's key-value engines, blocking: finds the engine of a path, reads, explains.

Users write ``kv/shop/db``. Where the mount ends and whether it has versions is OpenBao's knowledge; it is asked once
per mount and remembered for a while. Values are remembered nowhere.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus

from strongroom.errors import DeniedError, NotFoundError, UnavailableError
from strongroom.openbao.connection import Answer, Call
from strongroom.openbao.kv import Mount, Reading, mount_of, no_secret_at, reading_of_v1, reading_of_v2
from strongroom.secret import Secret

MOUNT_TTL_S = 60.0  # how long an engine may be believed to be what it was; a miss asks earlier
MOUNT_DOUBT_S = 1.0  # after a miss, an older knowledge of the mount is checked once more

Keep = Callable[[Mapping[str, object], Mount], Mapping[str, object]]


class SecretStore:
    """Reads paths; safe to use from several threads."""

    def __init__(self, exchange: Callable[[Call], Answer], *, holder: str) -> None:
        """Take what makes one API call, and what the holder of the tokens is called in messages."""
        self._exchange = exchange
        self._holder = holder
        self._lock = threading.Lock()
        self._mounts: dict[str, tuple[Mount, float]] = {}

    def read(
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
        mount, age_s = self._mount_of(path, token=token, deadline=deadline)
        call = _get("read", path, token=token, deadline=deadline)
        try:
            return self._read_in(mount, path, version, replace(call, keep=lambda document: keep(document, mount)))
        except (NotFoundError, DeniedError):
            if age_s < MOUNT_DOUBT_S:
                raise
        # The mount may have been replaced since; an engine of another version answers 404 or 403 to our URL.
        self._forget(mount)
        again, _ = self._mount_of(path, token=token, deadline=deadline)
        return self._read_in(again, path, version, replace(call, keep=lambda document: keep(document, again)))

    def _read_in(self, mount: Mount, path: str, version: int, call: Call) -> Reading:
        rest = path.removeprefix(mount.path)
        if mount.path.rstrip("/") == path:
            raise NotFoundError(f"{path} is a mount and not a secret", hint="name a secret below it: MOUNT/PATH")
        if mount.version == 1:
            if version:
                msg = f"{path} is in a version 1 engine, which keeps no versions"
                raise NotFoundError(msg, hint="leave the version out")
            answer = self._exchange(call)
            self._refuse(answer, path)
            return reading_of_v1(answer.status, answer.document, path)
        url = f"{mount.path}data/{rest}"
        query = {"version": str(version)} if version else None
        answer = self._exchange(replace(call, path=url, query=query))
        self._refuse(answer, path)
        try:
            return reading_of_v2(answer.status, answer.document, path, version)
        except NotFoundError:
            if not version or answer.document.get("data"):
                raise
        # OpenBao says the same for a missing path and a missing version; the newest version tells them apart.
        newest = self._exchange(replace(call, path=url))
        if newest.status == HTTPStatus.NOT_FOUND and not newest.document.get("data"):
            raise no_secret_at(path)
        msg = f"there is no version {version} of {path}"
        raise NotFoundError(msg, hint="it was never written, or more versions came after it than the engine keeps")

    def _mount_of(self, path: str, *, token: Secret, deadline: float) -> tuple[Mount, float]:
        """Return the engine that a path is in, and for how many seconds that has been known."""
        now = time.monotonic()
        with self._lock:
            for prefix, (mount, since) in self._mounts.items():
                if f"{path}/".startswith(prefix) and now - since < MOUNT_TTL_S:
                    return mount, now - since
        answer = self._exchange(_get("mount", f"sys/internal/ui/mounts/{path}", token=token, deadline=deadline))
        if answer.status == HTTPStatus.FORBIDDEN:
            self._explain_no_mount(path, token=token, deadline=deadline)
        if answer.status != HTTPStatus.OK:
            msg = f"OpenBao does not say how {path} is mounted: {answer.reason or answer.status}"
            raise NotFoundError(
                msg, hint="is it mounted, and does the token of the server have rights on a path below it?"
            )
        mount = mount_of(answer.document, path)
        with self._lock:
            self._mounts[mount.path] = (mount, now)
        return mount, 0.0

    def _explain_no_mount(self, path: str, *, token: Secret, deadline: float) -> None:
        """Raise why there is no mount: OpenBao answers 403 both when it is missing and when the token may not see it.

        A token without any right on the mount cannot make the engine do anything by this request.
        """
        answer = self._exchange(_get("probe", path, token=token, deadline=deadline))
        if answer.status == HTTPStatus.NOT_FOUND:
            msg = f"nothing is mounted at {path.partition('/')[0]}/"
            raise NotFoundError(msg, hint="the first part of a path is the mount; `bao secrets list` shows them")
        msg = f"OpenBao does not let {self._holder} see {path}"
        hint = f"give the OpenBao policy of {self._holder}'s token `read` on it, or mount a kv engine there"
        raise DeniedError(msg, hint=hint)

    def _forget(self, mount: Mount) -> None:
        with self._lock:
            self._mounts.pop(mount.path, None)

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
