"""Wiring: makes the parts of a bridge from its settings, and the server that runs them."""

import gc
import time
from functools import partial

from bridge.admission import Places
from bridge.audit import AuditLog
from bridge.fronts.answers import PIECE_BYTES
from bridge.fronts.callers import Callers
from bridge.fronts.http import Front
from bridge.metrics import Metrics
from bridge.policy.file import follow_policy
from bridge.reads import CoalescingReader
from bridge.service import Service
from bridge.settings import BridgeSettings
from strongroom.errors import PeerError
from strongroom.linux.process import return_free_memory
from strongroom.openbao.session import Session
from strongroom.service.connections import ConnectionLimits, Connections
from strongroom.service.front import HttpFront
from strongroom.service.health import Health, Part
from strongroom.service.listening import Port
from strongroom.service.server import Server

_HEALTH_TIMEOUT_S = 2.0  # of the question whether OpenBao is up; probes of Kubernetes give up after 1 s by default
_CONNECTIONS = 1024  # at once, some 0.1 MiB each; callers ask once, and go
_CROWD = 100
_HEADERS = 32  # of a request; wrappers send five short ones
_LINE_BYTES = 1024  # of its head
_LINGERING_S = 1.0  # for the rest of a body that is not wanted: closing at once would take the answer back (RST)


class Bridge:
    """The parts of one bridge.

    Attributes:
        server: runs them.
    """

    def __init__(self, settings: BridgeSettings) -> None:
        """Make all parts; nothing is listening or sent yet. Needs a running event loop.

        Raises:
            ConfigError: a setting or a file that it names is wrong.
        """
        self.metrics = Metrics()
        self._tls = settings.tls.follow(partial(self.metrics.reload, "tls"))
        self._policy = follow_policy(settings.policy_file, observe=partial(self.metrics.reload, "policy"))
        timeout_s = settings.requests.request_timeout_s
        self._session = Session(
            settings.openbao, settings.openbao.login, timeout_s=timeout_s, observe=self.metrics.openbao_call
        )
        self._audit = AuditLog(settings.audit, observe=self.metrics.audit_write)
        reader = CoalescingReader(
            self._session.read,
            at_once=self._session.at_once,
            timeout_s=timeout_s,
            on_shared=self.metrics.coalesced,
        )
        service = Service(
            policies=self._policy,
            secrets=reader,
            audit=self._audit,
            limits=settings.requests.limits(reads_at_once=max(1, self._session.at_once // 2)),
            count=self.metrics.secrets,
        )
        self._callers = Callers(self._tls, greatest_age_s=settings.connection_age_s)
        self._connections = Connections(
            ConnectionLimits(
                connections=_CONNECTIONS,
                unknown=_CONNECTIONS,
                handshake_s=settings.handshake_timeout_s,
                head_s=settings.server.keepalive_timeout_s,
                untaken_bytes=PIECE_BYTES,
            )
        )
        self._most_connections = 0  # since memory was given back
        front = Front(service, self._callers, self._connections, self.metrics, Places(settings.requests.capacity))
        self._https = HttpFront(
            Port(name="https", address=settings.server.listen, connections=self._connections, tls=self._tls.front),
            front.application(),
            requests=front.requests,
            keepalive_timeout=settings.server.keepalive_timeout_s,
            lingering_time=_LINGERING_S,
            max_headers=_HEADERS,
            max_line_size=_LINE_BYTES,
            max_field_size=_LINE_BYTES,
        )
        self.server = Server(
            settings.server,
            fronts=[self._https],
            health=Health(parts=self._state_of_parts, metrics=self._render_metrics),
            # Apart, because a login may wait for OpenBao, and a probe for the disk, and a policy edit for neither.
            care=[
                self._follow_files,
                self._session.tick,
                self._session.look_ahead,
                self._audit.probe,
                self._give_memory_back,
            ],
            reload=self._reload,
            close=[self._session.close, self._audit.close],
        )

    async def _reload(self) -> None:
        """Read policy and certificates, and open the audit log again."""
        await self._follow_files(force=True)
        await self._audit.reopen()  # the last, because it waits for the disk

    async def _follow_files(self, *, force: bool = False) -> None:
        self._policy.poll(force=force)
        self._tls.poll()
        self._callers.end_those_that_are_over(self._https.runner)

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
            await self._session.require_ready(within_s=_HEALTH_TIMEOUT_S)
        except PeerError as error:
            return Part(ok=False, detail=error.message)
        return Part(ok=True, detail="active and logged in")

    def _render_metrics(self) -> bytes:
        self.metrics.token_ttl.set(self._session.ttl_s)
        self.metrics.policy_loaded_at.set(self._policy.loaded_at)
        self.metrics.certificate_expires_at.set(self._tls.certificate.not_after)
        self.metrics.policy_stale.set(bool(self._policy.error))
        return self.metrics.expose()
