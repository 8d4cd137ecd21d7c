"""Wiring: makes the parts from the settings, opens the ports, looks after them, and takes everything down in order."""

import asyncio
import contextlib
import gc
import logging
import os
import time
from functools import partial

from aiohttp import web

from bridge.audit import AuditLog
from bridge.callers import Callers
from bridge.handlers import Front
from bridge.large_answer import PIECE_BYTES
from bridge.metrics import Metrics
from bridge.policy_file import PolicyFile
from bridge.reads import CoalescingReader
from bridge.service import Limits, Service
from bridge.settings import BridgeSettings, Durability
from strongroom.errors import PeerError
from strongroom.linux.process import return_free_memory
from strongroom.openbao.connection import Call, Endpoint, OpenBao
from strongroom.openbao.login import Credentials, Login
from strongroom.openbao.pool import Pool
from strongroom.openbao.secrets import SecretStore
from strongroom.service.connections import ConnectionLimits, Connections
from strongroom.service.health import Health, Part
from strongroom.service.listening import Listener, addresses_of, listen, tell_parent
from strongroom.service.logs import log_event
from strongroom.service.tls_reload import ReloadingServerContext
from strongroom.service.upkeep import repeat

_log = logging.getLogger(__name__)
_HEALTH_TIMEOUT_S = 2.0  # of the question whether OpenBao is up; probes of Kubernetes give up after 1 s by default
_HEALTH_STATUS_OK = 200
_CONNECTIONS = 1024  # at once, some 0.1 MiB each; callers ask once, and go
_CROWD = 100
_REVOKE_TIMEOUT_S = 5.0  # at the end; the token ends by itself, too
_LINGERING_S = 1.0  # for the rest of a body that is not wanted: closing at once would take the answer back (RST)
_STANDBY_IS_FINE = {"standbyok": "true", "perfstandbyok": "true"}  # a standby node forwards what it is asked


