"""Calls about frontends."""

from __future__ import annotations

from aiohttp import web

from ..steering import Steering
from .answers import answer, failed, no_action_required, success


class FrontendCalls:
    """What can be asked of frontends, and done to them.

    Args:
        steering: of the gateway.
    """

    def __init__(self, steering: Steering) -> None:
        self._steering = steering

    async def list(self, _request: web.Request) -> web.Response:
        """Answer with all frontends."""
        return answer(
            [{"id": each.id, "paused": each.paused} for each in self._steering.frontends.values()]
        )

    async def pause(self, request: web.Request) -> web.Response:
        """Send new clients away."""
        frontend = self._steering.frontends.get(request.match_info["id"])
        if frontend is None:
            return failed()
        if frontend.paused:
            return no_action_required()
        frontend.pause()
        return success()

    async def resume(self, request: web.Request) -> web.Response:
        """Let new clients in again."""
        frontend = self._steering.frontends.get(request.match_info["id"])
        if frontend is None:
            return failed()
        if not frontend.paused:
            return no_action_required()
        frontend.resume()
        return success()
