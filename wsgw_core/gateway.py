"""One gateway: its backends, its listener, its sessions. Several can live in one process."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Any

from .added_backend import resolve_backend
from .api import BackendContext, Clock, Limits, Metrics, PluginContext, ReadBatch
from .components import BackendComponent, Components
from .config import Address, GatewayConfig, id_from_address
from .exposition import Exposition
from .file_limit import session_capacity
from .frontend.admission import Admission
from .frontend.allowed_origins import AllowedOrigins
from .frontend.client_sweep import ClientSweep
from .frontend.forwarded import Forwarding
from .frontend.handshake import HandshakeSettings
from .frontend.listener import Listener
from .frontend.request_headers import RequestHeaders
from .frontend.server_tls import ServerTls
from .frontend.trusted_proxies import TrustedProxies
from .loop_delay import LoopDelay
from .metrics import GatewayCounters
from .pool.backend_pool import BackendPool
from .pool.dialler import Dialler
from .pool.discovery import Discoveries, Discovery, system_addresses
from .pool.health import HealthChecks
from .pool.open_backends import OpenBackends
from .relay.dismissal import dismiss_all
from .relay.drain import Drain
from .relay.environment import RelayEnvironment
from .relay.session_opener import SessionOpener
from .relay.session_table import SessionTable
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
        self.metrics = Metrics()
        self.counters = GatewayCounters(self.metrics)
        self.sessions = SessionTable()
        self._pool = BackendPool()
        self._dialler: Dialler | None = None
        self._drains: dict[str, Drain] = {}
        self._opener: SessionOpener | None = None
        self._listener: Listener | None = None
        self._steering: Steering | None = None
        self._exposition: Exposition | None = None
        self._resources = AsyncExitStack()

    async def start(self) -> None:
        """Open the backends and listen.

        Raises:
            OSError: the address cannot be listened on.
            ConfigurationError: a backend, or the clients' TLS, cannot work as configured.
        """
        config = self._config
        counters = self.counters
        limits = config.limits.for_plugins()
        read_batch = ReadBatch()
        try:
            pool = self._pool
            backends = OpenBackends(
                pool,
                lambda backend_id: self._backend_context(backend_id, limits, read_batch),
                self._logger,
            )
            self._resources.push_async_callback(backends.close)
            discoveries = self._discoveries(backends, counters)
            self._resources.push_async_callback(discoveries.close)
            for component in self._components.backends:
                if not component.entry.discovered:
                    await backends.add(component)
            await discoveries.start()
            environment = self._environment(pool, counters, read_batch)
            context = PluginContext(environment.clock, self._logger, self.metrics)
            gates = [
                gate.registration.factory(gate.options, context) for gate in self._components.gates
            ]
            self._opener = SessionOpener(gates, environment)
            server = config.server
            proxies = TrustedProxies(server.trusted_proxies or ())
            clock = environment.clock
            self._listener = Listener(
                config.server.frontend.address,
                HandshakeSettings(
                    opener=self._opener,
                    admission=self._admission(proxies, counters, clock),
                    origins=AllowedOrigins(server.frontend.allowed_origins),
                    proxies=proxies,
                    request_headers=RequestHeaders(
                        server.block_headers,
                        server.reconnect_header,
                        Forwarding(
                            proxies,
                            believe_all=server.trusted_proxies is None
                            and server.trust_received_xff,
                            forwarded=server.forwarded,
                        ),
                        server.frontend.tls.subject_header if server.frontend.tls else None,
                    ),
                    limits=limits,
                    compression=config.server.frontend.compression,
                    max_header_bytes=server.frontend.max_header_bytes
                    or config.limits.max_header_bytes,
                    max_header_count=config.limits.max_header_count,
                    timeout=server.frontend.read_timeout or config.limits.handshake_timeout,
                    read_batch=read_batch,
                    counters=counters,
                    logger=self._logger,
                ),
                tls=self._server_tls(counters),
                sweep=ClientSweep(
                    clock,
                    counters,
                    idle_timeout=config.limits.client_idle_timeout,
                    max_life=config.limits.max_session_life,
                    slow_timeout=config.limits.slow_client_timeout,
                    ping_time=server.frontend.ping_time,
                    ping_timeout=server.frontend.ping_timeout,
                ),
            )
            await self._listener.open()
            self._begin_watch(backends, self._opener)
        except BaseException:
            await self._resources.aclose()
            raise

    async def stop(self) -> None:
        """Close every client with 1012, spread over `server.drain-time`, and wait for them.

        New clients are answered with 503 meanwhile. What clients have sent is still delivered;
        that and each client's answer are waited for as long as `limits.close-timeout`.
        """
        for drain in self._drains.values():
            drain.stop()
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
                session.close(SERVICE_RESTART, reason)
        await self._resources.aclose()

    @property
    def ready(self) -> bool:
        """Whether clients are welcome: started, and not stopping."""
        return self._opener is not None and self._opener.accepting

    @property
    def waiting_dials(self) -> int:
        """Dials that wait for others of the same backend to end."""
        return self._dialler.waiting if self._dialler is not None else 0

    def drain(self, backend_id: str) -> bool:
        """Send no new session to a backend, and have its sessions move to others one by one.

        To be undone by enabling the backend again.

        Returns:
            False when it is being drained already.

        Raises:
            KeyError: there is no such backend.
        """
        pool = self._pool
        backend = pool.find(backend_id)
        if backend is None:
            raise KeyError(backend_id)
        running = self._drains.get(backend_id)
        if running is not None and not running.is_over:
            return False
        backend.enabled = False
        self._drains[backend_id] = Drain(
            backend,
            self.sessions,
            asyncio.get_running_loop(),
            self._config.drain.rate,
            others_usable=lambda: any(each.usable for each in pool.backends),
            logger=self._logger,
        )
        return True

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

    def _begin_watch(self, backends: OpenBackends, opener: SessionOpener) -> None:
        """Probe backends, measure the loop, and offer what operators need."""
        config, loop = self._config, asyncio.get_running_loop()
        health = HealthChecks(backends.pool, config.upstream.health, self.counters, self._logger)
        health.start()
        self._resources.push_async_callback(health.stop)
        delay = LoopDelay(loop, self.counters.loop_delays)
        delay.start()
        self._resources.callback(delay.stop)
        self._steering = Steering(
            backends,
            self._resolve_backend if self._components.plugins is not None else None,
            self.sessions,
            [SteeredFrontend(self._frontend_id(), opener)],
            failover=config.failover.enabled,
            stopping=lambda: not opener.accepting,
        )
        self._exposition = Exposition(
            self.metrics,
            self.counters,
            backends.pool,
            self.sessions,
            self._steering.frontends,
            waiting_dials=lambda: self.waiting_dials,
            wsbalancers=config.server.enable_instrumentation,
        )

    def _resolve_backend(self, entry: Any) -> BackendComponent:
        assert self._components.plugins is not None  # noqa: S101 - for the type checker
        return resolve_backend(entry, self._components.plugins)

    def _frontend_id(self) -> str:
        frontend = self._config.server.frontend
        address = frontend.address._replace(port=self.addresses[0].port)
        return frontend.id or id_from_address(str(address))

    def _admission(
        self, proxies: TrustedProxies, counters: GatewayCounters, clock: Clock
    ) -> Admission:
        limits, capacity = self._config.limits, session_capacity()
        if limits.max_sessions and capacity is not None and limits.max_sessions > capacity:
            self._logger.warning(
                "limits.max-sessions is %d, but the limit of open files leaves room for %d sessions"
                " whose backend takes a connection for each",
                limits.max_sessions,
                capacity,
            )
        return Admission(
            proxies,
            counters,
            clock,
            max_sessions=limits.max_sessions or capacity,
            max_per_address=limits.max_sessions_per_address,
            max_per_second=limits.max_handshakes_per_second,
        )

    def _server_tls(self, counters: GatewayCounters) -> ServerTls | None:
        options = self._config.server.frontend.tls
        if options is None:
            return None
        tls = ServerTls(options, self.metrics, counters, asyncio.get_running_loop(), self._logger)
        self._resources.callback(tls.close)
        return tls

    def _discoveries(self, backends: OpenBackends, counters: GatewayCounters) -> Discoveries:
        interval = self._config.upstream.resolve_interval
        return Discoveries(
            (
                Discovery(
                    component,
                    backends,
                    system_addresses,
                    timeout=interval,
                    failures=counters.resolutions_failed,
                    logger=self._logger,
                )
                for component in self._components.backends
                if component.entry.discovered
            ),
            interval,
            self._logger,
        )

    def _backend_context(
        self, backend_id: str, limits: Limits, read_batch: ReadBatch
    ) -> BackendContext:
        return BackendContext(
            backend_id=backend_id,
            clock=asyncio.get_running_loop(),
            limits=limits,
            ping_timeout=self._config.failover.ping_timeout,
            logger=self._logger.getChild(backend_id),
            metrics=self.metrics,
            read_batch=read_batch,
        )

    def _environment(
        self, pool: BackendPool, counters: GatewayCounters, read_batch: ReadBatch
    ) -> RelayEnvironment:
        config, clock = self._config, asyncio.get_running_loop()
        self._dialler = Dialler(
            pool,
            config.failover.retry_statuses,
            counters,
            self._logger,
            max_at_once=config.failover.max_concurrent_dials,
            spacing=config.failover.dial_spacing,
        )
        context = PluginContext(clock, self._logger, self.metrics)
        return RelayEnvironment(
            clock=clock,
            failover=config.failover,
            limits=config.limits,
            drain=config.drain,
            reconnect_header=config.server.reconnect_header,
            dialler=self._dialler,
            valves=self._components.valves,
            listeners=tuple(
                listener.registration.factory(listener.options, context)
                for listener in self._components.listeners
            ),
            table=self.sessions,
            read_batch=read_batch,
            counters=counters,
            logger=self._logger,
        )
