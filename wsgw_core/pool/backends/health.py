"""Probes backends at an interval, without a session."""

from __future__ import annotations

import asyncio
import logging
import random

from ...api import BackendUnavailable, OutOfResources
from ...config.upstream_options import HealthOptions
from ...control.events import BackendHealthy, BackendUnhealthy
from ...metrics.counters import GatewayCounters
from .backend_pool import BackendPool, PooledBackend


async def probe_of(
    pooled: PooledBackend,
    timeout: float,  # noqa: ASYNC109 - becomes part of the answer
    logger: logging.Logger,
) -> str | None:
    """Probes a backend once; returns why it did not pass, or None if it did.

    Args:
        pooled: the backend.
        timeout: the maximum seconds.
        logger: logs faults of the plugin.

    Raises:
        OutOfResources: the gateway could not probe.
    """
    try:
        async with asyncio.timeout(timeout):
            await pooled.backend.probe()
    except OutOfResources:
        raise
    except BackendUnavailable as error:
        return error.reason
    except TimeoutError:
        return f"no answer within {timeout:g} s"
    except Exception as error:
        logger.exception("backend %s: its plugin raised an error", pooled.id)
        return f"its plugin raised {type(error).__name__}"
    return None


class HealthChecks:
    """Probes all backends of a pool at an interval and sets their `healthy`.

    Args:
        pool: the backends.
        options: the interval, and how many results in a row decide.
        counters: the gateway's counters.
        logger: logs faults of plugins.
    """

    def __init__(
        self,
        pool: BackendPool,
        options: HealthOptions,
        counters: GatewayCounters,
        logger: logging.Logger,
    ) -> None:
        self._pool = pool
        self._options = options
        self._counters = counters
        self._logger = logger
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts the probes; without an interval in the options there are none."""
        if self._options.interval is not None:
            loop = asyncio.get_running_loop()
            self._task = loop.create_task(self._run(self._options.interval))

    async def stop(self) -> None:
        """Stops the probes."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, interval: float) -> None:
        rows: dict[PooledBackend, _Row] = {}
        while True:
            backends = self._pool.backends
            rows = {backend: rows.get(backend) or _Row() for backend in backends}
            async with asyncio.TaskGroup() as probes:
                for backend in backends:
                    probes.create_task(self._probe(backend, rows[backend]))
            # spread, so that many gateways do not probe in step
            await asyncio.sleep(interval * random.uniform(0.9, 1.1))  # noqa: S311 - no secret

    async def _probe(self, pooled: PooledBackend, row: _Row) -> None:
        try:
            reason = await probe_of(pooled, self._options.timeout, self._logger)
        except OutOfResources:  # says nothing about the backend
            return
        if reason is not None:
            self._counters.probes_failed.value += 1
        needed = self._options.healthy_after if reason is None else self._options.unhealthy_after
        if row.add(good=reason is None) < needed or pooled.healthy == (reason is None):
            return
        pooled.healthy = reason is None
        if reason is None:
            pooled.events.publish(BackendHealthy(pooled.id))
        else:
            pooled.events.publish(BackendUnhealthy(pooled.id, reason))


class _Row:
    """How many probes in a row a backend has passed, or failed."""

    def __init__(self) -> None:
        self.good = True
        self.length = 0

    def add(self, *, good: bool) -> int:
        """Records one result; returns how many equal results there were in a row."""
        self.length = self.length + 1 if good == self.good else 1
        self.good = good
        return self.length
