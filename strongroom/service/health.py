"""Metrics and health on a port of their own, plain HTTP: /metrics, /healthz, /readyz.

``/healthz`` says that the event loop turns. ``/readyz`` returns whether a request would succeed, part by part, and asks
what the service depends on for it, at most once a second.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # the Prometheus text format
FRESH_S = 1.0  # several probes a second ask once


@dataclass(frozen=True)
class Part:
    """The state of one part.

    Attributes:
        ok: whether it works.
        detail: a line for a person.
        vital: whether the service is unready without it.
    """

    ok: bool
    detail: str = ""
    vital: bool = True

    @property
    def document(self) -> dict[str, object]:
        """The part as /readyz shows it."""
        return {"ok": self.ok, "detail": self.detail} | ({} if self.vital or self.ok else {"vital": False})


class Health:
    """The health endpoints."""

    def __init__(
        self,
        *,
        parts: Callable[[], Awaitable[dict[str, Part]]],
        metrics: Callable[[], bytes],
        before_metrics: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """Take what tells the state of the parts, what renders the metrics, and what has to be awaited before that."""
        self._parts = parts
        self._metrics = metrics
        self._before_metrics = before_metrics
        self._lock = asyncio.Lock()
        self._known: tuple[float, dict[str, Part]] | None = None
        self.draining = False

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        app = web.Application()
        app.router.add_get("/metrics", self._serve_metrics)
        app.router.add_get("/healthz", self._serve_health)
        app.router.add_get("/readyz", self._serve_readiness)
        return app

    async def _serve_metrics(self, _: web.Request) -> web.Response:
        if self._before_metrics is not None:
            await self._before_metrics()
        return web.Response(body=self._metrics(), headers={"Content-Type": CONTENT_TYPE})

    async def _serve_health(self, _: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    async def is_ready(self) -> bool:
        """Return whether a request would succeed."""
        return _all_work(await self._parts_now())

    async def _serve_readiness(self, _: web.Request) -> web.Response:
        parts = await self._parts_now()
        ready = _all_work(parts)
        document = {"ready": ready} | {name: part.document for name, part in parts.items()}
        return web.json_response(document, status=200 if ready else 503)

    async def _parts_now(self) -> dict[str, Part]:
        parts = dict(await self._fresh_parts())
        if self.draining:
            parts["process"] = Part(ok=False, detail="shutting down")
        return parts

    async def _fresh_parts(self) -> dict[str, Part]:
        async with self._lock:
            now = time.monotonic()
            if self._known is None or now - self._known[0] > FRESH_S:
                self._known = (now, await self._parts())
            return self._known[1]


def _all_work(parts: dict[str, Part]) -> bool:
    return all(part.ok or not part.vital for part in parts.values())
