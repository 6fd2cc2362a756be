"""Makes the context of a session, with backends in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Any

from wsgw_core.api import Backend, Metrics, ReadBatch, SessionListener
from wsgw_core.config.drain_options import DrainOptions
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.config.limit_options import LimitOptions
from wsgw_core.metrics.counters import GatewayCounters
from wsgw_core.plugins.open_plugins import PluginSet
from wsgw_core.pool.backends.backend_pool import BackendPool, PooledBackend
from wsgw_core.pool.dialling.dial_limiter import DialLimiters
from wsgw_core.pool.dialling.dialler import Dialler
from wsgw_core.pool.policy.backend_group import BackendGroup
from wsgw_core.relay.all_sessions.session_context import SessionContext
from wsgw_core.relay.all_sessions.session_reporter import SessionReporter
from wsgw_core.relay.all_sessions.session_table import SessionTable
from wsgw_core.relay.delivery.poison import PoisonLock

_LOGGER = logging.getLogger("wsgw.test")
# Without any handler, a script that uses a bench would show warnings of its sessions.
_LOGGER.addHandler(logging.NullHandler())


def make_session_context(
    backends: Sequence[PooledBackend], *, listeners: Iterable[SessionListener] = (), **parts: Any
) -> SessionContext:
    """Returns the context of a session, on the running event loop.

    Args:
        backends: the backends, in the order of configuration.
        listeners: called with the events of the sessions.
        **parts: the fields of SessionContext that differ from a gateway's defaults.
    """
    failover: FailoverOptions = parts.setdefault("failover", FailoverOptions())
    counters: GatewayCounters = parts.setdefault("counters", GatewayCounters(Metrics()))
    if "dialler" not in parts:  # backends have one pool
        limiters = DialLimiters(*failover.dial_bounds)
        group = BackendGroup(BackendPool(list(backends)))
        parts["dialler"] = Dialler(group, limiters, failover.retry_statuses, counters, _LOGGER)
    table: SessionTable = parts.setdefault("table", SessionTable())
    parts.setdefault("reporter", SessionReporter(listeners, table.events, counters, _LOGGER))
    defaults: dict[str, Any] = {
        "clock": asyncio.get_running_loop(),
        "route": "",
        "limits": LimitOptions(),
        "drain": DrainOptions(),
        "reconnect_header": "X-Balancer-Reconnect",
        "valves": (),
        "plugins": PluginSet(),
        "poison_lock": PoisonLock(),
        "read_batch": ReadBatch(),
        "logger": _LOGGER,
    }
    return SessionContext(**{**defaults, **parts})


def pooled(backend_id: str, backend: Backend) -> PooledBackend:
    """Returns a backend for a pool; its breaker never trips."""
    return PooledBackend(backend_id, backend, -1, _LOGGER)
