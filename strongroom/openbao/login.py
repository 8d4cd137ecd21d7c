"""A login at OpenBao: gets a token, keeps it alive, and replaces it when it is dead.

Two ways: a token in a file, which is read again when it changes, or AppRole with role id and secret id in files. The
token is never logged; nothing here reads a secret.

What OpenBao has refused is not tried again unchanged for a while. OpenBao counts the refused logins of a role, whoever
sends them, and locks it for all who use it: by default after 5 within 15 minutes.
"""

import asyncio
import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from strongroom.errors import ConfigError, PeerError
from strongroom.openbao.connection import Answer, Call, OpenBaoUnavailableError
from strongroom.openbao.kv import whole_number
from strongroom.openbao.lease import Lease, Step, next_step
from strongroom.openbao.refusals import SharedRefusals
from strongroom.secret import Secret
from strongroom.service.following import Stamp, stamp_of
from strongroom.service.logs import log_event
from strongroom.service.settings import Guard, setting

_log = logging.getLogger(__name__)

ATTEMPT_TIMEOUT_S = 5.0  # of one login or renewal
RETRY_S = 1.0  # after one that met nobody; callers meanwhile get the same answer at once
LOCKED_RETRY_S = 15.0  # after a 403: of a locked role nothing is counted, and whoever unlocks it is served soon
REFUSED_RETRY_S = 1200.0  # for the same ids: more than the 15 minutes over which OpenBao counts refusals


