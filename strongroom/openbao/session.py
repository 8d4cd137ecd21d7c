"""Calls of OpenBao with a token that is kept alive: off the event loop, with a deadline, and a dead token heals.

Joins connection, login and threads. What the paths mean is the caller's matter.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from pathlib import Path

from strongroom.errors import ConfigError, DeniedError
from strongroom.openbao.connection import Answer, Call, Endpoint, Observe, OpenBao, OpenBaoUnavailableError
from strongroom.openbao.login import ATTEMPT_TIMEOUT_S, Credentials, Login
from strongroom.openbao.pool import Pool
from strongroom.openbao.refusals import SharedRefusals
from strongroom.openbao.secrets import SecretStore
from strongroom.secret import Secret
from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)
_STANDBY_IS_FINE = {"standbyok": "true", "perfstandbyok": "true"}  # a standby node forwards what it is asked


class Session:
    """One login at one server, for one event loop. Call ``tick`` every second or so, and ``close`` at the end."""

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
            timeout_s: for one call as a whole, the login before it and the wait for a thread included.
            observe: told after each exchange the operation, the outcome and the seconds it took.
            shared: private directory of processes that log in with the same files.

        Raises:
            ConfigError: a setting or a file that it names is wrong.
        """
        self._openbao = OpenBao(endpoint, observe=observe)
        self._pool = Pool(endpoint.max_connections)
        refusals = SharedRefusals(shared, wait_s=ATTEMPT_TIMEOUT_S) if shared else None
        self._login = Login(credentials, partial(self._pool.exchange, self._openbao), shared=refusals)
        self._timeout_s = timeout_s
        self._secrets = SecretStore(self._openbao, reader="this login")

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
        deadline = time.monotonic() + self._timeout_s
        method = "GET" if body is None else "POST"
        try:
            async with asyncio.timeout(self._timeout_s):
                token = await self._login.token()
                call = Call(
                    operation=operation,
                    method=method,
                    path=path,
                    deadline=deadline,
                    token=token,
                    body=body,
                    repeatable=True,
                )
                answer = await self._pool.exchange(self._openbao, call)
                if answer.status == HTTPStatus.FORBIDDEN:
                    # Either the token may not do this, or it is dead: revoked, expired, or of another server.
                    fresh = await self._login.replace(token)
                    if fresh is not None:
                        answer = await self._pool.exchange(self._openbao, replace(call, token=fresh))
                return answer
        except TimeoutError:
            raise self._too_slow() from None

    async def read_secret(self, path: str) -> Mapping[str, object]:
        """Return the members of the newest version of a secret in a key-value engine.

        Raises:
            NotFoundError: there is none.
            DeniedError: the token may not read it.
            UnavailableError: the server is down, sealed, busy, too slow, or refuses the login.
            PeerError: its answer is nonsense.
        """
        deadline = time.monotonic() + self._timeout_s

        async def read(token: Secret) -> Mapping[str, object]:
            work = partial(self._secrets.read, path, 0, token=token, deadline=deadline)
            return (await self._pool.run(work)).data

        try:
            async with asyncio.timeout(self._timeout_s):
                token = await self._login.token()
                try:
                    return await read(token)
                except DeniedError:
                    fresh = await self._login.replace(token)
                    if fresh is None:
                        raise
                return await read(fresh)
        except TimeoutError:
            raise self._too_slow() from None

    async def require_ready(self) -> None:
        """Return if the server is active and there is a login that it knows.

        Raises:
            UnavailableError: it is not, or there is none.
            PeerError: its answer is nonsense.
        """
        deadline = time.monotonic() + self._timeout_s
        call = Call(operation="health", method="GET", path="sys/health", deadline=deadline, query=_STANDBY_IS_FINE)
        answer = await self._pool.exchange(self._openbao, call)
        if answer.status != HTTPStatus.OK:
            msg = f"OpenBao answers {answer.status} to sys/health"
            raise OpenBaoUnavailableError(msg, hint="see the log of OpenBao")
        await self._login.require_live()

    async def tick(self) -> None:
        """Renew or replace the token if it is time, and follow the files. Never fails; errors are logged."""
        try:
            self._openbao.reload_if_changed()
        except ConfigError as error:
            log_event(_log, logging.ERROR, "reload_failed", {"reason": error.message, "hint": error.hint})
        await self._login.tick()

    async def close(self) -> None:
        """Give back a token that this process got by AppRole, and let the threads end."""
        await self._login.revoke()
        self._pool.close()

    def _too_slow(self) -> OpenBaoUnavailableError:
        msg = f"OpenBao did not answer within {self._timeout_s:g} s"
        return OpenBaoUnavailableError(msg, hint="it is overloaded, stopped, or the network drops packets")
