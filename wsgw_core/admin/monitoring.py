"""Calls of what watches over the process: is it there, do clients belong here, its metrics."""

from __future__ import annotations

from aiohttp import web

from ..control.control import Control
from .answers import answer

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Monitoring:
    """Answers them.

    Args:
        control: of the gateway.
    """

    def __init__(self, control: Control) -> None:
        self._control = control

    async def alive(self, _request: web.Request) -> web.Response:
        """Answer: that is enough."""
        return answer({"status": "alive"})

    async def ready(self, _request: web.Request) -> web.Response:
        """Answer whether clients should be sent here, and why not."""
        status = await self._control.gateway()
        body = {
            "status": "not ready" if status.obstacles else "ready",
            "reasons": status.obstacles,
            "unservedRoutes": status.unserved_routes,
        }
        return answer(body, 503 if status.obstacles else 200)

    async def metrics(self, _request: web.Request) -> web.Response:
        """Answer with all metrics."""
        text = await self._control.metrics()
        return web.Response(body=text.encode(), headers={"Content-Type": _PROMETHEUS})
