"""Answers the GET calls: lists, configurations, health and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from ..control.control import Control
from ..control.status import BackendStatus, SessionStatus
from .answers import BACKEND_KEYS, SESSION_KEYS, answer
from .backend_config import backend_config
from .openapi import openapi

_AT_ONCE = 500  # sessions that are written in one turn of the loop
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Queries:
    """Answers each GET call with what the control returns.

    Args:
        control: the control of the gateway.
    """

    def __init__(self, control: Control) -> None:
        self._control = control
        self._openapi = openapi()

    async def backends(self, _request: web.Request) -> web.Response:
        """Lists the backends."""
        return answer([_listed(each, BACKEND_KEYS) for each in await self._control.backends()])

    async def backend_config(self, request: web.Request) -> web.Response:
        """Shows the configuration of a backend; an empty object if the id is unknown."""
        settings = await self._control.backend_settings(request.match_info["id"])
        return answer({} if settings is None else backend_config(settings))

    async def sessions(self, _request: web.Request) -> web.Response:
        """Lists the sessions."""
        written = []
        for number, session in enumerate(await self._control.sessions(), 1):
            written.append(_listed(session, SESSION_KEYS))
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return answer(written)

    async def frontends(self, _request: web.Request) -> web.Response:
        """Lists the frontends."""
        found = await self._control.frontends()
        return answer([{"id": each.id, "paused": each.paused} for each in found])

    async def alive(self, _request: web.Request) -> web.Response:
        """Answers 200: an answer proves that the process is alive."""
        return answer({"status": "alive"})

    async def ready(self, _request: web.Request) -> web.Response:
        """Answers 200 if clients can be sent here, else 503 and the reasons."""
        status = await self._control.gateway()
        body = {
            "status": "not ready" if status.obstacles else "ready",
            "reasons": status.obstacles,
            "unservedRoutes": status.unserved_routes,
        }
        return answer(body, 503 if status.obstacles else 200)

    async def metrics(self, _request: web.Request) -> web.Response:
        """Shows the metrics in Prometheus' text format."""
        text = await self._control.metrics()
        return web.Response(body=text.encode(), headers={"Content-Type": _PROMETHEUS})

    async def openapi(self, _request: web.Request) -> web.Response:
        """Describes all calls as OpenAPI."""
        return answer(self._openapi)


def _listed(status: BackendStatus | SessionStatus, keys: Mapping[str, str]) -> dict[str, Any]:
    return {key: getattr(status, name) for key, name in keys.items()}
