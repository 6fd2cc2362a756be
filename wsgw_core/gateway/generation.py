"""All that belongs to one configuration; a reload replaces it as a whole."""

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
    """All that belongs to one configuration.

    Attributes:
        number: counts the configurations since the start, from 1.
        config: the checked configuration.
        specs: the resolved entries of the configuration.
        plugins: the objects of valves, listeners, gates and policies.
        routes: the routes for new sessions.
        tls: TLS for clients; None: no TLS.
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
        settings: makes the routes.
        in_use: returns whether sessions still use the plugin objects of a generation.
        close_timeout: maximum seconds of a plugin's close before the first generation is in effect.
        metrics, counters, logger: those of the gateway.
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
        """The generation in effect; available after the start."""
        assert self._current is not None, "not started"  # noqa: S101 - the caller's fault
        return self._current

    async def prepare(self, config: GatewayConfig, specs: PluginSpecs) -> Generation:
        """Makes a generation; pass it to `take` or `discard`.

        Raises:
            ConfigurationError: the configuration is not usable; nothing stays open.
        """
        before, tls = self._current, None
        # The files may have changed even if the options have not. A reload cannot switch TLS.
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
        """Closes the objects opened for a generation that will not be used."""
        self._plugins.discard(prepared.plugins)

    def take(self, prepared: Generation) -> None:
        """Puts a generation into effect; objects that only the old one has are closed later."""
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
        """Closes everything."""
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
