"""Listens for operators."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ..api import aside
from ..config.address import Address
from ..config.server_options import AdminOptions
from ..frontend.acceptor import Acceptor
from ..frontend.listener import bind
from ..frontend.server_tls import ServerTls
from ..gateway import Gateway
from .application import make_application
from .backends import BackendCalls
from .configuration import ConfigurationCalls, Reload
from .connections import Connections
from .frontends import FrontendCalls
from .guard import Guard, is_loopback
from .health import HealthCalls
from .metrics import MetricsCalls
from .openapi import OpenApiCalls
from .sessions import SessionCalls

_BACKLOG = 128
_SLACK = 256 * 1024  # bytes that may be read ahead
_LINGER = 1.0  # seconds in which what is left of a request is read


def _is_ours(record: logging.LogRecord) -> bool:
    """Tell whether a fault is ours.

    What is no HTTP may hold anything, and would be quoted; a caller may go before it is answered.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, (HttpProcessingError, ConnectionError))


class AdminServer:
    """The admin API of a gateway, on an address of its own.

    Args:
        gateway: started.
        options: where and how to listen.
        logger: for events.
        reload: has the gateway read its configuration anew; see ConfigurationCalls.
    """

    def __init__(
        self,
        gateway: Gateway,
        options: AdminOptions,
        logger: logging.Logger | None = None,
        reload: Reload | None = None,
    ) -> None:
        self._reload = reload
        self._gateway = gateway
        self._options = options
        self._logger = logger or logging.getLogger("wsgw.admin")
        self._http_logger = self._logger.getChild("http")
        self._http_logger.addFilter(_is_ours)
        self._connections = Connections(
            options.max_connections,
            options.read_timeout + options.answer_timeout,
            options.max_header_bytes + options.max_body_bytes + _SLACK,
            gateway.counters.admin_connections_dropped,
        )
        self._runner: web.AppRunner | None = None
        self._acceptor: Acceptor | None = None
        self._tls: ServerTls | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be listened on.
            ConfigurationError: TLS cannot work as configured.
        """
        options, gateway = self._options, self._gateway
        if options.tls is not None:
            make = partial(
                ServerTls,
                options.tls,
                gateway.metrics,
                gateway.counters,
                asyncio.get_running_loop(),
                self._logger,
                key="server.admin.tls",
            )
            self._tls = await aside(make)
            self._tls.start()
        try:
            self._runner = await self._make_runner()
            self._acceptor = Acceptor(
                bind(options.address),
                self._make_protocol(self._runner),
                lambda: self._connections.room,
                gateway.counters.admin_accept_pauses,
                self._logger,
            )
            self._acceptor.start(_BACKLOG)
        except BaseException:
            await self.stop()
            raise
        if not is_loopback(options.address.host):
            self._warn_of_strangers()

    async def stop(self) -> None:
        """Listen no more, and drop what is left."""
        if self._acceptor is not None:
            self._acceptor.stop()
            await self._acceptor.settle()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._tls is not None:
            self._tls.close()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where it listens, with the port that the system chose."""
        sockets = self._acceptor.sockets if self._acceptor is not None else ()
        return tuple(Address(*listening.getsockname()[:2]) for listening in sockets)

    async def _make_runner(self) -> web.AppRunner:
        options, steering = self._options, self._gateway.steering
        application = make_application(
            options,
            {
                "backends": BackendCalls(steering),
                "sessions": SessionCalls(steering),
                "frontends": FrontendCalls(steering),
                "configuration": ConfigurationCalls(self._reload),
                "health": HealthCalls(steering),
                "metrics": MetricsCalls(self._gateway.exposition),
                "openapi": OpenApiCalls(),
            },
            self._logger,
            lambda request: self._connections.answering(request.transport),
            self._gateway.counters.admin_calls_denied,
        )
        runner = web.AppRunner(
            application,
            access_log=None,
            logger=self._http_logger,
            shutdown_timeout=_LINGER,
            max_line_size=min(options.max_header_bytes, 16 * 1024),
            max_field_size=min(options.max_header_bytes, 16 * 1024),
            lingering_time=_LINGER,
        )
        await runner.setup()
        return runner

    def _make_protocol(self, runner: web.AppRunner) -> Callable[[], asyncio.BaseProtocol]:
        server = runner.server
        assert server is not None  # noqa: S101 - for the type checker

        def make() -> asyncio.Protocol:
            return self._connections.watched(server())

        return make if self._tls is None else self._tls.over(make)

    def _warn_of_strangers(self) -> None:
        options = self._options
        if options.allow_unauthenticated and not options.tokens:
            self._logger.warning(
                "whoever reaches %s can steer this gateway: allow-unauthenticated is set",
                options.address,
            )
        elif not options.tokens and not Guard(options).is_open:
            self._logger.warning(
                "%s can be reached from other machines and no server.admin.tokens are configured:"
                " only health and metrics are served",
                options.address,
            )
