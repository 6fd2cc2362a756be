"""A gateway inside a program, configured by a mapping instead of a file."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from .admin.server import AdminServer
from .frontend.handed_over import take_over
from .gateway import gateway
from .gateway.host_collector import HostCollector
from .gateway.local_control import LocalControl
from .loading.configuration import Configuration, load_mapping
from .loading.references import option_warnings

if TYPE_CHECKING:
    from .config.address import Address


class Gateway(gateway.Gateway):
    """Relays clients to backends inside a program.

        async with Gateway.from_mapping({"upstream": {...}}) as gateway:
            ...

    Make and use it on one event loop. A process can run several.

    Args:
        loaded: the loaded configuration; see `from_mapping`.
        listens: see there.
        logger: see there.
        serves_operators: whether to start the admin API, if the configuration enables it.
    """

    def __init__(
        self,
        loaded: Configuration,
        *,
        listens: bool = True,
        logger: logging.Logger | None = None,
        serves_operators: bool = False,
    ) -> None:
        super().__init__(loaded.config, loaded.specs, logger, listens=listens)
        options = loaded.config.server.admin
        self._admin: AdminServer | None = None
        if serves_operators and options.enabled:
            control = LocalControl(self)
            self._admin = AdminServer(control, options, self.metrics, self.counters, logger)
        self._warnings = option_warnings(loaded.config, loaded.specs, loaded.origins)

    @classmethod
    def from_mapping(
        cls,
        data: Mapping[str, Any],
        plugins: Iterable[object] = (),
        *,
        environment: Mapping[str, str] | None = None,
        listen: bool = True,
        logger: logging.Logger | None = None,
    ) -> Self:
        """Returns a gateway that is not started yet.

        Args:
            data: the content of a configuration file. The admin API listens only if `server.admin`
                is given and not false.
            plugins: modules or other objects with hooks, in addition to the installed plugins.
            environment: variables that override `data`, such as `os.environ`; None: no variables.
            listen: whether to listen on `server.frontend.address`. False: all clients come through
                `handler`.
            logger: logs events; by default `wsgw`.

        Raises:
            ConfigurationError: with all problems, as `wsgw check` reports them.
        """
        loaded = load_mapping(data, environment or {}, plugins)
        server = data.get("server")
        return cls(
            loaded,
            listens=listen,
            logger=logger,
            serves_operators=isinstance(server, Mapping) and "admin" in server,
        )

    async def __aenter__(self) -> Self:
        """Starts the gateway; see `start`."""
        for warning in self._warnings:
            self._logger.warning("%s", warning)
        await self.start(self._admin.start if self._admin is not None else None)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stops the gateway; see `stop`."""
        try:
            await self.stop()
        finally:
            if self._admin is not None:
                await self._admin.stop()

    @property
    def admin_addresses(self) -> tuple[Address, ...]:
        """The addresses of the admin API; empty if it does not listen."""
        return self._admin.addresses if self._admin is not None else ()

    async def handler(self, request: web.Request) -> web.StreamResponse:
        """Serves the client of a request; a handler for the routes of an aiohttp application.

        The gateway takes over the client's connection and answers the handshake. The application
        sees neither the messages nor the end of the connection. The handler answers 426 to requests
        that are not websocket handshakes, and 503 to all requests while the gateway is not running.
        """
        if self._frontend is None or not self.ready:
            return web.Response(status=503, text="the gateway is not running\n")
        return take_over(request, self._frontend)

    def collector(self) -> HostCollector:
        """Returns a collector for a registry of prometheus_client.

        `registry.register(gateway.collector())` adds the gateway's metrics to those of the program,
        without the metrics of the process.

        Raises:
            RuntimeError: the gateway is not started.
        """
        if self._exposition is None:
            raise RuntimeError("the gateway is not started")
        return HostCollector(self.exposition, asyncio.get_running_loop())
