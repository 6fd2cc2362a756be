"""Listens for operators."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ..api import Metrics, run_in_thread
from ..config.address import Address
from ..config.server_options import AdminOptions
from ..control.control import Control
from ..frontend.acceptor import Acceptor
from ..frontend.frontend_server import bind
from ..frontend.server_tls import ServerTls
from ..metrics.counters import GatewayCounters
from .actions import Actions
from .application import Respond, make_application
from .calls import CALLS
from .connections import AT_ONCE, Connections
from .queries import Queries

_BACKLOG = 128
_READ_AHEAD = 256 * 1024  # bytes
_LINGER = 1.0  # seconds for reading the rest of a request


def _is_ours(record: logging.LogRecord) -> bool:
    """Returns whether a log record is about an error of wsgw.

    Malformed requests, which the record would quote, and callers that left are not.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, (HttpProcessingError, web.RequestPayloadError, ConnectionError))


class AdminServer:
    """Serves the admin API of a gateway on its own address.

    Args:
        control: the control of the gateway.
        options: the options of the admin API.
        metrics, counters: the metrics of the gateway.
        logger: logs events.
    """

    def __init__(
        self,
        control: Control,
        options: AdminOptions,
        metrics: Metrics,
        counters: GatewayCounters,
        logger: logging.Logger | None = None,
    ) -> None:
        self._control = control
        self._options = options
        self._metrics = metrics
        self._counters = counters
        self._logger = logger or logging.getLogger("wsgw.admin")
        self._http_logger = self._logger.getChild("http")
        self._http_logger.addFilter(_is_ours)
        self._connections = Connections(
            options.max_connections,
            options.read_timeout + options.answer_timeout,
            options.max_header_bytes + options.max_body_bytes + _READ_AHEAD,
            counters.admin_connections_dropped,
        )
        self._runner: web.AppRunner | None = None
        self._acceptor: Acceptor | None = None
        self._tls: ServerTls | None = None

    async def start(self) -> None:
        """Starts to listen.

        Raises:
            OSError: the address cannot be listened on.
            ConfigurationError: the TLS options are not usable.
        """
        options = self._options
        if options.tls is not None:
            make = partial(
                ServerTls,
                options.tls,
                self._metrics,
                self._counters,
                asyncio.get_running_loop(),
                self._logger,
                key="server.admin.tls",
            )
            self._tls = await run_in_thread(make)
            self._tls.start()
        try:
            self._runner = await self._make_runner()
            self._acceptor = Acceptor(
                bind(options.address),
                self._make_protocol(self._runner),
                lambda: AT_ONCE,
                self._counters.admin_accept_pauses,
                self._logger,
            )
            self._acceptor.start(_BACKLOG)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stops listening and closes all connections."""
        if self._acceptor is not None:
            self._acceptor.stop()
            await self._acceptor.settle()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._tls is not None:
            self._tls.close()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses it listens on, with the port that the system chose."""
        return self._acceptor.addresses if self._acceptor is not None else ()

    async def _make_runner(self) -> web.AppRunner:
        options = self._options
        application = make_application(
            options,
            self._responders(),
            self._logger,
            lambda request: self._connections.answering(request.transport),
            self._counters.admin_calls_denied,
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

    def _responders(self) -> dict[str, Respond]:
        queries = Queries(self._control)
        actions = Actions(self._control, may_name_files=self._options.allow_file_paths)
        posts = [call for call in CALLS if call.method == "POST"]
        return {
            **{call.name: partial(actions.respond, call) for call in posts},
            "backends.list": queries.backends,
            "backends.config": queries.backend_config,
            "sessions.list": queries.sessions,
            "frontends.list": queries.frontends,
            "health.alive": queries.alive,
            "health.ready": queries.ready,
            "metrics.show": queries.metrics,
            "openapi.show": queries.openapi,
        }

    def _make_protocol(self, runner: web.AppRunner) -> Callable[[], asyncio.BaseProtocol]:
        server = runner.server
        assert server is not None  # noqa: S101 - for the type checker

        def make() -> asyncio.Protocol:
            return self._connections.watched(server())

        return make if self._tls is None else self._tls.over(make)
