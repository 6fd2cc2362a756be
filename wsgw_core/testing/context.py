"""Makes contexts for plugins, as a gateway does."""

from __future__ import annotations

import asyncio
import logging

from wsgw_core.api import (
    BackendContext,
    BackendControl,
    Clock,
    Limits,
    Metrics,
    PluginContext,
    ReadBatch,
)
from wsgw_core.metrics.counters import GatewayCounters
from wsgw_core.pool.membership.system_resolver import SystemResolver

from .fake_control import FakeControl

__all__ = ["make_context", "make_plugin_context"]


def make_context(
    backend_id: str = "test",
    *,
    clock: Clock | None = None,
    limits: Limits | None = None,
    ping_timeout: float = 60.0,
    busy_timeout: float = 600.0,
    control: BackendControl | None = None,
) -> BackendContext:
    """Returns a context for a backend's factory.

    Args:
        backend_id: the backend's id.
        clock: time and timers; the running event loop by default.
        limits: the limits; a gateway's defaults by default.
        ping_timeout: by default so long that no test fails on a busy machine.
        busy_timeout: see BackendContext.
        control: carries out what the backend reports about all sessions; a FakeControl by default.
    """
    logger = logging.getLogger(f"wsgw.test.{backend_id}")
    counters = GatewayCounters(Metrics())
    return BackendContext(
        backend_id=backend_id,
        clock=clock or asyncio.get_running_loop(),
        limits=limits or Limits(),
        ping_timeout=ping_timeout,
        busy_timeout=busy_timeout,
        logger=logger,
        metrics=Metrics(),
        read_batch=ReadBatch(),
        resolver=SystemResolver(counters, logger, timeout=ping_timeout, hold=0),
        control=control or FakeControl(),
    )


def make_plugin_context(kind: str = "tested", *, clock: Clock | None = None) -> PluginContext:
    """Returns a context for the factory of a valve, listener, gate or policy.

    Args:
        kind: the kind; the names of the metrics begin with it.
        clock: time and timers; the running event loop by default.
    """
    return PluginContext(
        clock=clock or asyncio.get_running_loop(),
        logger=logging.getLogger(f"wsgw.test.{kind}"),
        metrics=Metrics().of(kind),
    )
