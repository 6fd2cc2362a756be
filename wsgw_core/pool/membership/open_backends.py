"""Makes, opens and closes the backends of one gateway, at its start and while it runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ...api import Backend, BackendContext, ConfigurationError, LingeringBackend
from ...plugins.bounded_call import close_within
from ...plugins.factories import make_plugin
from ...plugins.plugin_specs import BackendSpec
from ..backends.backend_pool import BackendPool, PooledBackend
from ..backends.whole_backend import WholeBackend

_OPEN_TIMEOUT = 60.0  # seconds; the start and a reload wait so long
# A plugin may wait for its connections, for their unsent data, and for its own connection to a
# broker, each for `limits.close-timeout`.
_CLOSING_STEPS = 3
_LOOK_EVERY = 1.0  # seconds between two checks whether a retired backend is idle


class OpenBackends:
    """Adds backends to a pool and removes them.

    Args:
        pool: the pool.
        make_context: returns the context for a backend's factory.
        has_sessions: returns whether a group has sessions.
        logger: logs faults of plugins.
    """

    def __init__(
        self,
        pool: BackendPool,
        make_context: Callable[[BackendSpec], BackendContext],
        has_sessions: Callable[[str], bool],
        logger: logging.Logger,
    ) -> None:
        self.pool = pool
        self._make_context = make_context
        self._has_sessions = has_sessions
        self._logger = logger
        self._specs: dict[PooledBackend, BackendSpec] = {}
        self._contexts: dict[PooledBackend, BackendContext] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    async def add(self, spec: BackendSpec) -> PooledBackend:
        """Makes a backend, opens it, and offers it.

        Raises:
            ConfigurationError: the backend cannot work as configured.
            ValueError: another backend has this id.
        """
        pooled = await self.prepare(spec, self._make_context(spec))
        try:
            self.offer(pooled)
        except BaseException:
            self.discard(pooled)
            raise
        return pooled

    async def prepare(self, spec: BackendSpec, context: BackendContext) -> PooledBackend:
        """Makes a backend and opens it; `offer` or `discard` it later.

        Raises:
            ConfigurationError: the backend cannot work as configured.
        """
        try:
            backend: Backend = make_plugin(spec, context)
        except BaseException:
            context.metrics.close()
            raise
        pooled = PooledBackend(
            spec.id,
            backend,
            spec.entry.breaker_threshold,
            self._logger,
            group=spec.group,
            priority=spec.entry.priority,
            weight=spec.entry.weight,
            address=spec.entry.url,
        )
        self._contexts[pooled] = context
        if isinstance(context.control, WholeBackend):
            context.control.serve(pooled)
        try:
            async with asyncio.timeout(_OPEN_TIMEOUT) as bound:
                await backend.open()
        except BaseException as error:
            await self._close(pooled)
            if bound.expired():
                text = f"{spec}: its open() took longer than {_OPEN_TIMEOUT:g} s"
                raise ConfigurationError(text) from error
            error.add_note(str(spec))
            raise
        self._specs[pooled] = spec
        return pooled

    def offer(self, pooled: PooledBackend) -> None:
        """Offers a prepared backend.

        Raises:
            ValueError: another backend has its id.
        """
        self.pool.add(pooled)

    def has(self, backend_id: str) -> bool:
        """Returns whether a backend of this id is offered."""
        return self.pool.find(backend_id) is not None

    def discard(self, pooled: PooledBackend) -> None:
        """Closes a prepared backend in the background instead of offering it."""
        self._close_in_background(pooled, None)

    def spec_of(self, pooled: PooledBackend) -> BackendSpec:
        """Returns the configuration entry of a backend."""
        return self._specs[pooled]

    def remove(self, pooled: PooledBackend, leave: Awaitable[None] | None = None) -> None:
        """Stops offering a backend, and closes it in the background.

        Args:
            pooled: the backend.
            leave: awaited before the close; moves the backend's sessions to others. Closing a
                backend closes its remaining connections as if the sessions were over.
        """
        self.pool.remove(pooled)
        self._close_in_background(pooled, leave)

    def retire(self, pooled: PooledBackend) -> None:
        """Stops offering a backend, and closes it when its last connection has ended."""
        self.remove(pooled, self._until_idle(pooled))

    def keep_for_sessions(self, pooled: PooledBackend) -> None:
        """Offers a backend whose group is gone only to the sessions of the group.

        It closes the backend when they have all ended.
        """
        self.pool.remove(pooled, staying=True)
        self._close_in_background(pooled, self._until_idle(pooled))

    async def close(self) -> None:
        """Closes all backends, and waits for them and for those that were removed before."""
        self._stopping.set()
        for pooled in self.pool.backends:
            self.remove(pooled)
        while self._closing:
            await asyncio.wait(self._closing)

    def _close_in_background(self, pooled: PooledBackend, leave: Awaitable[None] | None) -> None:
        del self._specs[pooled]
        task = asyncio.get_running_loop().create_task(self._leave_and_close(pooled, leave))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _until_idle(self, pooled: PooledBackend) -> None:
        while self._is_needed(pooled) and not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._stopping.wait()

    def _is_needed(self, pooled: PooledBackend) -> bool:
        if pooled.active or pooled.removed:
            return pooled.active > 0
        return pooled.dialling > 0 or self._has_sessions(pooled.group)

    async def _leave_and_close(self, pooled: PooledBackend, leave: Awaitable[None] | None) -> None:
        if leave is not None:
            await leave
            await self._linger(pooled)
        pooled.removed = True
        await self._close(pooled)

    async def _linger(self, pooled: PooledBackend) -> None:
        """Lets a backend receive what still comes for sessions that have moved away."""
        if not isinstance(pooled.backend, LingeringBackend):
            return
        loop = asyncio.get_running_loop()
        lingering = loop.create_task(pooled.backend.linger())
        stopping = loop.create_task(self._stopping.wait())
        await asyncio.wait([lingering, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in (lingering, stopping):
            task.cancel()
        # The gateway stops even if a plugin ignores the cancellation.
        timeout = self._contexts[pooled].limits.close_timeout
        done, _ = await asyncio.wait([lingering, stopping], timeout=timeout)
        if lingering in done and not lingering.cancelled() and (error := lingering.exception()):
            self._logger.error("backend %s: its plugin raised an error", pooled.id, exc_info=error)

    async def _close(self, pooled: PooledBackend) -> None:
        context = self._contexts.pop(pooled)
        try:
            await close_within(_CLOSING_STEPS * context.limits.close_timeout, pooled.close)
        except Exception:
            self._logger.exception(
                "backend %s: its plugin raised an error while closing", pooled.id
            )
        finally:
            context.metrics.close()
            self.pool.forget(pooled)
