"""Wiring: makes the parts from the settings, opens the ports, looks after them, and takes everything down in order."""

import asyncio
import contextlib
import json
import logging
import os
import ssl
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from s3proxy.bucket_keys import BucketKeys, KeyLimits
from s3proxy.dispatch import Dispatcher
from s3proxy.front.credentials_file import CredentialsFile
from s3proxy.health import Health, Part
from s3proxy.kek_table import KekTable
from s3proxy.keyring import Keyring
from s3proxy.known_digests import KnownDigests
from s3proxy.metrics import Metrics
from s3proxy.multipart_handlers import multipart_handlers
from s3proxy.multipart_read import MultipartReader
from s3proxy.object_open import ObjectFinder
from s3proxy.object_read import ObjectReader
from s3proxy.object_write import ObjectWriter
from s3proxy.operations import Parts, handlers_of
from s3proxy.policies import read_policies
from s3proxy.settings import ProxySettings, parse_listen
from s3proxy.store import Store, StoreRequest, Timeouts, read_store_credential
from s3proxy.system_bucket import SystemBucket
from strongroom.errors import ConfigError, StrongroomError
from strongroom.logs import log_event

_log = logging.getLogger(__name__)
_BACKLOG = 1024
_HEALTH_TIMEOUT_S = 2.0
_READ_BYTES = 1 << 17  # of a client's body kept unread at most twice this, then TCP holds the client back


