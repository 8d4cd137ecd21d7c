"""Whether the proxy can serve, part by part: what /readyz tells."""

import asyncio
from http import HTTPStatus

from s3proxy.keys.guard import PolicyState
from s3proxy.serving.access_log import AccessLog
from s3proxy.storage import Storage
from s3proxy.store.client import StoreRequest
from strongroom.errors import StrongroomError, UnavailableError
from strongroom.openbao.login import LoginRefusedError
from strongroom.service.following import Followed
from strongroom.service.health import Part
from strongroom.service.tls_reload import ReloadingServerContext

_TIMEOUT_S = 2.0  # probes of Kubernetes give up after 1 s by default


class Readiness:
    """Asks the parts."""

    def __init__(
        self,
        storage: Storage,
        *,
        credentials: Followed[object],
        access_log: AccessLog,
        tls: ReloadingServerContext | None,
    ) -> None:
        """Take what is asked."""
        self._storage = storage
        self._access_log = access_log
        self._credentials = credentials
        self._tls = tls

    async def parts(self) -> dict[str, Part]:
        """Return the state of each part; store and KMS are asked at the same time."""
        store, kms = await asyncio.gather(self._store(), self._kms())
        # A broken edit is reported but does not take the proxy out of service: what it had before works.
        edits = {
            "policy": self._storage.policies.error,
            "credentials": self._credentials.error,
            "store_credentials": self._storage.store_credentials.error,
        }
        told = {
            name: Part(ok=True, detail=f"what was read before is in force: {error}" if error else "")
            for name, error in edits.items()
        }
        if missing := self._storage.missing.detail:
            told["keyring"] = Part(ok=True, detail=missing)
        capabilities = Part(ok=True, detail=self._storage.capabilities.describe())
        tls = Part(*self._tls.state()) if self._tls else Part(ok=True, detail="plain HTTP")
        parts = {"store": store, "kms": kms, "capabilities": capabilities, "access_log": self._access_log.state()}
        return {**parts, **self._policies(), **told, "tls": tls}

    def _policies(self) -> dict[str, Part]:
        """Return the key of each policy. One that cannot be used leaves the others in service, if there are any."""
        guard = self._storage.guard
        states = {name: guard.states.get(name) for name in guard.names}
        serves = any(state is not None and state.is_well for state in states.values())
        return {
            f"policy {name}": Part(
                ok=state is not None and state.is_well,
                detail=self._detail(name, state),
                vital=not serves,
            )
            for name, state in states.items()
        }

    def _detail(self, name: str, state: PolicyState | None) -> str:
        """Return what is told of a policy. Lost records take nothing out of service: what is left serves."""
        detail = state.detail if state else "its key was not tried yet"
        lost = self._storage.lost.reasons.get(name)
        return f"{detail}; {lost}" if lost else detail

    async def _store(self) -> Part:
        request = StoreRequest(method="GET", query=(("max-buckets", "1"),))
        try:
            async with asyncio.timeout(_TIMEOUT_S), self._storage.store.exchange(request) as response:
                return Part(ok=response.status == HTTPStatus.OK, detail=f"the store answers {response.status}")
        except TimeoutError:
            taken, count = self._storage.store.connections_in_use
            if taken >= count:  # the store may well be idle
                return Part(ok=False, detail=f"all {count} connections to the store are in use")
            return Part(ok=False, detail=f"the store did not answer within {_TIMEOUT_S:g} s")
        except StrongroomError as error:
            return Part(ok=False, detail=error.message)

    async def _kms(self) -> Part:
        session = self._storage.session
        if session is None:
            return Part(ok=True, detail="a key file")
        try:
            await session.require_ready(within_s=_TIMEOUT_S)
        except LoginRefusedError as error:
            return Part(ok=False, detail=error.message)
        except UnavailableError as error:
            return self._away(error.message)
        except StrongroomError as error:
            return Part(ok=False, detail=error.message)
        return Part(ok=True, detail="OpenBao is active, and the proxy logged in")

    def _away(self, reason: str) -> Part:
        """Return the state of a KMS that is unreachable: keys in use serve on for a while."""
        left_s = self._storage.keys.without_kms_s
        if not left_s:
            return Part(ok=False, detail=reason)
        return Part(ok=False, detail=f"{reason}; keys in use serve for at most {left_s:.0f} s more", vital=False)
