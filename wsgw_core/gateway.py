"""One gateway: its backends, its listener, its sessions. Several can live in one process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from typing import Any

from .api import CloseCause, ConfigurationError, Metrics, ReadBatch, Turns, aside
from .components import BackendComponent, Components
from .config.added_backend import resolve_backend
from .config.address import Address, id_from_address
from .config.changes import backend_changes, fixed_changes, same_backend
from .config.gateway_config import GatewayConfig
from .frontend.admission import Admission
from .frontend.client_sweep import ClientSweep
from .frontend.handshake import HandshakeSettings
from .frontend.listener import Listener
from .frontend.server_tls import ServerTls
from .frontend_settings import handshake_settings, make_admission
from .metrics.counters import GatewayCounters
from .metrics.exposition import Exposition
from .metrics.families import FAMILIES
from .metrics.loop_delay import LoopDelay
from .open_plugins import OpenPlugins, PluginSet, plugin_entries
from .pool.backend_exchange import BackendExchange
from .pool.backend_pool import BackendPool
from .pool.deletions import Deletions
from .pool.discovery import Discoveries, Discovery
from .pool.health import HealthChecks
from .pool.open_backends import OpenBackends
from .pool.system_resolver import SystemResolver
from .relay.dismissal import dismiss_all
from .relay.drain import Drains
from .relay.memory_watch import MemoryWatch
from .relay.session_opener import SessionOpener
from .relay.session_table import SessionTable
from .reload_report import ReloadReport
from .session_settings import SessionSettings
from .steering import SteeredFrontend, Steering
from .websocket.close_codes import SERVICE_RESTART


class Gateway:
    """Relays clients to backends from `start` to `stop`.

    To be made and used on one event loop.

    Args:
        config: the checked configuration.
        components: what its entries stand for; see `resolve_components`.
        logger: for events; none of them is per message.
    """

    def __init__(
        self, config: GatewayConfig, components: Components, logger: logging.Logger | None = None
    ) -> None:
        self._config = config
        self._components = components
        self._logger = logger or logging.getLogger("wsgw")
        self.metrics = Metrics([family.name.removeprefix("wsgw_") for family in FAMILIES])
        self.counters = GatewayCounters(self.metrics)
        self.sessions = SessionTable()
        self._pool = BackendPool()
        self._resolver = SystemResolver(
            self.counters,
            self._logger,
            timeout=config.upstream.resolve_timeout,
            hold=config.upstream.resolve_hold,
        )
        self._read_batch = ReadBatch()
        self._handshake_turns = Turns()
        self._settings = SessionSettings(
            self._pool,
            self.sessions,
            self._resolver,
            self._read_batch,
            self.metrics,
            self.counters,
            self._logger,
        )
        self._backends = OpenBackends(
            self._pool,
            lambda component: self._settings.backend_context(component, self._config),
            lambda group: any(session.group == group for session in self.sessions),
            self._logger,
        )
        self._plugins = OpenPlugins(
            self._settings.plugin_context,
            self._uses,
            lambda: self._config.limits.close_timeout,
            self._logger,
        )
        self._discoveries = Discoveries(config.upstream.resolve_interval, self._logger)
        self._deletions = Deletions()
        self._admission: Admission | None = None
        self._memory = MemoryWatch(
            self.sessions,
            config.limits.memory_bound,
            config.limits.max_message_size,
            lambda: self._admission.opening_bytes if self._admission is not None else 0,
            self.sessions.closing,
            self.counters,
        )
        self._tls: ServerTls | None = None
        self._drains = Drains(
            self._pool,
            self.sessions,
            lambda: self._config.drain.rate,
            self._backends.earlier,
            self._logger,
        )
        self._opener: SessionOpener | None = None
        self._listener: Listener | None = None
        self._steering: Steering | None = None
        self._exposition: Exposition | None = None
        self._resources = AsyncExitStack()

    async def start(self, before_clients: Callable[[], Awaitable[None]] | None = None) -> None:
        """Open the backends and listen.

        Args:
            before_clients: called when everything is there, the address included, but no client
                was accepted; if it fails, none is.

        Raises:
            OSError: the address cannot be listened on.
            ConfigurationError: a backend, or the clients' TLS, cannot work as configured.
        """
        config, clock = self._config, asyncio.get_running_loop()
        try:
            self._resources.push_async_callback(self._resolver.close)
            self._resources.push_async_callback(self._plugins.close)
            self._resources.push_async_callback(self._backends.close)
            self._resources.push_async_callback(self._discoveries.close)
            backends = self._components.all_backends
            for component in backends:
                if not component.entry.discovered:
                    await self._backends.add(component)
            named = [each for each in backends if each.entry.discovered]
            await self._discoveries.start([self._discovery(each) for each in named])
            self._deletions.follow(backends)
            plugins = await self._plugins.prepare(plugin_entries(config, self._components))
            self._plugins.use(plugins)
            routes = self._settings.routes(config, self._components, plugins)
            opener = SessionOpener(routes, self.counters, self._logger)
            self._opener = opener
            self._admission = make_admission(
                config, self.counters, clock, self._logger, lambda: self._memory.is_full
            )
            self._tls = await self._server_tls(config)
            self._resources.callback(self._close_tls)
            self._listener = Listener(
                config.server.frontend.address,
                self._handshake_settings(config, opener, self._admission),
                tls=self._tls,
                sweep=ClientSweep(
                    clock,
                    self.counters,
                    idle_timeout=config.limits.client_idle_timeout,
                    max_life=config.limits.max_session_life,
                    slow_timeout=config.limits.slow_client_timeout or None,
                    ping_time=config.server.frontend.ping_time or None,
                    ping_timeout=config.server.frontend.ping_timeout,
                ),
            )
            self._listener.bind()
            self._resources.callback(self._listener.stop_accepting)
            if self._tls is not None:
                self._tls.start()
            self._begin_watch(opener)
            if before_clients is not None:
                await before_clients()
            self._listener.accept()
        except BaseException:
            await self._resources.aclose()
            raise

    async def reload(self, config: GatewayConfig, components: Components) -> ReloadReport:
        """Go on with another configuration, without closing a client.

        New sessions get all of it. Those that are open stay as they are, but the ones of a backend
        that is no longer configured move to others; see `drain`. Not to be called again before it
        has returned.

        Returns:
            What it has changed.

        Raises:
            ConfigurationError: something cannot work as configured, or the gateway stops; nothing
                was changed.
        """
        listener, admission, opener = self._listener, self._admission, self._opener
        if listener is None or admission is None or opener is None:
            raise RuntimeError("the gateway is not started")
        tls = self._tls
        if tls is not None:  # its files may have changed where its options have not
            tls = await self._server_tls(config) or tls
        plugins = await self._plugins.prepare(plugin_entries(config, components))
        with ExitStack() as undo:
            undo.callback(self._plugins.discard, plugins)
            old = self._config
            new, gone = backend_changes((old, self._components), (config, components))
            gone = [each for each in gone if self._is_in_place(each)]
            in_the_way = self._in_the_way(new, gone)
            exchange = await self._prepare_exchange(config, new, [*gone, *in_the_way])
            undo.callback(exchange.discard)
            if not opener.accepting:
                raise ConfigurationError("the gateway is stopping")
            routes = self._settings.routes(config, components, plugins)
            undo.pop_all()
        # Nothing can fail from here on, and nobody comes between.
        before = self._pool.backends
        exchange.carry_out(self._drains.begin, config.groups)
        self._deletions.follow(components.all_backends)
        self._plugins.use(plugins)
        opener.serve_by(routes)
        self._settings.apply(config)
        self._resolver.timeout = config.upstream.resolve_timeout
        self._resolver.hold = config.upstream.resolve_hold
        settings = self._handshake_settings(config, opener, admission)
        admission.trust(settings.proxies)
        listener.serve_by(settings, tls)
        if tls is not None and tls is not self._tls:
            self._close_tls()
            tls.start()
        self._tls, self._config, self._components = tls, config, components
        return ReloadReport.of(
            before, self._pool.backends, self._deleted(), fixed_changes(old, config)
        )

    async def stop(self) -> None:
        """Close every client with 1012, spread over `server.drain-time`, and wait for them.

        New clients are answered with 503 meanwhile. What clients have sent is still delivered;
        that and each client's answer are waited for as long as `limits.close-timeout`.
        """
        self._drains.stop()
        if self._listener is not None and self._opener is not None:
            self._opener.accepting = False
            reason = "gateway is stopping"
            await dismiss_all(
                self.sessions,
                asyncio.get_running_loop(),
                SERVICE_RESTART,
                reason,
                over=self._config.server.drain_time,
            )
            timeout = self._config.limits.close_timeout
            await self._listener.close(timeout)
            await self.sessions.until_empty(timeout)
            for session in self.sessions:
                session.close(SERVICE_RESTART, reason, cause=CloseCause.GATEWAY_STOPS)
        await self._resources.aclose()

    @property
    def ready(self) -> bool:
        """Whether clients are welcome: started, and not stopping."""
        return self._opener is not None and self._opener.accepting

    @property
    def waiting_dials(self) -> int:
        """Dials that wait for others of the same backend to end."""
        return self._settings.waiting_dials

    def drain(self, backend_id: str) -> bool:
        """Send no new session to a backend, and have its sessions move to others one by one.

        To be undone by enabling the backend again.

        Returns:
            False when it is being drained already.

        Raises:
            KeyError: there is no such backend.
        """
        backend = self._pool.find(backend_id)
        if backend is None:
            raise KeyError(backend_id)
        return self._drains.begin(backend)

    @property
    def steering(self) -> Steering:
        """What operators steer; there once `start` has returned."""
        assert self._steering is not None, "not started"  # noqa: S101 - the caller's fault
        return self._steering

    @property
    def exposition(self) -> Exposition:
        """The metrics as Prometheus reads them; there once `start` has returned."""
        assert self._exposition is not None, "not started"  # noqa: S101 - the caller's fault
        return self._exposition

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where clients can connect."""
        return self._listener.addresses if self._listener is not None else ()

    def _begin_watch(self, opener: SessionOpener) -> None:
        """Probe backends, measure the loop, and offer what operators need."""
        config, loop = self._config, asyncio.get_running_loop()
        health = HealthChecks(self._pool, config.upstream.health, self.counters, self._logger)
        health.start()
        self._resources.push_async_callback(health.stop)
        delay = LoopDelay(loop, self.counters.loop_delays)
        delay.start()
        self._resources.callback(delay.stop)
        self._memory.start(loop)
        self._resources.callback(self._memory.stop)
        self._steering = Steering(
            self._backends,
            self._discoveries,
            self._open_backend,
            self._resolver_of_entries(config),
            self.sessions,
            [SteeredFrontend(self._frontend_id(), opener)],
            self._drains,
            deletions=self._deletions,
            routes=lambda: opener.routes,
            stopping=lambda: not opener.accepting,
        )
        self._exposition = Exposition(
            self.metrics,
            self.counters,
            self._pool,
            self.sessions,
            self._steering.frontends,
            routes=lambda: opener.routes,
            waiting_dials=lambda: self.waiting_dials,
            memory=self._memory,
            wsbalancers=config.server.enable_instrumentation,
            logger=self._logger,
        )

    def _resolver_of_entries(
        self, config: GatewayConfig
    ) -> Callable[[Any], Awaitable[BackendComponent]] | None:
        plugins = self._components.plugins
        if plugins is None:
            return None
        allow_files = config.server.admin.allow_file_paths
        return partial(resolve_backend, plugins=plugins, allow_files=allow_files)

    async def _open_backend(self, component: BackendComponent) -> None:
        exchange = await self._prepare_exchange(self._config, [component], [])
        if not self.ready or component.group not in self._config.groups:
            exchange.discard()
            why = "its route is gone" if self.ready else "the gateway is stopping"
            raise ConfigurationError(why)
        self._deletions.lift(component.id)
        exchange.carry_out(self._drains.begin)

    def _uses(self, plugins: PluginSet) -> bool:
        opening = self._opener is not None and self._opener.is_opening(plugins)
        return opening or any(session.plugins is plugins for session in self.sessions)

    def _is_in_place(self, component: BackendComponent) -> bool:
        """Tell whether what an entry asks for is there, not what operators have in its place."""
        backend = self._pool.find(component.id)
        discovery = self._discoveries.find(component.id)
        if backend is not None:
            return same_backend(self._backends.component_of(backend), component)
        return discovery is not None and same_backend(discovery.component, component)

    def _deleted(self) -> list[str]:
        """Return the ids of what the configuration or a name has, and operators have deleted."""
        entries = [each.id for each in self._components.all_backends if self._deletions.hold(each)]
        return entries + [each for one in self._discoveries for each in sorted(one.deleted)]

    def _in_the_way(
        self, new: Sequence[BackendComponent], gone: Sequence[BackendComponent]
    ) -> Iterator[BackendComponent]:
        """Yield what operators have added, or names have given, with the ids of new entries."""
        ids = {each.id for each in new} - {each.id for each in gone}
        present = [self._backends.component_of(each) for each in self._pool.backends]
        present += [discovery.component for discovery in self._discoveries]
        yield from (each for each in present if each.id in ids)

    async def _prepare_exchange(
        self,
        config: GatewayConfig,
        new: Sequence[BackendComponent],
        gone: Sequence[BackendComponent],
    ) -> BackendExchange:
        exchange = BackendExchange(self._backends, self._discoveries, self._deletions, new, gone)
        await exchange.prepare(
            lambda component: self._settings.backend_context(component, config), self._discovery
        )
        return exchange

    def _frontend_id(self) -> str:
        frontend = self._config.server.frontend
        address = frontend.address._replace(port=self.addresses[0].port)
        return frontend.id or id_from_address(str(address))

    async def _server_tls(self, config: GatewayConfig) -> ServerTls | None:
        options = config.server.frontend.tls
        if options is None:
            return None
        clock = asyncio.get_running_loop()
        make = partial(ServerTls, options, self.metrics, self.counters, clock, self._logger)
        return await aside(make)

    def _close_tls(self) -> None:
        if self._tls is not None:
            self._tls.close()

    def _handshake_settings(
        self, config: GatewayConfig, opener: SessionOpener, admission: Admission
    ) -> HandshakeSettings:
        return handshake_settings(
            config,
            opener,
            admission,
            self._read_batch,
            self._handshake_turns,
            self.counters,
            self._logger,
        )

    def _discovery(self, component: BackendComponent) -> Discovery:
        return Discovery(
            component,
            self._backends,
            self._resolver,
            self.drain,
            timeout=self._config.upstream.resolve_interval,
            failures=self.counters.resolutions_failed,
            logger=self._logger,
        )
