"""Opens, finds, replaces, drains, removes and closes the backends of one gateway."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from ..api import BackendContext, ConfigurationError, Metrics, ReadBatch
from ..config.gateway_config import GatewayConfig
from ..metrics.counters import GatewayCounters
from ..plugins.plugin_specs import BackendSpec
from ..pool.backends.backend_logger import BackendLogger
from ..pool.backends.backend_pool import BackendPool, PooledBackend
from ..pool.backends.health import HealthChecks
from ..pool.backends.whole_backend import WholeBackend
from ..pool.membership.backend_changes import BackendChanges
from ..pool.membership.deletions import Deletions
from ..pool.membership.discovery import Discoveries, Discovery
from ..pool.membership.open_backends import OpenBackends
from ..pool.membership.system_resolver import SystemResolver
from ..relay.all_sessions.session_table import SessionTable
from ..relay.moves.drain import Drains
from ..relay.moves.failback import Failback
from ..relay.session.session import Session
from ..spread_calls import AT_ONCE
from ..websocket.session_ends import BACKEND_REMOVED
from .changes import backend_changes, same_backend
from .generation import Generation, Generations

_LEAVE_WITHIN = 60.0  # seconds; a move has bounds of its own
_LOOK_EVERY = 0.05


class Upstream:
    """Opens the backends of the configuration in effect, and those that operators add.

    Args:
        config: the configuration at the start.
        generations: holds the generation in effect.
        pool: the available backends.
        sessions: all sessions.
        read_batch, metrics, counters, logger: those of the gateway.
    """

    def __init__(  # noqa: PLR0913 - what backends and their moves need of a gateway
        self,
        config: GatewayConfig,
        generations: Generations,
        pool: BackendPool,
        sessions: SessionTable,
        *,
        read_batch: ReadBatch,
        metrics: Metrics,
        counters: GatewayCounters,
        logger: logging.Logger,
    ) -> None:
        self._generations = generations
        self._pool = pool
        self._sessions = sessions
        self._read_batch = read_batch
        self._metrics = metrics
        self._counters = counters
        self._logger = logger
        options = config.upstream
        self._resolver = SystemResolver(
            counters, logger, timeout=options.resolve_timeout, hold=options.resolve_hold
        )
        self._backends = OpenBackends(pool, self._context, self._has_sessions, logger)
        self._discoveries = Discoveries(options.resolve_interval, logger)
        self._deletions = Deletions()
        self._leaving: set[asyncio.Task[None]] = set()  # each begins moves that an operator wants
        self._drains = Drains(pool, sessions, self._drain_rate)
        self._failback = Failback(pool, sessions, self._drain_rate, logger)
        self._health = HealthChecks(pool, options.health, counters, logger)

    async def start(self) -> None:
        """Opens the configured backends, and starts to look up DNS names.

        Raises:
            ConfigurationError: a backend is not usable.
        """
        generation = self._generations.current
        specs = generation.specs.all_backends
        for spec in specs:
            if not spec.entry.discovered:
                await self._backends.add(spec)
        named = [each for each in specs if each.entry.discovered]
        await self._discoveries.start([self._discovery(each) for each in named])
        self._deletions.follow(specs)

    def watch(self) -> None:
        """Starts health checks and failback."""
        self._health.start()
        self._failback.follow(self._generations.current.config.upstream)

    async def prepare(self, generation: Generation) -> BackendChanges:
        """Opens the backends that are new in a generation.

        Raises:
            ConfigurationError: a backend is not usable; the others are closed.
        """
        current = self._generations.current
        new, gone = backend_changes(
            (current.config, current.specs), (generation.config, generation.specs)
        )
        gone = [each for each in gone if self._is_in_place(each)]
        return await self._prepared(generation, new, [*gone, *self._in_the_way(new, gone)])

    def carry_out(self, changes: BackendChanges) -> None:
        """Carries out the prepared changes; the new generation is already in effect."""
        generation = self._generations.current
        options = generation.config.upstream
        changes.carry_out(self._drains.begin, generation.config.groups)
        self._deletions.follow(generation.specs.all_backends)
        self._resolver.timeout = options.resolve_timeout
        self._resolver.hold = options.resolve_hold
        self._failback.follow(options)

    async def add(self, spec: BackendSpec, check: Callable[[], None]) -> None:
        """Adds a backend, or all backends of a DNS name.

        Args:
            spec: the spec of the backend.
            check: called when the backend is open; raises ConfigurationError to prevent its use.

        Raises:
            ConfigurationError: it is not usable, its id or URL exists already, or `check` raises.
        """
        present = list(self.specs())
        group = [each for each in present if each.group == spec.group]
        if spec.entry.url in {each.entry.url for each in group if each.entry.url}:
            raise ConfigurationError("url already exists")
        if spec.id in {each.id for each in present}:
            raise ConfigurationError("id already exists")
        changes = await self._prepared(self._generations.current, [spec], [])
        try:
            check()
        except ConfigurationError:
            changes.discard()
            raise
        self._deletions.lift(spec.id)
        changes.carry_out(self._drains.begin)

    def remove(self, backend_id: str) -> bool:
        """Removes a backend and moves its sessions to others.

        The id of an entry with a DNS name stands for all of its backends, and ends its lookups. If
        failover is disabled, the sessions end instead: clients see 1001. A reload does not bring a
        removed backend back; see Deletions, and Discovery for a single address.

        Returns:
            False if the id is unknown.
        """
        backend, discovery = self._pool.find(backend_id), self._discoveries.find(backend_id)
        removed: Iterable[PooledBackend] = (backend,) if backend is not None else ()
        if backend is None:
            if discovery is None:
                return False
            self._discoveries.remove(discovery)
            removed = discovery.backends
        self._deletions.add(backend_id)
        for each in removed:
            self._backends.remove(each, _leave_for_good(self._sessions_of(each), each))
        return True

    async def fail_over(self, backend: PooledBackend) -> bool:
        """Moves the sessions of a backend that allow failover.

        Returns as soon as one begins to move; the others follow, even if the caller is cancelled.

        Returns:
            False if no session begins to move.
        """
        leaving = [session for session in self._sessions_of(backend) if session.may_fail_over]
        loop = asyncio.get_running_loop()
        one_begins: asyncio.Future[bool] = loop.create_future()

        def decide(begins: bool) -> None:
            if not one_begins.done():
                one_begins.set_result(begins)

        task = loop.create_task(
            _leave(leaving, backend.id, must_leave=False, one_begins=partial(decide, True))
        )
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        task.add_done_callback(lambda _: decide(False))
        return await one_begins

    def drain(self, backend_id: str) -> bool:
        """Drains a backend; returns False if it is already draining.

        Raises:
            KeyError: there is no such backend.
        """
        backend = self._pool.find(backend_id)
        if backend is None:
            raise KeyError(backend_id)
        return self._drains.begin(backend)

    def enable(self, backend: PooledBackend) -> None:
        """Gives a backend new sessions again; ends its drain."""
        self._drains.call_off(backend)

    def in_order(self) -> list[PooledBackend]:
        """Returns the offered backends in the order of the configuration.

        Those that operators have added come last.
        """
        entries = self._generations.current.specs.all_backends
        places = {entry.id: place for place, entry in enumerate(entries)}

        def place(backend: PooledBackend) -> int:
            spec = self._backends.spec_of(backend)
            return places.get(spec.discovered_by or spec.id, len(places))

        return sorted(self._pool.backends, key=place)

    def specs(self) -> Iterator[BackendSpec]:
        """Yields the specs of all backends and of all DNS names."""
        yield from map(self._backends.spec_of, self._pool.backends)
        yield from (discovery.spec for discovery in self._discoveries)

    def spec_of(self, backend: PooledBackend) -> BackendSpec:
        """Returns the spec of a backend."""
        return self._backends.spec_of(backend)

    def deleted(self) -> list[str]:
        """Returns the ids of configured or discovered backends that operators have deleted."""
        specs = self._generations.current.specs.all_backends
        entries = [each.id for each in specs if self._deletions.has(each)]
        return entries + [each for one in self._discoveries for each in sorted(one.deleted)]

    async def stop_moves(self) -> None:
        """Stops planned moves that have not begun."""
        for task in self._leaving:
            task.cancel()
        self._drains.stop()
        await self._failback.stop()

    async def close(self) -> None:
        """Closes everything."""
        await self.stop_moves()
        await self._health.stop()
        await self._discoveries.close()
        await self._backends.close()
        await self._resolver.close()

    def _sessions_of(self, backend: PooledBackend) -> list[Session]:
        """Returns the sessions of a backend, including those it kept over a reload.

        Excludes sessions of a group that the backend has left: they cannot move, or already do.
        """
        ours = backend.id, backend.group
        return [each for each in self._sessions if (each.backend_id, each.group) == ours]

    def _has_sessions(self, group: str) -> bool:
        return any(session.group == group for session in self._sessions)

    def _drain_rate(self) -> float:
        return self._generations.current.config.drain.rate

    def _context(self, spec: BackendSpec, generation: Generation | None = None) -> BackendContext:
        """Returns the context for the plugin of a backend, of the present generation by default."""
        config = (generation or self._generations.current).config
        failover = config.groups[spec.group]
        return BackendContext(
            backend_id=spec.id,
            clock=asyncio.get_running_loop(),
            limits=config.limits.for_plugins(),
            ping_timeout=failover.ping_timeout,
            busy_timeout=failover.busy_bound,
            logger=BackendLogger(self._logger, spec.id),
            metrics=self._metrics.of(spec.registration.kind, backend=spec.id),
            read_batch=self._read_batch,
            resolver=self._resolver,
            control=WholeBackend(self._sessions),
        )

    def _is_in_place(self, spec: BackendSpec) -> bool:
        """Returns whether the backend of an entry is present, and not an operator's replacement."""
        backend = self._pool.find(spec.id)
        discovery = self._discoveries.find(spec.id)
        if backend is not None:
            return same_backend(self._backends.spec_of(backend), spec)
        return discovery is not None and same_backend(discovery.spec, spec)

    def _in_the_way(
        self, new: Sequence[BackendSpec], gone: Sequence[BackendSpec]
    ) -> Iterator[BackendSpec]:
        """Yields backends that operators or DNS have added with the ids of new entries."""
        ids = {each.id for each in new} - {each.id for each in gone}
        yield from (each for each in self.specs() if each.id in ids)

    async def _prepared(
        self,
        generation: Generation,
        new: Sequence[BackendSpec],
        gone: Sequence[BackendSpec],
    ) -> BackendChanges:
        changes = BackendChanges(self._backends, self._discoveries, self._deletions, new, gone)
        await changes.prepare(lambda spec: self._context(spec, generation), self._discovery)
        return changes

    def _discovery(self, spec: BackendSpec) -> Discovery:
        return Discovery(
            spec,
            self._backends,
            self._resolver,
            self.drain,
            timeout=self._generations.current.config.upstream.resolve_interval,
            failures=self._counters.resolutions_failed,
            logger=self._logger,
        )


async def _leave_for_good(sessions: list[Session], backend: PooledBackend) -> None:
    """Moves sessions away from a removed backend, and waits until they have left, with a limit."""
    await _leave(sessions, backend.id, must_leave=True)
    latest = asyncio.get_running_loop().time() + _LEAVE_WITHIN
    while any(each.backend_id == backend.id for each in sessions):
        if asyncio.get_running_loop().time() >= latest:
            break
        await asyncio.sleep(_LOOK_EVERY)


async def _leave(
    sessions: list[Session],
    backend_id: str,
    *,
    must_leave: bool,
    one_begins: Callable[[], object] = lambda: None,
) -> None:
    """Moves sessions away from a backend, some in each turn of the event loop.

    Args:
        sessions: the sessions of the backend.
        backend_id: the id of the backend.
        must_leave: whether a session that finds no other backend ends instead of staying.
        one_begins: called when a session has begun to move.
    """
    for number, session in enumerate(sessions, 1):
        if session.backend_id == backend_id:  # not lost or ended meanwhile
            if not session.may_fail_over:
                session.close(BACKEND_REMOVED.client, "backend was removed")
            elif session.fail_over(must_leave=must_leave):
                one_begins()
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
