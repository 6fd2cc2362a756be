"""Shows the metrics of an embedded gateway in the registry of the program around it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from .exposition import Exposition

_TIMEOUT = 10.0  # seconds for which another thread waits for the event loop


class HostCollector(Collector):
    """Collects metrics from any thread; reads the counters on the gateway's event loop.

    Args:
        exposition: the metrics of a started gateway.
        loop: the event loop of the gateway.
    """

    def __init__(self, exposition: Exposition, loop: asyncio.AbstractEventLoop) -> None:
        self._exposition = exposition
        self._loop = loop

    def describe(self) -> Iterable[Metric]:
        """Returns nothing: the metrics depend on the plugins and can change with a reload."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Returns all metrics; none once the event loop is closed.

        Raises:
            TimeoutError: the event loop is too busy.
        """
        if self._loop.is_closed():
            return ()
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is self._loop:
            return self._exposition.collect()
        collecting = asyncio.run_coroutine_threadsafe(self._collect(), self._loop)
        try:
            return collecting.result(_TIMEOUT)
        finally:
            collecting.cancel()

    async def _collect(self) -> Iterable[Metric]:
        return self._exposition.collect()
