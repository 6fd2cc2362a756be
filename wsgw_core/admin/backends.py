"""Calls about backends."""

from __future__ import annotations

import json

from aiohttp import web

from ..api import ConfigurationError
from ..config.added_backend import FilesNotAllowed
from ..steering import NotSupported, Steering
from .answers import answer, failed, no_action_required, not_implemented, success
from .backend_config import backend_config


class BackendCalls:
    """What can be asked of backends, and done to them.

    Args:
        steering: of the gateway.
    """

    def __init__(self, steering: Steering) -> None:
        self._steering = steering

    async def list(self, _request: web.Request) -> web.Response:
        """Answer with all backends."""
        of = self._steering.component_of
        return answer(
            [
                {
                    "url": backend_config(of(each))["url"],
                    "id": each.id,
                    "discoveredBy": of(each).discovered_by,
                    "activeConnections": each.active,
                    "enabled": each.enabled,
                    "tripped": each.breaker.tripped,
                    "down": each.outage.reason,
                    "healthy": each.healthy,
                    "totalConnections": each.total,
                    "totalFailures": each.failures,
                    "priority": each.priority,
                    "weight": each.weight,
                    "route": each.group,
                }
                for each in self._steering.backends
            ]
        )

    async def add(self, request: web.Request) -> web.Response:
        """Open a backend and offer it to sessions."""
        try:
            entry = json.loads(await request.read())
        except (ValueError, RecursionError):  # not UTF-8, not JSON, or nested without end
            return failed("body is not JSON")
        route = entry.pop("route", "") if isinstance(entry, dict) else ""
        if not isinstance(route, str):
            return failed("route: not the id of a route")
        try:
            await self._steering.add_backend(entry, route)
        except FilesNotAllowed as error:
            return failed("; ".join(error.problems), 403)
        except ConfigurationError as error:
            return failed("; ".join(error.problems))
        except NotSupported:
            return not_implemented()
        return success()

    async def config(self, request: web.Request) -> web.Response:
        """Answer with a backend's configuration; with nothing in it when it is unknown."""
        component = self._steering.find_component(request.match_info["id"])
        return answer({} if component is None else backend_config(component))

    async def disable(self, request: web.Request) -> web.Response:
        """Give a backend no new sessions."""
        backend = self._steering.find_backend(request.match_info["id"])
        if backend is None or not backend.enabled:
            return no_action_required()
        backend.enabled = False
        return success()

    async def enable(self, request: web.Request) -> web.Response:
        """Give a backend new sessions again."""
        backend = self._steering.find_backend(request.match_info["id"])
        if backend is None:
            return failed()
        if backend.enabled:
            return no_action_required()
        self._steering.enable(backend)
        return success()

    async def fail_over(self, request: web.Request) -> web.Response:
        """Move all sessions of a backend."""
        backend = self._steering.find_backend(request.match_info["id"])
        if backend is None:
            return no_action_required()
        try:
            moved = await self._steering.fail_over(backend)
        except NotSupported:
            return not_implemented()
        return success() if moved else no_action_required()

    async def drain(self, request: web.Request) -> web.Response:
        """Empty a backend without haste."""
        backend = self._steering.find_backend(request.match_info["id"])
        if backend is None:
            return failed()
        try:
            begun = self._steering.drain(backend)
        except NotSupported:
            return not_implemented()
        return success() if begun else no_action_required()

    async def reset(self, request: web.Request) -> web.Response:
        """Have a backend tried again at once."""
        backend = self._steering.find_backend(request.match_info["id"])
        if backend is None:
            return failed()
        if not (backend.breaker.tripped or backend.outage.reason):
            return no_action_required()
        backend.reset()
        return success()

    async def delete(self, request: web.Request) -> web.Response:
        """Remove a backend, or all of a name, and move their sessions."""
        removed = self._steering.remove_backend(request.match_info["id"])
        return success() if removed else no_action_required()
