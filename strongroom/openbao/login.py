"""A login at OpenBao: gets a token, keeps it alive, and replaces it when it is dead.

Two ways: a token in a file, which is read again when it changes, or AppRole with role id and secret id in files. The
token is never logged; nothing here reads a secret.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from strongroom.errors import ConfigError, PeerError, UnavailableError
from strongroom.filestamp import stamp_of
from strongroom.logs import log_event
from strongroom.openbao.connection import Answer, Call
from strongroom.openbao.lease import Lease, Step, next_step
from strongroom.secret import Secret

_log = logging.getLogger(__name__)

ATTEMPT_TIMEOUT_S = 5.0  # of one login or renewal
RETRY_S = 1.0  # after a failed one; callers meanwhile get the same answer at once
_OK, _FORBIDDEN = 200, 403


@dataclass(frozen=True)
class Credentials:
    """Where the login's secrets are: a token file, or both files of an AppRole."""

    token_file: Path | None = None
    role_id_file: Path | None = None
    secret_id_file: Path | None = None
    approle_mount: str = "approle"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files to watch."""
        return tuple(path for path in (self.token_file, self.role_id_file, self.secret_id_file) if path)


Exchange = Callable[[Call], Awaitable[Answer]]  # ``strongroom.openbao.connection.OpenBao.exchange`` off the event loop


class Login:
    """Holds the token. ``tick`` is to be called every second or so."""

    def __init__(
        self, credentials: Credentials, exchange: Exchange, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Check that the files can be read; nothing is sent yet.

        Args:
            credentials: where the secrets of the login are.
            exchange: makes one call of OpenBao.
            clock: seconds; ``time.monotonic``.

        Raises:
            ConfigError: a file is missing or empty.
        """
        self._credentials = credentials
        self._exchange = exchange
        self._clock = clock
        for path in credentials.files:
            _read(path)
        self._stamp = stamp_of(*credentials.files)
        self._lock = asyncio.Lock()
        self._token: Secret | None = None
        self._lease: Lease | None = None
        self._failure: tuple[float, LoginFailure] | None = None
        self._renew_after = 0.0

    @property
    def ttl_s(self) -> float:
        """Seconds that the token still lives: infinite for one without end, 0 when there is none."""
        return max(0.0, self._lease.left_s(self._clock())) if self._token and self._lease else 0.0

    @property
    def error(self) -> str:
        """Why there is no token, or ""."""
        return "" if self._token else (self._failure[1].message if self._failure else "not logged in yet")

    async def token(self) -> Secret:
        """Return a token, logging in if there is none.

        Raises:
            UnavailableError: OpenBao cannot be reached or refuses the login.
        """
        if self._token is not None:
            return self._token
        async with self._lock:
            return self._token or await self._log_in()

    async def replace(self, refused: Secret) -> Secret | None:
        """Find out about a token that was answered with 403.

        Returns:
            A new token if that one was dead, None if it lives and the refusal was meant.

        Raises:
            UnavailableError: OpenBao cannot be reached or refuses the new login.
        """
        async with self._lock:
            if self._token is not refused:
                return self._token or await self._log_in()
            answer = await self._ask("lookup", "GET", "auth/token/lookup-self", refused)
            if answer.status != _FORBIDDEN:
                return None
            log_event(_log, logging.WARNING, "token_dead", {"reason": "OpenBao does not know the token any more"})
            self._token = None
            return await self._log_in()

    async def tick(self) -> None:
        """Renew or replace the token if it is time, or if its files have changed. Never fails; errors are logged."""
        stamp = stamp_of(*self._credentials.files)
        changed, self._stamp = stamp != self._stamp, stamp
        now = self._clock()
        try:
            async with self._lock:
                if changed:
                    self._failure = None
                if changed or self._token is None:
                    await self._log_in()
                elif self._lease is not None and now >= self._renew_after:
                    step = next_step(self._lease, now)
                    if step is Step.LOGIN and self._credentials.role_id_file:
                        await self._log_in()
                    elif step is not Step.KEEP and self._lease.renewable:
                        await self._renew(self._token, self._lease)
        except (PeerError, ConfigError):
            self._renew_after = now + RETRY_S

    async def revoke(self) -> None:
        """Give back a token that this process got by AppRole. Never fails."""
        token, self._token = self._token, None
        if token is None or self._credentials.token_file:
            return
        try:
            await self._ask("revoke", "POST", "auth/token/revoke-self", token)
        except PeerError as error:
            log_event(_log, logging.WARNING, "token_not_revoked", {"reason": error.message})

    async def _log_in(self) -> Secret:
        """Get a token; a failure leaves the present one in use, if there is one: it may still live for a while."""
        now = self._clock()
        if self._failure and now < self._failure[0] + RETRY_S:
            raise self._failure[1].as_error()
        try:
            token, lease = await (self._by_file() if self._credentials.token_file else self._by_approle())
        except (PeerError, ConfigError) as error:
            repeated = self._failure is not None and self._failure[1].message == error.message
            self._failure = (now, LoginFailure(error.message, error.hint))
            level = logging.DEBUG if repeated else logging.ERROR
            log_event(_log, level, "login_failed", {"reason": error.message, "hint": error.hint})
            raise self._failure[1].as_error() from error
        self._failure = None
        self._token, self._lease, self._renew_after = token, lease, 0.0
        log_event(_log, logging.INFO, "logged_in", {"ttl_s": round(lease.ttl_s, 1), "renewable": lease.renewable})
        return token

    async def _by_file(self) -> tuple[Secret, Lease]:
        assert self._credentials.token_file is not None  # noqa: S101 - the caller has looked
        token = _read(self._credentials.token_file)
        answer = await self._ask("lookup", "GET", "auth/token/lookup-self", token)
        if answer.status != _OK:
            msg = f"OpenBao does not accept the token in {self._credentials.token_file}"
            hint = "write a live token to that file; it needs OpenBao's default policy (lookup-self, renew-self)"
            raise UnavailableError(msg, hint=hint)
        return token, self._lease_of(answer.document.get("data"), ttl="ttl")

    async def _by_approle(self) -> tuple[Secret, Lease]:
        credentials = self._credentials
        assert credentials.role_id_file is not None  # noqa: S101 - the settings require one of the ways
        assert credentials.secret_id_file is not None  # noqa: S101 - the settings require both files
        body = {
            "role_id": _read(credentials.role_id_file).reveal().decode(),
            "secret_id": _read(credentials.secret_id_file).reveal().decode(),
        }
        path = f"auth/{credentials.approle_mount}/login"
        deadline = self._clock() + ATTEMPT_TIMEOUT_S
        call = Call(operation="login", method="POST", path=path, deadline=deadline, body=body)
        answer = await self._exchange(call)
        granted = answer.document.get("auth")
        if answer.status != _OK or not isinstance(granted, dict) or not isinstance(granted.get("client_token"), str):
            msg = f"OpenBao refuses the AppRole login: {answer.reason or answer.status}"
            raise UnavailableError(msg, hint="check role id, secret id and their limits; the files are read again")
        token = Secret(granted["client_token"].encode())
        return token, self._lease_of(granted, ttl="lease_duration")

    async def _renew(self, token: Secret, lease: Lease) -> None:
        answer = await self._ask("renew", "POST", "auth/token/renew-self", token)
        if answer.status != _OK:
            log_event(_log, logging.WARNING, "token_not_renewed", {"reason": answer.reason})
            await self._log_in()
            return
        renewed = self._lease_of(answer.document.get("auth"), ttl="lease_duration")
        self._lease = Lease(renewed.begin, renewed.ttl_s, renewed.renewable, max(lease.first_ttl_s, renewed.ttl_s))
        log_event(_log, logging.INFO, "token_renewed", {"ttl_s": renewed.ttl_s})

    async def _ask(self, operation: str, method: str, path: str, token: Secret) -> Answer:
        deadline = self._clock() + ATTEMPT_TIMEOUT_S
        return await self._exchange(Call(operation=operation, method=method, path=path, deadline=deadline, token=token))

    def _lease_of(self, document: object, *, ttl: str) -> Lease:
        fields = document if isinstance(document, dict) else {}
        ttl_s = float(str(fields.get(ttl, 0)))
        return Lease(
            begin=self._clock(),
            ttl_s=ttl_s,
            renewable=fields.get("renewable") is True,
            first_ttl_s=ttl_s,
        )


@dataclass(frozen=True)
class LoginFailure:
    """Why the last login failed, to tell each caller with an exception of its own."""

    message: str
    hint: str

    def as_error(self) -> UnavailableError:
        """Return it as the error that callers get."""
        return UnavailableError(f"there is no OpenBao login: {self.message}", hint=self.hint)


def _read(path: Path) -> Secret:
    try:
        content = path.read_bytes().strip()
    except FileNotFoundError:
        msg = f"{path}: does not exist"
        raise ConfigError(msg, hint="it holds the login at OpenBao; write it there") from None
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror})"
        raise ConfigError(msg, hint="make it readable for this user, and for nobody else") from None
    if not content or not content.isascii() or not content.decode().isprintable():
        msg = f"{path}: holds no token or id"
        raise ConfigError(msg, hint="it is one line of text")
    return Secret(content)
