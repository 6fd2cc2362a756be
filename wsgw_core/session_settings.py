"""Makes what sessions and their backends need of a configuration."""

from __future__ import annotations

import asyncio
import logging

from .api import BackendContext, HandshakeGate, Metrics, PluginContext, ReadBatch
from .components import Components
from .config.failover_options import FailoverOptions
from .config.gateway_config import GatewayConfig
from .metrics.counters import GatewayCounters
from .pool.backend_group import BackendGroup
from .pool.backend_pool import BackendPool
from .pool.dial_gates import DialGates
from .pool.dialler import Dialler
from .relay.environment import RelayEnvironment
from .relay.session_table import SessionTable
from .relay.suspect_turns import SuspectTurns


class SessionSettings:
    """What all configurations of one gateway share, and what is made of it for each.

    Args:
        pool: the backends.
        failover: of the first configuration; see `apply`.
        table: all sessions.
        read_batch, metrics, counters, logger: of the gateway.
    """

    def __init__(
        self,
        pool: BackendPool,
        failover: FailoverOptions,
        table: SessionTable,
        read_batch: ReadBatch,
        metrics: Metrics,
        counters: GatewayCounters,
        logger: logging.Logger,
    ) -> None:
        self._pool = pool
        self._dial_gates = DialGates(failover.max_concurrent_dials, failover.dial_spacing)
        self._suspect_turns = SuspectTurns()
        self._table = table
        self._read_batch = read_batch
        self._metrics = metrics
        self._counters = counters
        self._logger = logger

    @property
    def waiting_dials(self) -> int:
        """Dials that wait for others of the same backend to end."""
        return self._dial_gates.waiting

    def apply(self, failover: FailoverOptions) -> None:
        """Bound the dials of all sessions as another configuration says."""
        self._dial_gates.change(failover.max_concurrent_dials, failover.dial_spacing)

    def backend_context(self, backend_id: str, config: GatewayConfig) -> BackendContext:
        """Return what the plugin of a backend is given."""
        return BackendContext(
            backend_id=backend_id,
            clock=asyncio.get_running_loop(),
            limits=config.limits.for_plugins(),
            ping_timeout=config.failover.ping_timeout,
            logger=self._logger.getChild(backend_id),
            metrics=self._metrics,
            read_batch=self._read_batch,
        )

    def gates_and_environment(
        self, config: GatewayConfig, components: Components
    ) -> tuple[list[HandshakeGate], RelayEnvironment]:
        """Return what new sessions are opened with; see SessionOpener."""
        clock = asyncio.get_running_loop()
        context = PluginContext(clock, self._logger, self._metrics)
        environment = RelayEnvironment(
            clock=clock,
            failover=config.failover,
            limits=config.limits,
            drain=config.drain,
            reconnect_header=config.server.reconnect_header,
            dialler=Dialler(
                BackendGroup(self._pool, config.upstream.policy),
                self._dial_gates,
                config.failover.retry_statuses,
                self._counters,
                self._logger,
            ),
            valves=components.valves,
            listeners=tuple(
                listener.registration.factory(listener.options, context)
                for listener in components.listeners
            ),
            table=self._table,
            suspect_turns=self._suspect_turns,
            read_batch=self._read_batch,
            counters=self._counters,
            logger=self._logger,
        )
        gates = [gate.registration.factory(gate.options, context) for gate in components.gates]
        return gates, environment
