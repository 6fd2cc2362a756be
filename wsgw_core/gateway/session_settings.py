"""Makes routes and session contexts from a configuration."""

from __future__ import annotations

import asyncio
import logging
from weakref import WeakValueDictionary

from ..api import Policy, ReadBatch
from ..config.gateway_config import GatewayConfig
from ..config.route_options import RouteOptions
from ..metrics.counters import GatewayCounters
from ..plugins.open_plugins import PluginSet
from ..plugins.plugin_specs import PluginSpec, PluginSpecs
from ..pool.backends.backend_pool import BackendPool
from ..pool.dialling.dial_limiter import DialLimiters
from ..pool.dialling.dialler import Dialler
from ..pool.policy.backend_group import BackendGroup
from ..pool.policy.checked_policy import CheckedPolicy
from ..relay.all_sessions.routes import Route, Routes
from ..relay.all_sessions.session_context import ConfiguredValve, SessionContext
from ..relay.all_sessions.session_reporter import SessionReporter
from ..relay.all_sessions.session_table import SessionTable
from ..relay.delivery.poison import PoisonLock


class SessionSettings:
    """Makes the routes of each configuration from what all configurations share.

    Args:
        pool: the backends.
        table: all sessions.
        read_batch, counters, logger: of the gateway.
    """

    def __init__(
        self,
        pool: BackendPool,
        table: SessionTable,
        read_batch: ReadBatch,
        counters: GatewayCounters,
        logger: logging.Logger,
    ) -> None:
        self._pool = pool
        # By group; the limiters of a removed group last as long as its sessions.
        self._dial_limiters: WeakValueDictionary[str, DialLimiters] = WeakValueDictionary()
        self._poison_lock = PoisonLock()
        self._table = table
        self._read_batch = read_batch
        self._counters = counters
        self._logger = logger

    @property
    def waiting_dials(self) -> int:
        """Dials that wait for other dials to the same backend."""
        return sum(limiters.waiting for limiters in self._dial_limiters.values())

    def apply(self, config: GatewayConfig) -> None:
        """Applies the dial limits of a new configuration to all sessions."""
        for group, failover in config.groups.items():
            limiters = self._dial_limiters.get(group)
            if limiters is not None:
                limiters.change(*failover.dial_bounds)

    def routes(self, config: GatewayConfig, specs: PluginSpecs, plugins: PluginSet) -> Routes:
        """Returns the routes for new sessions."""
        if not config.routes:
            return Routes([self._route(config, None, specs, specs, plugins)])
        return Routes(
            [
                self._route(config, options, specs, own, plugins)
                for options, own in zip(config.routes, specs.routes, strict=True)
            ]
        )

    def _route(
        self,
        config: GatewayConfig,
        options: RouteOptions | None,
        shared: PluginSpecs,
        own: PluginSpecs,
        plugins: PluginSet,
    ) -> Route:
        gates, valves = own.gates, own.valves
        failover, group = config.failover, ""
        if options is not None:
            gates = shared.gates if options.gates is None else gates
            valves = shared.valves if options.valves is None else valves
            failover, group = options.failover_over(failover), options.group
        policy = self._policy(own.policies or shared.policies, plugins)
        limiters = DialLimiters(*config.groups[group].dial_bounds)
        context = SessionContext(
            clock=asyncio.get_running_loop(),
            route=options.id if options is not None else "",
            failover=failover,
            limits=config.limits,
            drain=config.drain,
            reconnect_header=config.server.reconnect_header,
            dialler=Dialler(
                BackendGroup(self._pool, group, policy),
                self._dial_limiters.setdefault(group, limiters),
                failover.retry_statuses,
                self._counters,
                self._logger,
                failover.scout_interval,
            ),
            valves=tuple(
                ConfiguredValve(each.registration.kind, plugins.of(each), each.on_error)
                for each in valves
            ),
            plugins=plugins,
            table=self._table,
            poison_lock=self._poison_lock,
            read_batch=self._read_batch,
            counters=self._counters,
            logger=self._logger,
            reporter=SessionReporter(
                map(plugins.of, shared.listeners), self._table.events, self._counters, self._logger
            ),
        )
        return Route(options, tuple(map(plugins.of, gates)), context)

    def _policy(self, specs: tuple[PluginSpec, ...], plugins: PluginSet) -> Policy | None:
        """Returns the policy of a group; None without specs."""
        for spec in specs:
            return CheckedPolicy(
                plugins.of(spec),
                spec.registration.kind,
                self._counters.policy_faults,
                self._logger,
            )
        return None