class Bridge:
    """One bridge: ``start``, then ``drain``."""

    def __init__(self, settings: BridgeSettings) -> None:
        """Make all parts; nothing is listening or sent yet. Needs a running event loop.

        Raises:
            ConfigError: a setting or a file that it names is wrong.
        """
        self._settings = settings
        self.metrics = Metrics()
        self._tls = ReloadingServerContext(
            ca_file=settings.client_ca_file,
            cert_file=settings.tls_cert_file,
            key_file=settings.tls_key_file,
            observe=partial(self.metrics.reload, "tls"),
        )
        self._policy = PolicyFile(settings.policy_file, observe=partial(self.metrics.reload, "policy"))
        self._openbao = OpenBao(_endpoint(settings), observe=self.metrics.openbao_call)
        self._pool = Pool(settings.openbao_max_connections)
        self._login = Login(_credentials(settings), partial(self._pool.exchange, self._openbao))
        self._audit = AuditLog(
            settings.audit_file,
            fsync=settings.audit_durability is Durability.FSYNC,
            timeout_s=settings.audit_timeout_s,
            observe=self.metrics.audit_write,
        )
        reader = CoalescingReader(
            SecretStore(self._openbao),
            self._login,
            self._pool,
            timeout_s=settings.request_timeout_s,
            on_shared=self.metrics.coalesced,
        )
        service = Service(
            policies=self._policy,
            secrets=reader,
            audit=self._audit,
            limits=_limits(settings),
            count=self.metrics.secrets,
        )
        self._callers = Callers(self._tls, greatest_age_s=settings.connection_age_s)
        self._health = Health(parts=self._state_of_parts, metrics=self._render_metrics)
        self._connections = Connections(
            ConnectionLimits(
                connections=_CONNECTIONS,
                unknown=_CONNECTIONS,
                handshake_s=settings.handshake_timeout_s,
                head_s=settings.keepalive_timeout_s,
                untaken_bytes=PIECE_BYTES,
            )
        )
        self._front = Front(service, self._callers, self._connections, self.metrics, settings)
        self._most_connections = 0  # since memory was given back
        self._runners: list[web.AppRunner] = []
        self._server: Listener | None = None
        self._care: list[asyncio.Task[None]] = []

    async def start(self) -> dict[str, list[str]]:
        """Open both ports and return the addresses that they have.

        Raises:
            ConfigError: an address cannot be listened on.
        """
        settings = self._settings
        front = await self._runner(self._front.application(), keepalive_timeout=settings.keepalive_timeout_s)
        health = await self._runner(self._health.application(), keepalive_timeout=settings.keepalive_timeout_s)
        health_server = await listen(health, settings.health_listen, name="health_listen")
        self._server = await listen(
            front,
            settings.listen,
            name="listen",
            connections=self._connections,
            tls=self._tls.front,
        )
        # Apart, because a login may wait for OpenBao, and a probe for the disk, and a policy edit for neither.
        self._care = [
            asyncio.create_task(repeat(work, interval_s=settings.reload_interval_s))
            for work in (self._follow_files, self._login.tick, self._audit.probe, self._give_memory_back)
        ]
        addresses = {"https": addresses_of(self._server), "health": addresses_of(health_server)}
        fields = {name: ",".join(values) for name, values in addresses.items()}
        log_event(_log, logging.INFO, "listening", fields | {"pid": os.getpid()})
        if settings.ready_fd >= 0:
            tell_parent(settings.ready_fd, fields)
        return addresses

    async def reload(self) -> None:
        """Do what SIGHUP asks for: read policy and certificates, and open the audit log again."""
        self._policy.reload_if_changed(force=True)
        self._tls.reload_if_changed()
        self._callers.end_those_that_are_over(self._runners[0])
        await self._audit.reopen()  # the last, because it waits for the disk

    async def drain(self) -> None:
        """Turn unready, accept no more, finish the requests at work within the drain timeout, close everything."""
        self._health.draining = True
        if self._server is not None:
            self._server.close()
        await self._front.requests.drain(self._runners[0], timeout_s=self._settings.drain_timeout_s)
        await self.close()

    async def close(self) -> None:
        """Close everything at once."""
        for task in self._care:
            task.cancel()
        await asyncio.gather(*self._care, return_exceptions=True)
        for runner in self._runners:
            await runner.cleanup()
        with contextlib.suppress(TimeoutError):  # its threads may all wait for an OpenBao that does not answer
            async with asyncio.timeout(_REVOKE_TIMEOUT_S):
                await self._login.revoke()
        self._pool.close()
        await self._audit.close()
        log_event(_log, logging.INFO, "stopped")

    async def _runner(self, application: web.Application, *, keepalive_timeout: float) -> web.AppRunner:
        runner = web.AppRunner(
            application,
            access_log=None,
            auto_decompress=False,  # a stranger's 64 KiB can become 64 MiB
            keepalive_timeout=keepalive_timeout,
            handle_signals=False,
            shutdown_timeout=1.0,  # after our own drain
            lingering_time=_LINGERING_S,
        )
        await runner.setup()
        self._runners.append(runner)
        return runner

    async def _follow_files(self) -> None:
        self._policy.reload_if_changed()
        self._tls.reload_if_changed()
        self._callers.end_those_that_are_over(self._runners[0])
        self._openbao.reload_if_changed()

    async def _give_memory_back(self) -> None:
        """After a crowd of connections has gone, give back what they took: some 0.1 MiB each, that glibc keeps."""
        self._most_connections = max(self._most_connections, self._connections.open)
        if self._most_connections - self._connections.open >= _CROWD:
            self._most_connections = self._connections.open
            gc.collect()  # connections that failed leave cycles
            return_free_memory()

    async def _state_of_parts(self) -> dict[str, Part]:
        age_s = time.time() - self._policy.loaded_at
        stale = f"an older policy is in force: {self._policy.error}" if self._policy.error else ""
        return {
            "openbao": await self._state_of_openbao(),
            # A broken edit is reported but does not take the bridge out of service: the older policy works.
            "policy": Part(ok=True, detail=stale or f"read {age_s:.0f} s ago"),
            "tls": Part(*self._tls.state()),
            "audit": Part(ok=not self._audit.error, detail=self._audit.error),
        }

    async def _state_of_openbao(self) -> Part:
        try:
            deadline = time.monotonic() + _HEALTH_TIMEOUT_S
            async with asyncio.timeout(_HEALTH_TIMEOUT_S):
                call = Call(
                    operation="health", method="GET", path="sys/health", deadline=deadline, query=_STANDBY_IS_FINE
                )
                answer = await self._pool.exchange(self._openbao, call)
                if answer.status != _HEALTH_STATUS_OK:
                    return Part(ok=False, detail=f"OpenBao answers {answer.status} to sys/health")
                await self._login.require_live()
        except PeerError as error:
            return Part(ok=False, detail=error.message)
        except TimeoutError:
            return Part(ok=False, detail=f"OpenBao did not answer within {_HEALTH_TIMEOUT_S:g} s")
        return Part(ok=True, detail="active and logged in")

    def _render_metrics(self) -> bytes:
        self.metrics.token_ttl.set(self._login.ttl_s)
        self.metrics.policy_loaded_at.set(self._policy.loaded_at)
        self.metrics.certificate_expires_at.set(self._tls.certificate.not_after)
        self.metrics.policy_stale.set(bool(self._policy.error))
        return self.metrics.expose()


def _endpoint(settings: BridgeSettings) -> Endpoint:
    return Endpoint(
        address=settings.openbao_address,
        ca_file=str(settings.openbao_ca_file or ""),
        namespace=settings.openbao_namespace,
        connect_timeout_s=settings.openbao_connect_timeout_s,
        read_timeout_s=settings.openbao_read_timeout_s,
        max_connections=settings.openbao_max_connections,
    )


def _limits(settings: BridgeSettings) -> Limits:
    return Limits(
        region_bytes=settings.max_region_bytes,
        files_bytes=settings.max_files_bytes,
        reading_s=settings.request_timeout_s,
        reads_at_once=max(1, settings.openbao_max_connections // 2),
    )


def _credentials(settings: BridgeSettings) -> Credentials:
    return Credentials(
        token_file=settings.openbao_token_file,
        role_id_file=settings.openbao_role_id_file,
        secret_id_file=settings.openbao_secret_id_file,
        approle_mount=settings.openbao_approle_mount,
    )
