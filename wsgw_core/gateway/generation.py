"""What belongs to one configuration, and is replaced as a whole by a reload."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..api import Metrics, PluginContext, run_in_thread
from ..config.gateway_config import GatewayConfig
from ..frontend.server_tls import ServerTls
from ..metrics.counters import GatewayCounters
from ..plugins.open_plugins import OpenPlugins, PluginSet, plugin_entries
from ..plugins.plugin_specs import PluginSpecs
from ..relay.all_sessions.routes import Routes
from .session_settings import SessionSettings


@dataclass(frozen=True, slots=True)
class Generation:
    """What belongs to one configuration.

    Attributes:
        number: of the configurations that were in effect since the start, from 1.
        config: the checked configuration.
        specs: what its entries stand for.
        plugins: the objects of valves, listeners, gates and policies.
        routes: what new sessions are opened with.
        tls: of the clients' connections; None: there is none.
    """

    number: int
    config: GatewayConfig
    specs: PluginSpecs
    plugins: PluginSet
    routes: Routes
    tls: ServerTls | None


class Generations:
    """Prepares generations, and holds the one in effect.

    Args:
        settings: make the routes.
        in_use: tells whether sessions still use the plugins' objects of a generation.
        close_timeout: seconds that a plugin's close may take until the first one is in effect.
        metrics, counters, logger: of the gateway.
    """

    def __init__(
        self,
        settings: SessionSettings,
        in_use: Callable[[PluginSet], bool],
        close_timeout: float,
        metrics: Metrics,
        counters: GatewayCounters,
        logger: logging.Logger,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._counters = counters
        self._logger = logger
        self._plugins = OpenPlugins(self._plugin_context, in_use, close_timeout, logger)
        self._current: Generation | None = None

    @property
    def current(self) -> Generation:
        """The one in effect; there is one from the gateway's start on."""
        assert self._current is not None, "not started"  # noqa: S101 - the caller's fault
        return self._current

    async def prepare(self, config: GatewayConfig, specs: PluginSpecs) -> Generation:
        """Makes one, to be taken or discarded; clients hear nothing of it yet.

        Raises:
            ConfigurationError: something cannot work as configured; nothing is left of it.
        """
        before, tls = self._current, None
        # Its files may have changed where its options have not. Whether there is TLS stays.
        if before is None or before.tls is not None:
            tls = await self._server_tls(config)
        if before is not None:
            tls = tls or before.tls
        plugins = await self._plugins.prepare(plugin_entries(config, specs))
        try:
            routes = self._settings.routes(config, specs, plugins)
        except BaseException:
            self._plugins.discard(plugins)
            raise
        number = before.number + 1 if before is not None else 1
        return Generation(number, config, specs, plugins, routes, tls)

    def discard(self, prepared: Generation) -> None:
        """Closes what was opened for a generation that is not taken after all."""
        self._plugins.discard(prepared.plugins)

    def take(self, prepared: Generation) -> None:
        """Puts a generation into effect; what only the one before has is closed in time."""
        before = self._current
        self._current = prepared
        self._plugins.close_timeout = prepared.config.limits.close_timeout
        self._plugins.use(prepared.plugins)
        self._settings.apply(prepared.config)
        tls = before.tls if before is not None else None
        if tls is not prepared.tls:
            if tls is not None:
                tls.close()
            if prepared.tls is not None:
                prepared.tls.start()

    async def close(self) -> None:
        """Closes all that there is."""
        if self._current is not None and self._current.tls is not None:
            self._current.tls.close()
        await self._plugins.close()

    def _plugin_context(self, kind: str) -> PluginContext:
        return PluginContext(
            asyncio.get_running_loop(), self._logger.getChild(kind), self._metrics.of(kind)
        )

    async def _server_tls(self, config: GatewayConfig) -> ServerTls | None:
        options = config.server.frontend.tls
        if options is None:
            return None
        loop = asyncio.get_running_loop()
        make = partial(ServerTls, options, self._metrics, self._counters, loop, self._logger)
        return await run_in_thread(make)
