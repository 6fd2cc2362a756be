"""Runs a gateway in the test's process."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any

from wsgw_core.admin.server import AdminServer
from wsgw_core.api import PluginError
from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.config.server_options import AdminOptions
from wsgw_core.control.outcome import ReloadReport
from wsgw_core.gateway.gateway import Gateway
from wsgw_core.gateway.local_control import LocalControl
from wsgw_core.plugins.loader import (
    ImportedPlugin,
    Plugins,
    RequiredPlugin,
    import_plugin,
)
from wsgw_core.plugins.plugin_specs import required_plugins, resolve_specs

__all__ = ["RunningGateway", "running_gateway"]


class RunningGateway:
    """A started gateway and its address.

    Args:
        gateway: the started gateway.
        host: the host to which its clients connect.
        plugins: its plugins besides the installed ones.
    """

    def __init__(self, gateway: Gateway, host: str, plugins: Iterable[object] = ()) -> None:
        self.gateway = gateway
        self.host = host
        self.port = gateway.addresses[0].port
        self._plugins = tuple(plugins)

    @property
    def url(self) -> str:
        """The URL for clients, without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ws://{host}:{self.port}"

    async def reload(self, data: Mapping[str, Any]) -> ReloadReport:
        """Reloads the gateway with a configuration given as in a file; see Gateway.reload."""
        config = _config(data)
        specs = resolve_specs(config, _loaded(config, self._plugins))
        return await self.gateway.reload(config, specs)

    @asynccontextmanager
    async def admin_api(self) -> AsyncIterator[str]:
        """Serves the admin API within the `with` block; yields its URL, without a path."""
        gateway, options = self.gateway, AdminOptions.model_validate({"address": "127.0.0.1:0"})
        server = AdminServer(LocalControl(gateway), options, gateway.metrics, gateway.counters)
        await server.start()
        try:
            yield f"http://127.0.0.1:{server.addresses[0].port}"
        finally:
            await server.stop()

    def count(self, name: str) -> int:
        """Returns the value of a counter over all labels; 0 if there is no such counter.

        Args:
            name: the counter's name without `wsgw_` and `_total`.
        """
        return sum(each.total for each in self.gateway.metrics if each.name == name)


@asynccontextmanager
async def running_gateway(
    data: Mapping[str, Any], plugins: Iterable[object] = (), host: str = "127.0.0.1"
) -> AsyncIterator[RunningGateway]:
    """Runs a gateway within the `with` block.

    By default it listens on a free port of this machine, and closes its clients at once when it
    stops.

    Args:
        data: all sections, as a file holds them.
        plugins: modules or other objects with hooks; installed plugins are found without, and may
            be given too.
        host: where clients connect to.

    Raises:
        ConfigurationError: the configuration cannot be used.
        AssertionError: a session is left at the end.
    """
    plugins, config = tuple(plugins), _config(data)
    specs = resolve_specs(config, _loaded(config, plugins))
    gateway = Gateway(config, specs, logging.getLogger("wsgw"))
    await gateway.start()
    try:
        yield RunningGateway(gateway, host, plugins)
    finally:
        await gateway.stop()
    assert not len(gateway.sessions), "sessions are left"


def _config(data: Mapping[str, Any]) -> GatewayConfig:
    server = {"drain-time": 0, **data.get("server", {})}
    server["frontend"] = {"address": "127.0.0.1:0", **server.get("frontend", {})}
    return GatewayConfig.model_validate({**data, "server": server})


def _loaded(config: GatewayConfig, plugins: Iterable[object]) -> Plugins:
    known = Plugins()
    for number, plugin in enumerate(plugins):
        if plugin not in known:
            known.register(plugin, f"plugin {number} of the test")
    for required in required_plugins(config):
        if not known.roles_of(required.name):
            with suppress(PluginError):  # resolve_specs says what is missing, and where
                found = _installed(required.name, tuple(sys.path))
                known.register(found.plugin, found.source)
    return known


@cache  # finding one reads a file of each installed distribution
def _installed(name: str, _path: tuple[str, ...]) -> ImportedPlugin:
    return import_plugin(RequiredPlugin(name))
