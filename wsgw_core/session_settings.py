"""Makes what sessions and their backends need of a configuration."""

from __future__ import annotations

import asyncio
import logging
from weakref import WeakValueDictionary

from .api import (
    BackendContext,
    Metrics,
    PluginContext,
    ReadBatch,
    Resolver,
    SessionListener,
)
from .components import BackendComponent, Components
from .config.failover_options import FailoverOptions
from .config.gateway_config import GatewayConfig
from .config.route_options import RouteOptions
from .metrics.counters import GatewayCounters
from .open_plugins import PluginSet
from .pool.backend_group import BackendGroup
from .pool.backend_pool import BackendPool
from .pool.dial_gates import DialGates
from .pool.dialler import Dialler
from .pool.whole_backend import WholeBackend
from .relay.environment import ConfiguredValve, RelayEnvironment
from .relay.routes import Route, Routes
from .relay.session_table import SessionTable
from .relay.suspect_turns import SuspectTurns


class SessionSettings:
    """What all configurations of one gateway share, and what is made of it for each.

    Args:
        pool: the backends.
        table: all sessions.
        resolver, read_batch, metrics, counters, logger: of the gateway.
    """

    def __init__(
        self,
        pool: BackendPool,
        table: SessionTable,
        resolver: Resolver,
        read_batch: ReadBatch,
        metrics: Metrics,
        counters: GatewayCounters,
        logger: logging.Logger,
    ) -> None:
        self._pool = pool
        # By the backends' group; those of one that is gone as long as a session of it is there.
        self._dial_gates: WeakValueDictionary[str, DialGates] = WeakValueDictionary()
        self._suspect_turns = SuspectTurns()
        self._table = table
        self._resolver = resolver
        self._read_batch = read_batch
        self._metrics = metrics
        self._counters = counters
        self._logger = logger

    @property
    def waiting_dials(self) -> int:
        """Dials that wait for others of the same backend to end."""
        return sum(gates.waiting for gates in self._dial_gates.values())

    def apply(self, config: GatewayConfig) -> None:
        """Bound the dials of all sessions as another configuration says."""
        for group, failover in config.groups.items():
            gates = self._dial_gates.get(group)
            if gates is not None:
                gates.change(*failover.dial_bounds)

    def backend_context(self, component: BackendComponent, config: GatewayConfig) -> BackendContext:
        """Return what the plugin of a backend is given."""
        failover = config.groups[component.group]
        return BackendContext(
            backend_id=component.id,
            clock=asyncio.get_running_loop(),
            limits=config.limits.for_plugins(),
            ping_timeout=failover.ping_timeout,
            busy_timeout=failover.busy_bound,
            logger=self._logger.getChild(component.id),
            metrics=self._metrics.of(component.registration.kind, backend=component.id),
            read_batch=self._read_batch,
            resolver=self._resolver,
            control=WholeBackend(self._table),
        )

    def plugin_context(self, kind: str) -> PluginContext:
        """Return what the plugin of a valve, listener or gate is given."""
        return PluginContext(
            asyncio.get_running_loop(), self._logger.getChild(kind), self._metrics.of(kind)
        )

    def routes(self, config: GatewayConfig, components: Components, plugins: PluginSet) -> Routes:
        """Return what new sessions are opened with."""
        if not config.routes:
            return Routes([self._route(config, None, components, components, plugins)])
        return Routes(
            [
                self._route(config, options, components, own, plugins)
                for options, own in zip(config.routes, components.routes, strict=True)
            ]
        )

    def _route(
        self,
        config: GatewayConfig,
        options: RouteOptions | None,
        shared: Components,
        own: Components,
        plugins: PluginSet,
    ) -> Route:
        gates, valves = own.gates, own.valves
        if options is not None:
            gates = shared.gates if options.gates is None else gates
            valves = shared.valves if options.valves is None else valves
        environment = self._environment(
            config,
            options,
            tuple(
                ConfiguredValve(each.registration.kind, plugins.of(each), each.on_error)
                for each in valves
            ),
            tuple(map(plugins.of, shared.listeners)),
            plugins,
        )
        return Route(options, tuple(map(plugins.of, gates)), environment)

    def _environment(
        self,
        config: GatewayConfig,
        route: RouteOptions | None,
        valves: tuple[ConfiguredValve, ...],
        listeners: tuple[SessionListener, ...],
        plugins: PluginSet,
    ) -> RelayEnvironment:
        failover, group, policy = config.failover, "", config.upstream.policy
        if route is not None:
            failover, group = route.failover_over(failover), route.group
            policy = route.policy or policy
        return RelayEnvironment(
            clock=asyncio.get_running_loop(),
            route=route.id if route is not None else "",
            failover=failover,
            limits=config.limits,
            drain=config.drain,
            reconnect_header=config.server.reconnect_header,
            dialler=Dialler(
                BackendGroup(self._pool, group, policy),
                self._gates_of(group, config.groups[group]),
                failover.retry_statuses,
                self._counters,
                self._logger,
            ),
            valves=valves,
            listeners=listeners,
            plugins=plugins,
            table=self._table,
            suspect_turns=self._suspect_turns,
            read_batch=self._read_batch,
            counters=self._counters,
            logger=self._logger,
        )

    def _gates_of(self, group: str, failover: FailoverOptions) -> DialGates:
        gates = self._dial_gates.get(group)
        if gates is None:
            gates = DialGates(*failover.dial_bounds)
            self._dial_gates[group] = gates
        return gates
