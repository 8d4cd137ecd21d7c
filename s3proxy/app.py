"""Wiring: makes the parts of a proxy from its settings, and the server that runs them."""

import asyncio
import contextlib
import gc
import logging
from collections.abc import Callable
from functools import partial

from aiohttp import web

from s3proxy.exchange.front_protocol import FrontServer
from s3proxy.exchange.places import Places
from s3proxy.fast.exchange import Parts
from s3proxy.fast.way import FastWay
from s3proxy.keys.shared_names import SharedNames
from s3proxy.metrics import Metrics
from s3proxy.operations.get import ObjectReader
from s3proxy.operations.put import ObjectWriter
from s3proxy.serving.access_log import AccessLog, require_recordable
from s3proxy.serving.client_credentials import follow_credentials
from s3proxy.serving.dispatch import Dispatcher
from s3proxy.serving.handlers import handlers_of
from s3proxy.serving.readiness import Readiness
from s3proxy.settings import ProxySettings
from s3proxy.storage import Storage
from strongroom.linux.process import keep_free_memory
from strongroom.service.connections import ConnectionLimits, Connections
from strongroom.service.following import KeptFiles
from strongroom.service.front import HttpFront
from strongroom.service.health import Health
from strongroom.service.listening import Port, parse_listen
from strongroom.service.logs import log_event
from strongroom.service.server import Server

_log = logging.getLogger(__name__)
_GC_THRESHOLDS = 10_000, 20, 20  # a request makes some hundred objects and hardly a cycle
_HEAP_BLOCK_BYTES = 8 << 20  # any buffer of one request: a part that is kept is under 5 MiB, and its padding
_KEPT_FREE_BYTES = 32 << 20  # of one process: what a few of them take together
_PROBE_S = 5.0  # at the start; a store that is away then is asked again while others are served
_READ_BYTES = 1 << 17  # of a client's body kept unread at most twice this, then TCP holds the client back
_HEADERS = 128  # of a request; objects have metadata, and gateways add theirs


