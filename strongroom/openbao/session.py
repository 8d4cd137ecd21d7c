"""Calls of OpenBao with a token that is kept alive: on the event loop, with a deadline, and a dead token heals.

Joins client, login and key-value engines; components use nothing else of a login.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from strongroom.errors import ConfigError, DeniedError, NotFoundError, PeerError, UndeliverableError
from strongroom.openbao.blocking import BlockingOpenBao
from strongroom.openbao.client import OpenBao
from strongroom.openbao.connection import LATE_HINT, Answer, Call, Endpoint, Observe, OpenBaoUnavailableError, Route
from strongroom.openbao.kv import Reading, keep_keys
from strongroom.openbao.login import ATTEMPT_TIMEOUT_S, Credentials, Login
from strongroom.openbao.refusals import SharedRefusals
from strongroom.openbao.secrets import SecretStore
from strongroom.secret import Secret
from strongroom.service.logs import log_event
from strongroom.service.settings import group

_log = logging.getLogger(__name__)
_STANDBY_IS_FINE = {"standbyok": "true", "perfstandbyok": "true"}  # a standby node forwards what it is asked
_LOGIN_THREADS = 2  # one logs in or renews, and one gives the token back at the end
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class OpenBaoSettings(Endpoint):
    """Where OpenBao is, how long to wait for it, and the way to log in: settings behind ``openbao_``."""

    login: Credentials = group(Credentials, behind="namespace")

    def __post_init__(self) -> None:
        """Check that there is one way to log in.

        Raises:
            ConfigError: there is none, or more.
        """
        self.login.require_one()


class _ForbiddenError(Exception):
    """A call was answered with 403."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class Session:
    """One login at one server, for one event loop. Call ``tick`` every second or so, and ``close`` at the end.

    Attributes:
        at_once: how many calls there can be.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        *,
        timeout_s: float,
        observe: Observe = lambda *_: None,
        shared: Path | None = None,
    ) -> None:
        """Check address, authorities and the files of the login; nothing is sent yet.

        Args:
            endpoint: where the server is.
            credentials: where the secrets of the login are.
            timeout_s: for one call as a whole, the login before it and the wait for a connection included.
            observe: told after each exchange the operation, the outcome and the seconds it took.
            shared: private directory of processes that log in with the same files.

        Raises:
            ConfigError: a setting or a file that it names is wrong.
        """
        self.at_once = endpoint.max_connections
        self._route = Route(endpoint)
        self._openbao = OpenBao(self._route, observe=observe)
        self._logins = BlockingOpenBao(self._route, observe=observe)
        self._pool = ThreadPoolExecutor(_LOGIN_THREADS, thread_name_prefix="openbao-login")
        refusals = SharedRefusals(shared, wait_s=ATTEMPT_TIMEOUT_S) if shared else None
        self._login = Login(credentials, self._exchange_for_login, shared=refusals)
        self._timeout_s = timeout_s
        self._secrets = SecretStore(self._openbao.exchange, holder=credentials.holder)

    @property
    def ttl_s(self) -> float:
        """Seconds that the token still lives: infinite for one without end, 0 when there is none."""
        return self._login.ttl_s

    async def call(self, operation: str, path: str, body: Mapping[str, object] | None = None) -> Answer:
        """Read a path, or do what is asked of it with a document; that may be done twice.

        Returns:
            The answer: 200, 204, 400, 403 by a token that lives, or 404.

        Raises:
            UnavailableError: the server is down, sealed, busy, too slow, or refuses the login.
            PeerError: its answer is nonsense.
        """
        method = "GET" if body is None else "POST"
        deadline = time.monotonic() + self._timeout_s
        call = Call(operation=operation, method=method, path=path, deadline=deadline, body=body, repeatable=True)

        async def exchange(token: Secret) -> Answer:
            answer = await self._openbao.exchange(replace(call, token=token))
            if answer.status == HTTPStatus.FORBIDDEN:
                raise _ForbiddenError(answer)
            return answer

        try:
            async with _within(self._timeout_s):
                return await self._with_live_token(exchange)
        except _ForbiddenError as refused:
            return refused.answer

    async def read(self, path: str, version: int, keys: frozenset[str] | None, *, within_s: float) -> Reading:
        """Return some keys of a secret in a key-value engine, their values as texts.

        It never leaves a thread behind that still parses: it ends when that does, a moment after its time at most.

        Args:
            path: canonical, mount first.
            version: 0 for the newest.
            keys: that are wanted, None for all.
            within_s: for all calls together.

        Raises:
            NotFoundError: there is no such mount, path or version, or the version is deleted or destroyed.
            DeniedError: the token may not read it.
            UndeliverableError: the path is in an engine of another type.
            UnavailableError: the server is down, sealed, busy, too slow, or refuses the login.
            PeerError: its answer is nonsense.
        """
        deadline = time.monotonic() + within_s
        keep = partial(keep_keys, keys=keys)
        return await self._with_live_token(
            lambda token: self._secrets.read(path, version, token=token, deadline=deadline, keep=keep)
        )

    async def read_secret(self, path: str) -> Mapping[str, object]:
        """Return the members of the newest version of a secret, as JSON has them; ``read`` says what it raises."""
        deadline = time.monotonic() + self._timeout_s
        async with _within(self._timeout_s):
            reading = await self._with_live_token(
                lambda token: self._secrets.read(path, 0, token=token, deadline=deadline)
            )
        return reading.data

    async def require_ready(self, *, within_s: float) -> None:
        """Return if the server is active and there is a login that it knows.

        Raises:
            UnavailableError: it is not, or there is none, or that was not known in time.
            PeerError: its answer is nonsense.
        """
        deadline = time.monotonic() + within_s
        call = Call(operation="health", method="GET", path="sys/health", deadline=deadline, query=_STANDBY_IS_FINE)
        async with _within(within_s):
            answer = await self._openbao.exchange(call)
            if answer.status != HTTPStatus.OK:
                msg = f"OpenBao answers {answer.status} to sys/health"
                raise OpenBaoUnavailableError(msg, hint="see the log of OpenBao")
            await self._login.require_live()

    async def tick(self) -> None:
        """Renew or replace the token if it is time, and follow the files. Never fails; errors are logged."""
        try:
            self._route.reload_if_changed()
        except ConfigError as error:
            log_event(_log, logging.ERROR, "reload_failed", {"reason": error.message, "hint": error.hint})
        self._openbao.tidy()
        await self._login.tick()

    async def look_ahead(self) -> None:
        """Ask about the engines in use before what is known of them is too old, so that no read has to. Never fails."""
        deadline = time.monotonic() + self._timeout_s
        for mount in self._secrets.due():
            confirm = partial(self._secrets.confirm, mount=mount, deadline=deadline)
            try:
                async with _within(self._timeout_s):
                    await self._with_live_token(confirm)
            except (NotFoundError, DeniedError, UndeliverableError):
                self._secrets.forget(mount)
            except PeerError:
                return  # not now: it is told to those who read, and tried again in a while

    async def close(self) -> None:
        """Give back a token that this process got by AppRole, close the connections, and let the threads end."""
        with contextlib.suppress(TimeoutError):  # the threads may all wait for a server that does not answer
            async with asyncio.timeout(ATTEMPT_TIMEOUT_S):
                await self._login.revoke()
        self._openbao.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _with_live_token(self, work: Callable[[Secret], Awaitable[T]]) -> T:
        """Do work with the token of the login, and once more if that turns out to be dead."""
        token = await self._login.token()
        try:
            return await work(token)
        except (DeniedError, _ForbiddenError):
            # Either the token may not do this, or it is dead: revoked, expired, or of another server.
            fresh = await self._login.replace(token)
            if fresh is None:
                raise
        return await work(fresh)

    async def _exchange_for_login(self, call: Call) -> Answer:
        """Make a call of the login: what changes nothing is asked as all else is."""
        if call.method == "GET":
            return await self._openbao.exchange(call)
        async with _within(ATTEMPT_TIMEOUT_S + 1):  # a head that drips outlasts the timeouts of a socket
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._logins.exchange, call)


@contextlib.asynccontextmanager
async def _within(limit_s: float) -> AsyncIterator[None]:
    """Raise OpenBaoUnavailableError if the block takes longer."""
    try:
        async with asyncio.timeout(limit_s):
            yield
    except TimeoutError:
        raise OpenBaoUnavailableError(f"OpenBao did not answer within {limit_s:g} s", hint=LATE_HINT) from None