class Proxy:
    """One proxy: ``start``, then ``drain``."""

    def __init__(self, settings: ProxySettings) -> None:
        """Make all parts; nothing is listening or sent yet. Needs a running event loop.

        Raises:
            ConfigError: a setting or a file that it names is wrong.
        """
        self._settings = settings
        self.metrics = Metrics()
        policies = read_policies(settings.policy_file)
        self._credentials = CredentialsFile(settings.credentials_file)
        self._tls = _server_tls(settings)
        self._store = _store(settings, self.metrics)
        self._keks = KekTable(settings, observe=self.metrics.kms)
        system_bucket = SystemBucket(self._store, settings.system_bucket)
        keyring = Keyring(self._store, system_bucket)
        self._keys = BucketKeys(
            self._keks.of(policies), _limits(settings), keyring=keyring, count=self.metrics.bucket_key
        )
        known = KnownDigests()
        finder = ObjectFinder(self._store, self._keys, policies, known)
        multipart = MultipartReader(self._store, finder)
        reader = ObjectReader(self._store, finder, multipart)
        writer = ObjectWriter(self._store, self._keys, finder, known, buffered_bytes=settings.buffered_body_bytes)
        self.front = Dispatcher(
            handlers_of(
                Parts(
                    store=self._store,
                    policies=policies,
                    finder=finder,
                    reader=reader,
                    writer=writer,
                    multipart=multipart_handlers(
                        self._store,
                        policies,
                        keys=self._keys,
                        finder=finder,
                        reader=multipart,
                        system_bucket=system_bucket,
                    ),
                    hidden_bucket=settings.system_bucket,
                )
            ),
            credentials=lambda: self._credentials.table,
            metrics=self.metrics,
            domains=tuple(name.strip().lower() for name in settings.domains.split(",") if name.strip()),
            hidden_bucket=settings.system_bucket,
            max_requests=settings.max_requests,
            idle_s=settings.body_idle_timeout_s,
        )
        self._health = Health(parts=self._state_of_parts, metrics=self._render_metrics)
        self._runners: list[web.BaseRunner] = []
        self._server: asyncio.Server | None = None
        self._care: list[asyncio.Task[None]] = []

    async def start(self) -> dict[str, list[str]]:
        """Open both ports and return the addresses that they have.

        Raises:
            ConfigError: an address cannot be listened on.
        """
        settings = self._settings
        front = web.ServerRunner(
            web.Server(
                self.front.handle,
                access_log=None,
                auto_decompress=False,
                keepalive_timeout=settings.keepalive_timeout_s,
                read_bufsize=_READ_BYTES,
            ),
            handle_signals=False,
        )
        health = web.AppRunner(self._health.application(), access_log=None, handle_signals=False)
        for runner in (front, health):
            await runner.setup()
            self._runners.append(runner)
        health_server = await self._listen(health, "health_listen")
        self._server = await self._listen(front, "listen", tls=self._tls)
        # Apart, because a login may wait for OpenBao and an edit of a file must not.
        self._care = [asyncio.create_task(self._repeat(work)) for work in (self._follow_files, self._keks.tick)]
        addresses = {"s3": _addresses(self._server), "health": _addresses(health_server)}
        fields = {name: ",".join(values) for name, values in addresses.items()}
        log_event(_log, logging.INFO, "listening", fields | {"pid": os.getpid()})
        if settings.ready_fd >= 0:
            _tell_parent(settings.ready_fd, fields)
        return addresses

    async def drain(self) -> None:
        """Turn unready, accept no more, finish the requests at work within the drain timeout, close everything."""
        self._health.draining = True
        log_event(_log, logging.INFO, "draining", {"requests": self.front.at_work})
        if self._server is not None:
            self._server.close()
        if self._runners and self._runners[0].server is not None:
            self._runners[0].server.pre_shutdown()  # idle connections close; the others after their answer
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_timeout_s):
                await self.front.idle.wait()
        if self.front.at_work:
            log_event(_log, logging.WARNING, "drain_incomplete", {"requests": self.front.at_work})
        await self.close()

    async def close(self) -> None:
        """Close everything at once."""
        for task in self._care:
            task.cancel()
        await asyncio.gather(*self._care, return_exceptions=True)
        for runner in self._runners:
            await runner.cleanup()
        await self._store.close()
        await self._keks.close()
        log_event(_log, logging.INFO, "stopped")

    async def _listen(self, runner: web.BaseRunner, name: str, tls: ssl.SSLContext | None = None) -> asyncio.Server:
        address = getattr(self._settings, name)
        host, port = parse_listen(address, name)
        try:
            return await asyncio.get_running_loop().create_server(
                runner.server,  # type: ignore[arg-type]  # the factory of protocols, set up
                host,
                port,
                backlog=_BACKLOG,
                ssl=tls,
                reuse_port=self._settings.share_port or None,
            )
        except OSError as error:
            msg = f"{name}={address}: cannot be listened on ({error.strerror or type(error).__name__})"
            raise ConfigError(msg, hint="end what holds the port, or take another one") from None

    async def _follow_files(self) -> None:
        self._credentials.reload_if_changed()

    async def _repeat(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except ConfigError as error:
                log_event(_log, logging.ERROR, "reload_failed", {"reason": error.message, "hint": error.hint})
            except Exception as error:  # noqa: BLE001 - the proxy must go on looking after itself
                log_event(_log, logging.ERROR, "care_failed", error=error)
            await asyncio.sleep(self._settings.reload_interval_s)

    async def _state_of_parts(self) -> dict[str, Part]:
        store, kms = await asyncio.gather(self._state_of_store(), self._state_of_kms())
        return {"store": store, "kms": kms}

    async def _state_of_kms(self) -> Part:
        if self._keks.session is None:
            return Part(ok=True, detail="a key file")
        try:
            async with asyncio.timeout(_HEALTH_TIMEOUT_S):
                await self._keks.session.require_ready()
        except TimeoutError:
            return Part(ok=False, detail=f"OpenBao did not answer within {_HEALTH_TIMEOUT_S:g} s")
        except StrongroomError as error:
            return Part(ok=False, detail=error.message)
        return Part(ok=True, detail="OpenBao is active, and the proxy logged in")

    async def _state_of_store(self) -> Part:
        try:
            async with (
                asyncio.timeout(_HEALTH_TIMEOUT_S),
                self._store.exchange(StoreRequest(method="GET", query=(("max-buckets", "1"),))) as response,
            ):
                return Part(ok=response.status == HTTPStatus.OK, detail=f"the store answers {response.status}")
        except TimeoutError:
            return Part(ok=False, detail=f"the store did not answer within {_HEALTH_TIMEOUT_S:g} s")
        except StrongroomError as error:
            return Part(ok=False, detail=error.message)

    def _render_metrics(self) -> bytes:
        self.metrics.in_flight.set(self.front.at_work)
        return self.metrics.expose()


def _store(settings: ProxySettings, metrics: Metrics) -> Store:
    return Store(
        settings.store_address,
        read_store_credential(settings.store_credentials_file),
        region=settings.store_region,
        timeouts=Timeouts(connect_s=settings.store_connect_timeout_s, idle_s=settings.store_idle_timeout_s),
        connections=settings.store_connections,
        ca_file=settings.store_ca_file,
        observe=metrics.store,
    )


def _limits(settings: ProxySettings) -> KeyLimits:
    return KeyLimits(
        seal_ttl_s=settings.bucket_key_ttl_s,
        seal_uses=settings.bucket_key_uses,
        open_ttl_s=settings.unwrap_cache_s,
        open_keys=settings.unwrap_cache_keys,
    )


def _server_tls(settings: ProxySettings) -> ssl.SSLContext | None:
    """Return the context of the S3 port: clients show no certificate, they sign their requests."""
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # some S3 clients in use know no newer one
    try:
        context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file, password=_no_password)
    except (OSError, ValueError):
        msg = f"tls_cert_file={settings.tls_cert_file}, tls_key_file={settings.tls_key_file}: cannot be used"
        raise ConfigError(msg, hint="they are a readable PEM certificate with its chain, and its key") from None
    return context


def _no_password() -> str:
    msg = "the private key is encrypted"
    raise ValueError(msg)


def _addresses(server: asyncio.Server) -> list[str]:
    names = [socket.getsockname() for socket in server.sockets]
    return [f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}" for name in names]


def _tell_parent(fd: int, fields: dict[str, str]) -> None:
    try:
        with open(fd, "w", encoding="ascii") as pipe:
            pipe.write(json.dumps({"event": "listening"} | fields) + "\n")
    except OSError as error:
        msg = f"ready_fd={fd}: cannot be written ({error.strerror})"
        raise ConfigError(msg, hint="hand the write end of a pipe over, or leave ready_fd out") from None
