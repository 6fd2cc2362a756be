"""What a session needs of its gateway, with backends in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from wsgw_core.api import Backend, Metrics, ReadBatch
from wsgw_core.config.drain_options import DrainOptions
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.config.limit_options import LimitOptions
from wsgw_core.metrics.counters import GatewayCounters
from wsgw_core.open_plugins import PluginSet
from wsgw_core.pool.backend_group import BackendGroup
from wsgw_core.pool.backend_pool import BackendPool, PooledBackend
from wsgw_core.pool.dial_gates import DialGates
from wsgw_core.pool.dialler import Dialler
from wsgw_core.relay.environment import RelayEnvironment
from wsgw_core.relay.session_table import SessionTable
from wsgw_core.relay.suspect_turns import SuspectTurns


def make_environment(backends: Sequence[PooledBackend], **parts: Any) -> RelayEnvironment:
    """Return the environment of a session, on the running event loop.

    Args:
        backends: in the order of configuration.
        **parts: fields of RelayEnvironment, where they differ from a gateway's defaults.
    """
    logger = logging.getLogger("wsgw.test")
    failover: FailoverOptions = parts.setdefault("failover", FailoverOptions())
    counters: GatewayCounters = parts.setdefault("counters", GatewayCounters(Metrics()))
    gates = DialGates(*failover.dial_bounds)
    group = BackendGroup(BackendPool(list(backends)))
    parts.setdefault("dialler", Dialler(group, gates, failover.retry_statuses, counters, logger))
    defaults: dict[str, Any] = {
        "clock": asyncio.get_running_loop(),
        "route": "",
        "limits": LimitOptions(),
        "drain": DrainOptions(),
        "reconnect_header": "X-Balancer-Reconnect",
        "valves": (),
        "listeners": (),
        "plugins": PluginSet(),
        "table": SessionTable(),
        "suspect_turns": SuspectTurns(),
        "read_batch": ReadBatch(),
        "logger": logger,
    }
    return RelayEnvironment(**{**defaults, **parts})


def pooled(backend_id: str, backend: Backend) -> PooledBackend:
    """Return a backend as a pool has it, without a breaker."""
    return PooledBackend(backend_id, backend, -1)
