"""A gateway in a program: made of what a configuration file would hold."""

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
    """Relays clients to backends inside of a program.

        async with Gateway.from_mapping({"upstream": {...}}) as gateway:
            ...

    Made and used on one event loop. Several may live in one process.

    Args:
        loaded: see `from_mapping`.
        listens: see there.
        logger: see there.
        serves_operators: whether the admin API listens, as the configuration says.
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
            data: all that a configuration file would hold. The admin API listens only if
                `server.admin` is given, and is not false.
            plugins: modules or other objects with hooks, beside the installed plugins.
            environment: variables that lie over it, such as `os.environ`; None: none.
            listen: whether `server.frontend.address` is listened on. False: all clients come by
                `handler`.
            logger: for events; `wsgw` by default.

        Raises:
            ConfigurationError: with all problems, as `wsgw check` tells them.
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
        """Starts; see `start`."""
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
        """Stops; see `stop`."""
        try:
            await self.stop()
        finally:
            if self._admin is not None:
                await self._admin.stop()

    @property
    def admin_addresses(self) -> tuple[Address, ...]:
        """Where operators can connect; none: the admin API does not listen."""
        return self._admin.addresses if self._admin is not None else ()

    async def handler(self, request: web.Request) -> web.StreamResponse:
        """Serves the client of a request; a handler for the routes of an aiohttp application.

        The client's connection goes over to the gateway, which answers the handshake: the
        application neither sees its messages nor hears of its end. Requests that are no websocket
        handshakes are answered with 426, and all of them with 503 while the gateway does not run.
        """
        if self._frontend is None or not self.ready:
            return web.Response(status=503, text="the gateway is not running\n")
        return take_over(request, self._frontend)

    def collector(self) -> HostCollector:
        """Returns the metrics for a registry of prometheus_client, once the gateway is started.

        `registry.register(gateway.collector())` shows them beside those of the program. Those of
        the process itself are left out.

        Raises:
            RuntimeError: the gateway is not started.
        """
        if self._exposition is None:
            raise RuntimeError("the gateway is not started")
        return HostCollector(self.exposition, asyncio.get_running_loop())
