"""Several processes of one proxy on one port: starts them, begins dead ones again, and drains all of them.

The parent serves no S3. It has the health port: /readyz asks every worker, and /metrics sums up what they count
(prometheus_client's multiprocess mode, which keeps what a dead worker had counted).
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiohttp
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from s3proxy.metrics import worker_restarts
from s3proxy.processes.worker import Kept, Worker
from s3proxy.settings import ProxySettings
from strongroom.errors import ConfigError
from strongroom.service.front import HttpFront
from strongroom.service.health import Health, Part
from strongroom.service.lifecycle import Notifier, end_at_signals, reloading_at_sighup, report_loop_error
from strongroom.service.listening import Port, parse_listen, tell_parent
from strongroom.service.logs import log_event

_log = logging.getLogger(__name__)
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 30.0
_STEADY_S: Final = 60.0  # anyone who has run for this long did not die of how it was started
_KILL_AFTER_S: Final = 5.0  # behind the drain timeout
_KILLED_WITHIN_S: Final = 5.0  # all of them
_ASK_TIMEOUT_S: Final = 3.0
_ASK_EVERY_S: Final = 5.0
_METRICS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"  # of prometheus_client; workers read it when they import that


class Supervisor:
    """Looks after the workers. ``run`` is all of it."""

    def __init__(self, settings: ProxySettings, systemd: Notifier) -> None:
        """Take the settings, and what is told of the service as a whole; nothing is started yet."""
        self._settings = settings
        self._systemd = systemd
        self._workers: dict[int, Worker] = {}
        self._kept: Kept = {}
        self._stop = asyncio.Event()
        self._registry = CollectorRegistry()
        self._restarts = worker_restarts(self._registry)
        self._health = Health(parts=self._parts, metrics=self._metrics, before_metrics=self._have_counts_written)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain.

        Raises:
            ConfigError: an address cannot be listened on, or a worker cannot be started.
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(report_loop_error)
        end_at_signals(self._stop)
        async with contextlib.AsyncExitStack() as stack:
            self._directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="strongroom-s3proxy-"))
            self._shared = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="strongroom-s3proxy-")))
            os.environ[_METRICS_VARIABLE] = self._directory
            MultiProcessCollector(self._registry, path=self._directory)  # type: ignore[no-untyped-call]
            stack.callback(self._kill)
            self._session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
            settings, address = self._share(stack)
            health = HttpFront(
                Port(name="health", address=self._settings.server.health_listen, setting="health_listen"),
                self._health.application(),
                keepalive_timeout=self._settings.server.keepalive_timeout_s,
            )
            stack.push_async_callback(health.close)
            health_addresses = await health.open()
            for number in range(1, self._settings.processes + 1):
                self._workers[number] = self._begin(settings, number)
            if not await self._all_listen():
                await self._drain([])
                return
            fields = {"s3": address, "health": ",".join(health_addresses)}
            log_event(_log, logging.INFO, "serving", fields | {"pid": os.getpid(), "processes": len(self._workers)})
            if self._settings.server.ready_fd >= 0:
                tell_parent(self._settings.server.ready_fd, fields)
            care = [asyncio.create_task(self._look_after(number, settings)) for number in self._workers]
            care += [asyncio.create_task(self._replace_silent(number)) for number in self._workers]
            with reloading_at_sighup(self._reload, self._systemd):
                async with self._systemd.serving():
                    await self._stop.wait()
            await self._drain(care)

    async def _reload(self) -> None:
        """Pass the signal on; each worker does what it asks for by itself."""
        for worker in self._workers.values():
            worker.reload()

    async def _all_listen(self) -> bool:
        """Wait until all workers listen; return whether they do before the end was asked for.

        Raises:
            ConfigError: one cannot start, or does not come to it in time.
        """
        stopped = asyncio.ensure_future(self._stop.wait())
        listening = asyncio.gather(*(worker.listening() for worker in self._workers.values()))
        timeout_s = self._settings.worker_start_timeout_s
        try:
            both: set[asyncio.Future[Any]] = {listening, stopped}
            await asyncio.wait(both, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                await listening
            elif not stopped.done():
                msg = f"a process does not serve {timeout_s:g} seconds after its start"
                raise ConfigError(msg, hint="see the log above; set worker_start_timeout_s higher if it is only slow")
            return listening.done()
        finally:
            stopped.cancel()
            listening.cancel()

    def _share(self, stack: contextlib.ExitStack | contextlib.AsyncExitStack) -> tuple[ProxySettings, str]:
        """Return the settings of a worker, and the address that all of them listen on.

        A free port that was asked for is taken here, so that it is the same for all; a socket that does not listen gets
        no connections.
        """
        host, port = parse_listen(self._settings.server.listen, "listen")
        if not port:
            family = socket.AF_INET6 if host and ":" in host else socket.AF_INET
            holder = stack.enter_context(socket.socket(family))
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holder.bind((host or "", 0))
            port = holder.getsockname()[1]
        shown = f"[{host}]" if host and ":" in host else host or ""
        address = f"{shown}:{port}"
        server = replace(self._settings.server, listen=address, health_listen="127.0.0.1:0", ready_fd=-1)
        return replace(self._settings, server=server, share_port=True, processes=1), address

    def _begin(self, settings: ProxySettings, number: int) -> Worker:
        """Start a worker; if an edit has broken a file, with what the others have in force."""
        return Worker(settings, number, shared=self._shared, kept=self._kept, on_kept=self._kept.update)

    async def _replace_silent(self, number: int) -> None:
        """End a worker that does not answer for too long; connections of the kernel's choice would wait for it."""
        settings = self._settings
        answered_at, watched = time.monotonic(), self._workers[number]
        while True:
            await asyncio.sleep(min(_ASK_EVERY_S, settings.worker_timeout_s / 3))
            worker = self._workers[number]
            # One that does not listen yet may wait for OpenBao and the store, each with its own deadline.
            timeout_s = settings.worker_timeout_s if worker.health_address else settings.worker_start_timeout_s
            if worker is not watched or await self._get(worker, "/healthz") is not None:
                answered_at, watched = time.monotonic(), worker
            elif time.monotonic() - answered_at > timeout_s and worker.exit_status is None:
                fields = {"number": number, "worker_pid": worker.pid, "timeout_s": timeout_s}
                log_event(_log, logging.ERROR, "worker_silent", fields)
                worker.kill()

    async def _look_after(self, number: int, settings: ProxySettings) -> None:
        """Begin a worker again whenever it has ended."""
        pause_s = _FIRST_PAUSE_S
        while True:
            worker = self._workers[number]
            begin = time.monotonic()
            await worker.ended()
            mark_process_dead(worker.pid, path=self._directory)  # type: ignore[no-untyped-call]
            if self._stop.is_set():
                return
            pause_s = _FIRST_PAUSE_S if time.monotonic() - begin > _STEADY_S else min(2 * pause_s, _LONGEST_PAUSE_S)
            fields = {"number": number, "worker_pid": worker.pid, "status": worker.exit_status, "pause_s": pause_s}
            log_event(_log, logging.ERROR, "worker_ended", fields)
            await asyncio.sleep(pause_s)
            if self._stop.is_set():
                return
            self._restarts.inc()
            self._workers[number] = self._begin(settings, number)
            try:
                await self._workers[number].listening()
            except ConfigError as error:
                log_event(_log, logging.ERROR, "worker_failed", {"reason": error.message, "hint": error.hint})

    async def _drain(self, care: list[asyncio.Task[None]]) -> None:
        self._health.draining = True
        log_event(_log, logging.INFO, "draining", {"processes": len(self._workers)})
        for worker in self._workers.values():
            worker.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.server.drain_timeout_s + _KILL_AFTER_S):
                await asyncio.gather(*(worker.ended() for worker in self._workers.values()))
        for task in care:
            task.cancel()
        await asyncio.gather(*care, return_exceptions=True)

    def _kill(self) -> None:
        for worker in self._workers.values():
            worker.kill()
        deadline = time.monotonic() + _KILLED_WITHIN_S
        for worker in self._workers.values():
            worker.wait_killed(max(0.0, deadline - time.monotonic()))

    async def _have_counts_written(self) -> None:
        """Have every worker write what it has counted to where all are added up, as it does when it is asked."""
        await asyncio.gather(*(self._get(worker, "/metrics") for worker in self._workers.values()))

    def _metrics(self) -> bytes:
        return generate_latest(self._registry)

    async def _parts(self) -> dict[str, Part]:
        """Ask every worker; a part is as good as the worker that is worst off with it."""
        asked = await asyncio.gather(*(self._ask(worker) for worker in self._workers.values()))
        answers = [answer for answer in asked if answer is not None]
        detail = f"{len(answers)} of {len(asked)} processes serve"
        parts = {"workers": Part(ok=bool(answers), detail=detail)}
        for answer in answers:
            for name, part in answer.items():
                if name not in parts or _standing(part) < _standing(parts[name]):
                    parts[name] = part
        return parts

    async def _ask(self, worker: Worker) -> dict[str, Part] | None:
        """Return the parts of a worker, None if it does not answer."""
        answer = await self._get(worker, "/readyz")
        if answer is None:
            return None
        document = json.loads(answer)
        document.pop("ready")
        return {
            name: Part(ok=part["ok"], detail=part["detail"], vital=part.get("vital", True))
            for name, part in document.items()
        }

    async def _get(self, worker: Worker, path: str) -> bytes | None:
        """Return what the health port of a worker answers, None if it does not."""
        if not worker.health_address or worker.exit_status is not None:
            return None
        try:
            async with (
                asyncio.timeout(_ASK_TIMEOUT_S),
                self._session.get(f"http://{worker.health_address}{path}") as response,
            ):
                return await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None


def _standing(part: Part) -> tuple[bool, bool]:
    """Return how well off a part is: not at all, well enough to serve, or well."""
    return part.ok or not part.vital, part.ok
