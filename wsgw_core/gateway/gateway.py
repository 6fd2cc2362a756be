"""One gateway: its backends, its frontend, its sessions. A process can run several."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

from ..api import CloseCause, ConfigurationError, Metrics, ReadBatch, Turns
from ..config.address import Address, id_from_address
from ..config.gateway_config import GatewayConfig
from ..control.event_stream import EventStream
from ..control.outcome import ReloadReport
from ..frontend.admission import Admission
from ..frontend.frontend_server import FrontendServer
from ..frontend.handshake import HandshakeSettings
from ..metrics.counters import GatewayCounters
from ..metrics.families import FAMILIES
from ..metrics.loop_delay import LoopDelay
from ..plugins.open_plugins import PluginSet
from ..plugins.plugin_specs import PluginSpecs
from ..pool.backends.backend_pool import BackendPool
from ..relay.all_sessions.close_all import close_all_sessions
from ..relay.all_sessions.memory_watch import MemoryWatch, long_reads_within
from ..relay.all_sessions.session_table import SessionTable
from ..relay.session.session_opener import SessionOpener
from ..websocket.session_ends import GATEWAY_STOPPED
from .changes import fixed_changes
from .exposition import Exposition
from .frontend_settings import handshake_settings, make_admission, make_client_timeouts
from .generation import Generation, Generations
from .session_settings import SessionSettings
from .upstream import Upstream


class Gateway:
    """Relays clients to backends from `start` to `stop`.

    Make and use it on one event loop.

    Args:
        config: the checked configuration.
        specs: the resolved entries of the configuration; see `resolve_specs`.
        logger: logs events; never one for each message.
        listens: whether it listens; otherwise clients only come from an application.

    Attributes:
        metrics, counters: its metrics.
        events: the events of sessions and backends.
        pool: the available backends.
        sessions: all sessions.
        upstream: opens, replaces and removes backends.
    """

    def __init__(
        self,
        config: GatewayConfig,
        specs: PluginSpecs,
        logger: logging.Logger | None = None,
        *,
        listens: bool = True,
    ) -> None:
        self._listens = listens
        self._first = config, specs
        self._logger = logger or logging.getLogger("wsgw")
        self.metrics = Metrics([family.name.removeprefix("wsgw_") for family in FAMILIES])
        self.counters = GatewayCounters(self.metrics)
        self.events = EventStream(self._logger)
        self.sessions = SessionTable(self.events)
        self.pool = BackendPool(events=self.events)
        memory_bound = config.limits.memory_bound
        self._read_batch = ReadBatch(long_reads_within(memory_bound))
        self._handshake_turns = Turns()
        self._settings = SessionSettings(
            self.pool, self.sessions, self._read_batch, self.counters, self._logger
        )
        self._generations = Generations(
            self._settings,
            self._uses,
            config.limits.close_timeout,
            self.metrics,
            self.counters,
            self._logger,
        )
        self.upstream = Upstream(
            config,
            self._generations,
            self.pool,
            self.sessions,
            read_batch=self._read_batch,
            metrics=self.metrics,
            counters=self.counters,
            logger=self._logger,
        )
        self._memory = MemoryWatch(
            self.sessions,
            memory_bound,
            config.limits.max_message_size,
            lambda: self._admission.opening_bytes if self._admission is not None else 0,
            self.sessions.closing,
            self.counters,
        )
        self._admission: Admission | None = None
        self._opener: SessionOpener | None = None
        self._frontend: FrontendServer | None = None
        self._exposition: Exposition | None = None
        self._resources = AsyncExitStack()
        self._running = False

    async def start(self, before_clients: Callable[[], Awaitable[None]] | None = None) -> None:
        """Opens the backends and starts to listen.

        Args:
            before_clients: called when all is open, before the first client is accepted; if it
                fails, no client is accepted.

        Raises:
            OSError: the address cannot be listened on.
            ConfigurationError: a backend or the TLS options are not usable.
            RuntimeError: it is already started; it keeps running.
        """
        if self._running:
            raise RuntimeError("the gateway is started already")
        self._running = True
        try:
            self._resources.push_async_callback(self._generations.close)
            self._generations.take(await self._generations.prepare(*self._first))
            self._resources.push_async_callback(self.upstream.close)
            await self.upstream.start()
            frontend = self._open_frontend(self._generations.current)
            self._begin_watch()
            if before_clients is not None:
                await before_clients()
            frontend.accept()
        except BaseException:
            self._running = False
            await self._resources.aclose()
            raise

    async def reload(self, config: GatewayConfig, specs: PluginSpecs) -> ReloadReport:
        """Replaces the configuration without closing a client.

        New sessions use the new configuration. Open sessions keep their settings; sessions of a
        removed backend move to others; see `drain`. Wait for it to return before the next call.

        Returns:
            The changes.

        Raises:
            ConfigurationError: the configuration is not usable, or the gateway is stopping; nothing
                was changed.
        """
        # What can fail comes first, and affects neither clients nor sessions.
        generation = await self._generations.prepare(config, specs)
        try:
            changes = await self.upstream.prepare(generation)
        except BaseException:
            self._generations.discard(generation)
            raise
        if not self.opener.accepting:
            changes.discard()
            self._generations.discard(generation)
            raise ConfigurationError("the gateway is stopping")
        # The rest cannot fail, and happens in one turn of the event loop.
        assert self._frontend is not None  # noqa: S101 - for the type checker
        old, before = self._generations.current, self.pool.backends
        self._generations.take(generation)
        self.upstream.carry_out(changes)
        self.opener.serve_by(generation.routes)
        self._frontend.serve_by(self._handshake_settings(generation), generation.tls)
        return ReloadReport.of(
            {each.id: each for each in before},
            {each.id: each for each in self.pool.backends},
            self.upstream.deleted(),
            fixed_changes(old.config, generation.config),
        )

    async def stop(self) -> None:
        """Closes all clients with 1012, spread over `server.drain-time`, and waits for them.

        Meanwhile new clients get 503. Before it closes a client, it waits up to
        `limits.close-timeout` for pending replies; after that, as long for delivery of the client's
        messages and for its close. It logs the number of undelivered messages.
        """
        before = self.counters.undelivered.value
        try:
            await self.upstream.stop_moves()
            if self._frontend is not None and self._opener is not None:
                self._opener.accepting = False
                await self._close_clients(self._frontend)
            if (lost := self.counters.undelivered.value - before) > 0:
                self._logger.warning("stopped with %d client messages undelivered", lost)
        finally:
            self._running = False
            await self._resources.aclose()

    async def _close_clients(self, frontend: FrontendServer) -> None:
        reason = "gateway is stopping"
        config = self._generations.current.config
        over, timeout = config.server.drain_time, config.limits.close_timeout
        owed = await close_all_sessions(
            self.sessions, GATEWAY_STOPPED.client, reason, over=over, answer_timeout=timeout
        )
        if owed:
            self._logger.warning("closed %d clients whose answers are still pending", owed)
        await frontend.close(timeout)
        await self.sessions.until_empty(timeout)
        for session in self.sessions:
            session.close(GATEWAY_STOPPED.client, reason, cause=CloseCause.GATEWAY_STOPS)

    @property
    def ready(self) -> bool:
        """Whether it is started and not stopping."""
        return self._running and self._opener is not None and self._opener.accepting

    @property
    def waiting_dials(self) -> int:
        """Dials that wait for other dials to the same backend."""
        return self._settings.waiting_dials

    def drain(self, backend_id: str) -> bool:
        """Gives a backend no new sessions, and moves its sessions to others one by one.

        Enabling the backend stops the drain.

        Returns:
            False if the backend is already draining.

        Raises:
            KeyError: there is no such backend.
        """
        return self.upstream.drain(backend_id)

    @property
    def generation(self) -> Generation:
        """The generation in effect; available after `start`."""
        return self._generations.current

    @property
    def opener(self) -> SessionOpener:
        """Opens sessions for the frontend; available after `start`."""
        assert self._opener is not None, "not started"  # noqa: S101 - the caller's fault
        return self._opener

    @property
    def exposition(self) -> Exposition:
        """The metrics in Prometheus' format; available after `start`."""
        assert self._exposition is not None, "not started"  # noqa: S101 - the caller's fault
        return self._exposition

    @property
    def frontends(self) -> Mapping[str, SessionOpener]:
        """The frontends by id."""
        frontend = self._first[0].server.frontend
        port = self.addresses[0].port if self.addresses else frontend.address.port
        by_address = id_from_address(str(frontend.address._replace(port=port)))
        return {frontend.id or by_address: self.opener}

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses for clients."""
        return self._frontend.addresses if self._frontend is not None else ()

    def _open_frontend(self, generation: Generation) -> FrontendServer:
        """Binds the address of the frontend; does not accept clients yet."""
        config, loop = generation.config, asyncio.get_running_loop()
        self._opener = SessionOpener(generation.routes, self.counters, self._logger)
        self._admission = make_admission(
            config, self.counters, loop, self._logger, lambda: self._memory.is_full
        )
        self._frontend = FrontendServer(
            config.server.frontend.address if self._listens else None,
            self._handshake_settings(generation),
            tls=generation.tls,
            timeouts=make_client_timeouts(config, self.counters, loop),
        )
        self._frontend.bind()
        self._resources.callback(self._frontend.stop_accepting)
        return self._frontend

    def _begin_watch(self) -> None:
        """Starts health checks, the measurement of the event loop, and the metrics."""
        loop = asyncio.get_running_loop()
        self.upstream.watch()
        delay = LoopDelay(loop, self.counters.loop_delays)
        delay.start()
        self._resources.callback(delay.stop)
        self._memory.start(loop)
        self._resources.callback(self._memory.stop)
        self._exposition = Exposition(self, self._memory, self._logger)

    def _uses(self, plugins: PluginSet) -> bool:
        opening = self._opener is not None and self._opener.is_opening(plugins)
        return opening or any(session.plugins is plugins for session in self.sessions)

    def _handshake_settings(self, generation: Generation) -> HandshakeSettings:
        assert self._admission is not None  # noqa: S101 - for the type checker
        settings = handshake_settings(
            generation.config,
            self.opener,
            self._admission,
            self._read_batch,
            self._handshake_turns,
            self.counters,
            self._logger,
        )
        self._admission.trust(settings.proxies)
        return settings