class Proxy:
    """The parts of one proxy.

    Attributes:
        server: runs them.
    """

    def __init__(
        self, settings: ProxySettings, *, kept: KeptFiles | None = None, shared: SharedNames | None = None
    ) -> None:
        """Make all parts; nothing is listening or sent yet. Needs a running event loop.

        Args:
            settings: of the proxy.
            kept: what was in force in the process that this one replaces.
            shared: which bucket keys the other processes of this proxy use.

        Raises:
            ConfigError: a setting or a file that it names is wrong.
        """
        self._settings = settings
        self.metrics = Metrics()
        self._tls = settings.tls.follow(kept)
        check = partial(require_recordable, access_log=settings.access_log.access_log)
        self._storage = storage = Storage(
            settings.storage,
            self.metrics,
            retry_s=settings.server.reload_interval_s,
            kept=kept,
            shared=shared,
            check=check,
        )
        self._access_log = AccessLog(settings.access_log, storage.policies, self.metrics)
        self._credentials = follow_credentials(settings.clients, storage.session, kept=kept)
        self._connections = Connections(
            ConnectionLimits(
                connections=settings.max_connections,
                unknown=settings.max_unknown_connections,
                handshake_s=settings.head_timeout_s,
                head_s=settings.head_timeout_s,
            ),
            count=self.metrics.shed,
        )
        self._places = Places(
            requests=settings.max_requests,
            unknown_requests=settings.max_unknown_requests,
            memory_bytes=settings.memory_bytes,
            count=self.metrics.shed,
        )
        self._front = Dispatcher(
            handlers=handlers_of(
                storage,
                self._credentials,
                buffered_bytes=settings.buffered_body_bytes,
                equal_parts=settings.storage.store.equal_parts,
            ),
            patience=settings.patience,
            domains=settings.domains,
            hidden_bucket=settings.storage.system_bucket,
            buffered_bytes=settings.buffered_body_bytes,
            credentials=self._credentials,
            store=storage.store,
            metrics=self.metrics,
            access_log=self._access_log,
            places=self._places,
            connections=self._connections,
        )
        readiness = Readiness(storage, credentials=self._credentials, access_log=self._access_log, tls=self._tls)
        port = Port(
            name="s3",
            address=settings.server.listen,
            connections=self._connections,
            tls=self._tls.front if self._tls else None,
            share_port=settings.share_port,
        )
        s3 = HttpFront(
            port,
            self._front.handle,
            requests=self._front.requests,
            server=self._server_of_connections(),
            keepalive_timeout=settings.server.keepalive_timeout_s,
            read_bufsize=_READ_BYTES,
            max_headers=_HEADERS,
            lingering_time=0.0,  # the dispatcher has read on
        )
        self.server = Server(
            settings.server,
            fronts=[s3],
            health=Health(parts=readiness.parts, metrics=self.metrics.expose),
            before=self._prepare,
            # Apart, because a login may wait for OpenBao and an edit of a file must not.
            care=[
                self._follow_files,
                self._note_gauges,
                self._write_counts,
                self._follow_openbao,
                storage.probe,
                storage.follow_keys,
                storage.follow_records,
                storage.confirm_keys,
                self._access_log.probe,
            ],
            reload=self._reload,
            close=[storage.close, self._access_log.close, self._write_counts],
            share_port=settings.share_port,
        )

    def _server_of_connections(self) -> Callable[..., web.Server]:
        """Return what makes aiohttp's server: with a fast way, or without one."""
        settings, objects = self._settings, self._storage.objects
        if not settings.fast_path:
            return web.Server
        parts = Parts(
            dispatcher=self._front,
            objects=objects,
            reader=ObjectReader(objects),
            writer=ObjectWriter(objects, settings.buffered_body_bytes),
            count=self.metrics.general_path,
        )
        return partial(FrontServer, shortcut=FastWay(parts))

    async def _prepare(self) -> None:
        """Read what is in OpenBao, so that the first request finds it, and ask the store what it can do."""
        await self._follow_openbao()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PROBE_S):
                await self._storage.probe()
                await self._storage.follow_keys()
        self._warn_of_open_ports()

    def _warn_of_open_ports(self) -> None:
        """Say what anyone who reaches the ports can see."""
        settings = self._settings.server
        if self._tls is None and not _is_loopback(settings.listen):
            reason = f"listen={settings.listen}: plain HTTP, on which anyone on the way can read and change bodies"
            hint = "set tls_cert_file and tls_key_file, or listen on 127.0.0.1 behind what ends TLS"
            log_event(_log, logging.WARNING, "open_port", {"reason": reason, "hint": hint})
        if not _is_loopback(settings.health_listen):
            reason = f"health_listen={settings.health_listen}: tells what is wrong with store and keys to all who ask"
            hint = "keep it from clients by a network policy, or listen on 127.0.0.1"
            log_event(_log, logging.WARNING, "open_port", {"reason": reason, "hint": hint})

    async def _reload(self) -> None:
        """Read files that have changed, and open the access log again."""
        await self._follow_files()
        await self._access_log.reopen()  # the last, because it waits for the disk

    async def _follow_files(self) -> None:
        self._storage.follow_files()
        self._credentials.poll()
        if self._tls is not None:
            self._tls.poll()

    async def _follow_openbao(self) -> None:
        await self._storage.follow_openbao()
        await self._credentials.refresh()

    async def _write_counts(self) -> None:
        self.metrics.write()

    async def _note_gauges(self) -> None:
        self.metrics.in_flight.set(len(self._front.requests))
        self.metrics.memory.set(self._places.taken_bytes)
        unknown = self._connections.unknown
        self.metrics.connections.labels("unknown").set(unknown)
        self.metrics.connections.labels("known").set(self._connections.open - unknown)
        if self._tls is not None:
            self.metrics.certificate_expires_at.set(self._tls.certificate.not_after)
        self.metrics.keys_held.set(self._storage.keys.held)
        missing = {"missing": len(self._storage.missing.names)}
        for state, count in (self._storage.guard.counts() | missing).items():
            self.metrics.policies.labels(state).set(count)
        if self._storage.session is not None:
            self.metrics.token_ttl.set(self._storage.session.ttl_s)


def make_server(settings: ProxySettings, *, kept: KeptFiles | None = None, shared: SharedNames | None = None) -> Server:
    """Return the server of a proxy, in a process that has nothing else to do; the arguments are those of ``Proxy``.

    Raises:
        ConfigError: a setting or a file that it names is wrong.
    """
    _collect_seldom()
    keep_free_memory(blocks_bytes=_HEAP_BLOCK_BYTES, free_bytes=_KEPT_FREE_BYTES)
    return Proxy(settings, kept=kept, shared=shared).server


def _collect_seldom() -> None:
    """Have the cycle collector leave alone what was imported, and look at the rest less often: 6 % of a small GET."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def _is_loopback(address: str) -> bool:
    host, _ = parse_listen(address, "listen")
    return host == "localhost" or (host or "").startswith("127.") or host == "::1"
