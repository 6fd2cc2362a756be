"""A gateway in this process, as code that embeds one starts it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from wsgw_core.components import resolve_components
from wsgw_core.config.gateway_config import GatewayConfig
from wsgw_core.gateway import Gateway
from wsgw_core.plugin_loader import Plugins, load_plugins
from wsgw_core.reload_report import ReloadReport


class RunningGateway:
    """A started gateway and where it is.

    Args:
        gateway: started.
        host: where its clients connect to.
        plugins: see `make_gateway`.
    """

    def __init__(self, gateway: Gateway, host: str, plugins: Iterable[object] = ()) -> None:
        self.gateway = gateway
        self._plugins = tuple(plugins)
        self.host = host
        self.port = gateway.addresses[0].port

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ws://{host}:{self.port}"

    async def reload(self, data: dict[str, Any]) -> ReloadReport:
        """Go on with another configuration, as a file holds it; see Gateway.reload."""
        config = _config(data)
        components = resolve_components(config, _loaded(self._plugins))
        return await self.gateway.reload(config, components)

    def count(self, name: str) -> int:
        """Return the value of a counter; of all its labels together; 0: there is none."""
        return sum(each.total for each in self.gateway.metrics if each.name == name)


def make_gateway(data: dict[str, Any], plugins: Iterable[object] = ()) -> Gateway:
    """Make a gateway of a configuration as a file holds it.

    It closes its clients at once when it stops, unless the configuration says how long it takes.

    Args:
        data: all sections.
        plugins: modules or other objects with hooks, beside the installed plugin for websockets.
    """
    config = _config(data)
    components = resolve_components(config, _loaded(plugins))
    return Gateway(config, components, logging.getLogger("wsgw"))


def _loaded(plugins: Iterable[object]) -> Plugins:
    known = load_plugins(["ws"])
    for number, plugin in enumerate(plugins):
        known.register(plugin, f"plugin {number} of the test")
    return known


def _config(data: dict[str, Any]) -> GatewayConfig:
    server = {"drain-time": 0, **data.get("server", {})}
    return GatewayConfig.model_validate({**data, "server": server})


@asynccontextmanager
async def running_gateway(
    data: dict[str, Any], plugins: Iterable[object] = (), host: str = "127.0.0.1"
) -> AsyncIterator[RunningGateway]:
    """Run one until the end of the block; it must not leave a session behind."""
    gateway = make_gateway(data, plugins)
    await gateway.start()
    try:
        yield RunningGateway(gateway, host, plugins)
    finally:
        await gateway.stop()
    assert not len(gateway.sessions)
