"""The metrics, asked for."""

from __future__ import annotations

from aiohttp import web

from ..metrics.exposition import CONTENT_TYPE, Exposition


class MetricsCalls:
    """What Prometheus asks for.

    Args:
        exposition: of the gateway.
    """

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition

    async def show(self, _request: web.Request) -> web.Response:
        """Answer with all metrics."""
        return web.Response(
            body=await self._exposition.text(), headers={"Content-Type": CONTENT_TYPE}
        )