@dataclass(frozen=True)
class Credentials:
    """Where the login's secrets are; settings, but for the holder: whose they are, for messages."""

    token_file: Path | None = setting(
        None, "file with {whose} OpenBao token, read again when it changes", guard=Guard.READ
    )
    role_id_file: Path | None = setting(None, "file with the role id of {whose} AppRole")
    secret_id_file: Path | None = setting(None, "file with the secret id of {whose} AppRole", guard=Guard.READ)
    approle_mount: str = setting("approle", "where AppRole is mounted", why="OpenBao's default")
    holder: str = "this login"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files to watch."""
        return tuple(path for path in (self.token_file, self.role_id_file, self.secret_id_file) if path)

    def require_one(self) -> None:
        """Return if there is one way to log in.

        Raises:
            ConfigError: there is none, or more.
        """
        approle = (self.role_id_file, self.secret_id_file)
        if bool(self.token_file) == any(approle) or any(approle) != all(approle):
            msg = "openbao_token_file, openbao_role_id_file, openbao_secret_id_file: there must be one way to log in"
            raise ConfigError(msg, hint="set the token file, or both files of an AppRole")


Exchange = Callable[[Call], Awaitable[Answer]]  # ``blocking`` off the event loop, ``client`` for what only asks


class LoginRefusedError(OpenBaoUnavailableError):
    """OpenBao can be reached and does not let this process in. That is an answer, and no outage.

    Args:
        message: what it refuses.
        hint: what to do about it.
        pause_s: after which the same ids are tried again.
    """

    def __init__(self, message: str, *, hint: str, pause_s: float) -> None:
        """Keep the pause for the next attempt; clients are told to come again sooner, as new ids are tried at once."""
        super().__init__(message, hint=hint)
        self.pause_s = pause_s


class Login:
    """Holds the token. ``tick`` is to be called every second or so."""

    def __init__(
        self,
        credentials: Credentials,
        exchange: Exchange,
        *,
        clock: Callable[[], float] = time.monotonic,
        shared: SharedRefusals | None = None,
    ) -> None:
        """Check that the files can be read; nothing is sent yet.

        Args:
            credentials: where the secrets of the login are.
            exchange: makes one call of OpenBao.
            clock: seconds; ``time.monotonic``.
            shared: with other processes that log in with the same files.

        Raises:
            ConfigError: a file is missing or empty.
        """
        self._credentials = credentials
        self._exchange = exchange
        self._clock = clock
        self._shared = shared
        for path in credentials.files:
            _read(path)
        self._stamp = stamp_of(*credentials.files)
        self._looks = True
        self._lock = asyncio.Lock()
        self._token: Secret | None = None
        self._lease: Lease | None = None
        self._failure: LoginFailure | None = None
        self._renew_after = 0.0

    @property
    def ttl_s(self) -> float:
        """Seconds that the token still lives: infinite for one without end, 0 when there is none."""
        return max(0.0, self._lease.left_s(self._clock())) if self._token and self._lease else 0.0

    async def token(self) -> Secret:
        """Return a token, logging in if there is none.

        Raises:
            UnavailableError: OpenBao cannot be reached or refuses the login.
        """
        if self._token is not None and self.ttl_s > 0:
            return self._token
        async with self._lock:
            return self._token if self._token is not None and self.ttl_s > 0 else await self._log_in()

    async def require_live(self) -> None:
        """Return if there is a token that OpenBao knows; one that it does not know any longer is replaced.

        Raises:
            UnavailableError: OpenBao cannot be reached or refuses the login.
        """
        token = await self.token()
        if not self._looks or (await self._look_up(token)).status != HTTPStatus.FORBIDDEN:
            return
        fresh = await self.replace(token)
        if fresh is not None and (await self._look_up(fresh)).status == HTTPStatus.FORBIDDEN:
            self._looks = False  # a token without OpenBao's default policy: it says nothing, and a login each time less

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
            answer = await self._look_up(refused)
            if answer.status != HTTPStatus.FORBIDDEN:
                return None
            log_event(_log, logging.WARNING, "token_dead", {"reason": "OpenBao does not know the token any longer"})
            self._token = None
            return await self._log_in()

    async def tick(self) -> None:
        """Renew or replace the token if it is time, or if its files have changed. Never fails; errors are logged."""
        stamp = stamp_of(*self._credentials.files)
        changed, self._stamp = stamp != self._stamp, stamp
        now = self._clock()
        try:
            async with self._lock:
                if changed or self._token is None or self.ttl_s <= 0:
                    await self._log_in(at_once=changed)
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

    async def _log_in(self, *, at_once: bool = False) -> Secret:
        """Get a token; a failure leaves the present one in use, if there is one: it may still live for a while."""
        now, before = self._clock(), self._failure
        if before is not None and now < before.at + RETRY_S and not at_once:
            raise before.as_error()
        stamp = stamp_of(*self._credentials.files)
        try:
            given = tuple(_read(path) for path in self._credentials.files)
        except ConfigError as error:
            raise self._failed(error, (), now) from error
        if before is not None and before.stands(given, now):
            raise before.as_error()
        try:
            token, lease = await self._attempt(given, stamp)
        except PeerError as error:
            raise self._failed(error, given, now) from error
        self._failure = None
        self._token, self._lease, self._renew_after = token, lease, 0.0
        log_event(_log, logging.INFO, "logged_in", {"ttl_s": round(lease.ttl_s, 1), "renewable": lease.renewable})
        return token

    def _failed(self, error: PeerError | ConfigError, given: tuple[Secret, ...], now: float) -> OpenBaoUnavailableError:
        """Remember why a login failed, and return what its caller gets; it is logged once."""
        repeated = self._failure is not None and self._failure.error.message == error.message
        self._failure = LoginFailure(error, now, given)
        level = logging.DEBUG if repeated else logging.ERROR
        log_event(_log, level, "login_failed", {"reason": error.message, "hint": error.hint})
        return self._failure.as_error()

    async def _attempt(self, given: tuple[Secret, ...], stamp: Stamp) -> tuple[Secret, Lease]:
        """Log in, unless another process was refused with the same files.

        Args:
            given: the ids, or the token.
            stamp: of the files before they were read.

        Raises:
            LoginRefusedError: it was, or this one is.
            PeerError: OpenBao cannot be reached, or answers nonsense.
        """
        if self._credentials.token_file:
            return await self._by_token(*given)
        if self._shared is None or stamp != stamp_of(
            *self._credentials.files
        ):  # or else they are not those of the stamp
            return await self._by_approle(*given)
        async with self._shared.turn():
            if told := self._shared.find(stamp):
                message, hint, left_s = told
                raise LoginRefusedError(message, hint=hint, pause_s=left_s)
            try:
                return await self._by_approle(*given)
            except LoginRefusedError as error:
                self._shared.tell(stamp, error.message, error.hint, pause_s=error.pause_s)
                raise

    async def _by_token(self, token: Secret) -> tuple[Secret, Lease]:
        answer = await self._look_up(token)
        if answer.status != HTTPStatus.OK:
            msg = f"OpenBao does not accept the token in {self._credentials.token_file}"
            hint = "write a live token to that file; it needs OpenBao's default policy (lookup-self, renew-self)"
            raise LoginRefusedError(msg, hint=hint, pause_s=LOCKED_RETRY_S)
        return token, self._lease_of(answer.document.get("data"), ttl="ttl")

    async def _by_approle(self, role_id: Secret, secret_id: Secret) -> tuple[Secret, Lease]:
        body = {"role_id": role_id.reveal().decode(), "secret_id": secret_id.reveal().decode()}
        path = f"auth/{self._credentials.approle_mount}/login"
        deadline = self._clock() + ATTEMPT_TIMEOUT_S
        call = Call(operation="login", method="POST", path=path, deadline=deadline, body=body)
        answer = await self._exchange(call)
        granted = answer.document.get("auth")
        if (
            answer.status != HTTPStatus.OK
            or not isinstance(granted, dict)
            or not isinstance(granted.get("client_token"), str)
        ):
            raise self._refusal(answer)
        token = Secret(granted["client_token"].encode())
        return token, self._lease_of(granted, ttl="lease_duration")

    def _refusal(self, answer: Answer) -> LoginRefusedError:
        msg = f"OpenBao refuses the AppRole login: {answer.reason or answer.status}"
        mount = self._credentials.approle_mount
        if answer.status == HTTPStatus.BAD_REQUEST:
            hint = (
                f"write a new secret id to {self._credentials.secret_id_file} (bao write -f"
                f" auth/{mount}/role/ROLE/secret-id), or the right role id; these are not tried again for"
                f" {REFUSED_RETRY_S / 60:.0f} minutes, lest OpenBao locks the role for all"
            )
            return LoginRefusedError(msg, hint=hint, pause_s=REFUSED_RETRY_S)
        hint = (
            "the role may be locked after refused logins: bao read sys/locked-users, then bao write -f"
            f" sys/locked-users/ACCESSOR/unlock/ROLE_ID; or openbao_approle_mount={mount} or openbao_namespace is"
            " wrong, or the role is bound to other addresses"
        )
        return LoginRefusedError(msg, hint=hint, pause_s=LOCKED_RETRY_S)

    async def _look_up(self, token: Secret) -> Answer:
        return await self._ask("lookup", "GET", "auth/token/lookup-self", token)

    async def _renew(self, token: Secret, lease: Lease) -> None:
        answer = await self._ask("renew", "POST", "auth/token/renew-self", token)
        if answer.status != HTTPStatus.OK:
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
        ttl_s = float(whole_number(fields, ttl))
        return Lease(
            begin=self._clock(),
            ttl_s=ttl_s,
            renewable=fields.get("renewable") is True,
            first_ttl_s=ttl_s,
        )


@dataclass(frozen=True)
class LoginFailure:
    """Why the last login failed, to tell each caller with an exception of its own.

    Attributes:
        error: what it met.
        at: when, by the clock.
        given: the ids, or the token, that it was tried with.
    """

    error: PeerError | ConfigError
    at: float
    given: tuple[Secret, ...] = field(repr=False)

    def stands(self, given: tuple[Secret, ...], now: float) -> bool:
        """Return whether another attempt would be the same one again, too early."""
        if not isinstance(self.error, LoginRefusedError) or now >= self.at + self.error.pause_s:
            return False
        then, again = (b"\n".join(one.reveal() for one in ids) for ids in (self.given, given))
        return hmac.compare_digest(then, again)

    def as_error(self) -> OpenBaoUnavailableError:
        """Return it as the error that callers get."""
        msg, hint = f"there is no OpenBao login: {self.error.message}", self.error.hint
        if isinstance(self.error, LoginRefusedError):
            return LoginRefusedError(msg, hint=hint, pause_s=self.error.pause_s)
        return OpenBaoUnavailableError(msg, hint=hint)


def _read(path: Path) -> Secret:
    try:
        content = path.read_bytes().strip()
    except FileNotFoundError:
        raise ConfigError(f"{path}: does not exist", hint="it holds the login at OpenBao; write it there") from None
    except OSError as error:
        msg = f"{path}: cannot be read ({error.strerror})"
        raise ConfigError(msg, hint="make it readable for this user, and for nobody else") from None
    if not content or not content.isascii() or not content.decode().isprintable():
        raise ConfigError(f"{path}: holds no token or id", hint="it is one line of text")
    return Secret(content)
