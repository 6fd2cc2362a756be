"""Calls of whoever watches over the process."""

from __future__ import annotations

from aiohttp import web

from ..steering import Steering
from .answers import answer


class HealthCalls:
    """Whether the gateway lives, and whether clients should be sent to it.

    Args:
        steering: of the gateway.
    """

    def __init__(self, steering: Steering) -> None:
        self._steering = steering

    async def alive(self, _request: web.Request) -> web.Response:
        """Answer: that is enough."""
        return answer({"status": "alive"})

    async def ready(self, _request: web.Request) -> web.Response:
        """Answer whether clients should be sent here, and why not."""
        reasons = self._steering.why_not_ready()
        body = {
            "status": "not ready" if reasons else "ready",
            "reasons": reasons,
            "unservedRoutes": self._steering.unserved_routes(),
        }
        return answer(body, 503 if reasons else 200)
