"""What backends, sessions and frontends look like in answers."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web

from ...control.control import Control
from ...control.status import BackendStatus, SessionStatus
from ..answers import answer
from .backend_config import backend_config

_AT_ONCE = 500  # sessions that are written in one turn of the loop


class Lists:
    """Answers what is asked.

    Args:
        control: of the gateway.
    """

    def __init__(self, control: Control) -> None:
        self._control = control

    async def backends(self, _request: web.Request) -> web.Response:
        """Answer with all backends."""
        return answer([_backend(each) for each in await self._control.backends()])

    async def backend_config(self, request: web.Request) -> web.Response:
        """Answer with a backend's configuration; with nothing in it when it is unknown."""
        settings = await self._control.backend_settings(request.match_info["id"])
        return answer({} if settings is None else backend_config(settings))

    async def sessions(self, _request: web.Request) -> web.Response:
        """Answer with all sessions."""
        written = []
        for number, session in enumerate(await self._control.sessions(), 1):
            written.append(_session(session))
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return answer(written)

    async def frontends(self, _request: web.Request) -> web.Response:
        """Answer with all frontends."""
        found = await self._control.frontends()
        return answer([{"id": each.id, "paused": each.paused} for each in found])


def _backend(status: BackendStatus) -> dict[str, Any]:
    return {
        "url": status.url,
        "id": status.id,
        "discoveredBy": status.discovered_by,
        "activeConnections": status.connections,
        "enabled": status.enabled,
        "tripped": status.tripped,
        "down": status.down,
        "healthy": status.healthy,
        "totalConnections": status.connections_opened,
        "totalFailures": status.failures,
        "priority": status.priority,
        "weight": status.weight,
        "route": status.group,
    }


def _session(status: SessionStatus) -> dict[str, Any]:
    return {
        "id": status.id,
        "uri": status.target,
        "backendId": status.backend,
        "reconnects": status.reconnects,
        "msgsReceived": status.messages_received,
        "msgsSent": status.messages_sent,
        "state": status.state,
        "hydrating": status.hydrating,
        "route": status.route,
    }
