"""The backends of one gateway, from their opening to their close."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

from ..api import BackendContext, ConfigurationError, Metrics, ReadBatch
from ..config.gateway_config import GatewayConfig
from ..metrics.counters import GatewayCounters
from ..plugins.plugin_specs import BackendSpec
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
from ..websocket.session_ends import BACKEND_REMOVED
from .changes import backend_changes, same_backend
from .generation import Generation, Generations

_AT_ONCE = 100  # sessions that are moved in one turn of the loop
_LEAVE_WITHIN = 60.0  # seconds; a move has bounds of its own
_LOOK_EVERY = 0.05


class Upstream:
    """Opens the backends of the configuration in effect, and those that operators add.

    Args:
        config: that of the start.
        generations: hold the one in effect.
        pool: where the backends are offered.
        sessions: all sessions.
        read_batch, metrics, counters, logger: of the gateway.
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
        self._drains = Drains(pool, sessions, self._drain_rate, self._backends.earlier)
        self._failback = Failback(pool, sessions, self._drain_rate, logger)
        self._health = HealthChecks(pool, options.health, counters, logger)

    async def start(self) -> None:
        """Opens those of the configuration, and look for those that have a name.

        Raises:
            ConfigurationError: one cannot work as configured.
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
        """Probes them from now on, and send sessions back to those that are preferred."""
        self._health.start()
        self._failback.follow(self._generations.current.config.upstream)

    async def prepare(self, generation: Generation) -> BackendChanges:
        """Opens what another generation has and the one in effect has not.

        Raises:
            ConfigurationError: one cannot work as configured; nothing is left of the others.
        """
        current = self._generations.current
        new, gone = backend_changes(
            (current.config, current.specs), (generation.config, generation.specs)
        )
        gone = [each for each in gone if self._is_in_place(each)]
        return await self._prepared(generation, new, [*gone, *self._in_the_way(new, gone)])

    def carry_out(self, changes: BackendChanges) -> None:
        """Does what was prepared for the generation that is in effect now."""
        generation = self._generations.current
        options = generation.config.upstream
        changes.carry_out(self._drains.begin, generation.config.groups)
        self._deletions.follow(generation.specs.all_backends)
        self._resolver.timeout = options.resolve_timeout
        self._resolver.hold = options.resolve_hold
        self._failback.follow(options)

    async def add(self, spec: BackendSpec, check: Callable[[], None]) -> None:
        """Opens a backend and offer it, or begin to look for those of a name.

        Args:
            spec: what the backend is made of.
            check: called when it is open; raises ConfigurationError if it must not be offered now.

        Raises:
            ConfigurationError: it cannot work, its id or URL exists already, or `check` says so.
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
        """Offers a backend no more, and have its sessions move to others.

        The id of an entry with a name stands for all of its backends, and ends the search for more.
        Where failover is switched off, the sessions end instead: clients see 1001. A reload brings
        nothing back of what was removed so; see Deletions, and Discovery for a single address.

        Returns:
            False when there is nothing of this id.
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

    async def fail_over(self, backend: PooledBackend) -> int:
        """Moves those sessions of a backend that may; return how many begin to."""
        leaving = [session for session in self._sessions_of(backend) if session.may_fail_over]
        return await _leave(leaving, backend.id, must_leave=False)

    def drain(self, backend_id: str) -> bool:
        """Empty a backend without haste; False: that is under way already.

        Raises:
            KeyError: there is no such backend.
        """
        backend = self._pool.find(backend_id)
        if backend is None:
            raise KeyError(backend_id)
        return self._drains.begin(backend)

    def enable(self, backend: PooledBackend) -> None:
        """Gives a backend new sessions again; what there is of a drain ends."""
        self._drains.call_off(backend)

    def specs(self) -> Iterator[BackendSpec]:
        """Yields what the backends were made of, and what those of each name are."""
        yield from map(self._backends.spec_of, self._pool.backends)
        yield from (discovery.spec for discovery in self._discoveries)

    def spec_of(self, backend: PooledBackend) -> BackendSpec:
        """Returns what a backend was made of."""
        return self._backends.spec_of(backend)

    def deleted(self) -> list[str]:
        """Returns the ids of what the configuration or a name has, and operators have deleted."""
        specs = self._generations.current.specs.all_backends
        entries = [each.id for each in specs if self._deletions.has(each)]
        return entries + [each for one in self._discoveries for each in sorted(one.deleted)]

    async def stop_moves(self) -> None:
        """Lets all sessions stay that have not begun to move."""
        self._drains.stop()
        await self._failback.stop()

    async def close(self) -> None:
        """Closes all that there is."""
        await self.stop_moves()
        await self._health.stop()
        await self._discoveries.close()
        await self._backends.close()
        await self._resolver.close()

    def _sessions_of(self, backend: PooledBackend) -> list[Session]:
        """Returns a backend's sessions, and those that it has kept from before a reload.

        Not those of a group that it has left: they can go nowhere, or are on their way.
        """
        ours = backend.id, backend.group
        return [each for each in self._sessions if (each.backend_id, each.group) == ours]

    def _has_sessions(self, group: str) -> bool:
        return any(session.group == group for session in self._sessions)

    def _drain_rate(self) -> float:
        return self._generations.current.config.drain.rate

    def _context(self, spec: BackendSpec) -> BackendContext:
        return self._context_in(self._generations.current, spec)

    def _context_in(self, generation: Generation, spec: BackendSpec) -> BackendContext:
        """Returns what the plugin of a backend is given."""
        config = generation.config
        failover = config.groups[spec.group]
        return BackendContext(
            backend_id=spec.id,
            clock=asyncio.get_running_loop(),
            limits=config.limits.for_plugins(),
            ping_timeout=failover.ping_timeout,
            busy_timeout=failover.busy_bound,
            logger=self._logger.getChild(spec.id),
            metrics=self._metrics.of(spec.registration.kind, backend=spec.id),
            read_batch=self._read_batch,
            resolver=self._resolver,
            control=WholeBackend(self._sessions),
        )

    def _is_in_place(self, spec: BackendSpec) -> bool:
        """Returns whether what an entry asks for is there, not what operators have in its place."""
        backend = self._pool.find(spec.id)
        discovery = self._discoveries.find(spec.id)
        if backend is not None:
            return same_backend(self._backends.spec_of(backend), spec)
        return discovery is not None and same_backend(discovery.spec, spec)

    def _in_the_way(
        self, new: Sequence[BackendSpec], gone: Sequence[BackendSpec]
    ) -> Iterator[BackendSpec]:
        """Yields what operators have added, or names have given, with the ids of new entries."""
        ids = {each.id for each in new} - {each.id for each in gone}
        yield from (each for each in self.specs() if each.id in ids)

    async def _prepared(
        self,
        generation: Generation,
        new: Sequence[BackendSpec],
        gone: Sequence[BackendSpec],
    ) -> BackendChanges:
        changes = BackendChanges(self._backends, self._discoveries, self._deletions, new, gone)
        await changes.prepare(lambda spec: self._context_in(generation, spec), self._discovery)
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
    """Has sessions leave a backend that is removed, and wait until they have; with a bound."""
    await _leave(sessions, backend.id, must_leave=True)
    latest = asyncio.get_running_loop().time() + _LEAVE_WITHIN
    while any(each.backend_id == backend.id for each in sessions):
        if asyncio.get_running_loop().time() >= latest:
            break
        await asyncio.sleep(_LOOK_EVERY)


async def _leave(sessions: list[Session], backend_id: str, *, must_leave: bool) -> int:
    """Has sessions leave a backend, some in each turn of the loop; return how many begin to.

    Args:
        sessions: of the backend.
        backend_id: its id.
        must_leave: those that may not move end, and no other stays.
    """
    begun = 0
    for number, session in enumerate(sessions, 1):
        if session.backend_id == backend_id:  # not lost or ended meanwhile
            if session.may_fail_over:
                begun += session.fail_over(must_leave=must_leave)
            else:
                session.close(BACKEND_REMOVED.client, "backend was removed")
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
    return begun
