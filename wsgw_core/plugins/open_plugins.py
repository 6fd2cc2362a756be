"""Opens and closes the objects of valves, listeners, gates and policies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..api import ConfigurationError, Metrics, PluginContext
from ..config.gateway_config import GatewayConfig
from .bounded_call import close_within
from .factories import make_plugin
from .plugin_specs import PluginSpec, PluginSpecs

_OPEN_TIMEOUT = 60.0  # seconds; the start and a reload wait this long
_CHECK_INTERVAL = 1.0  # seconds between two checks whether replaced objects are still in use


@dataclass(frozen=True, slots=True, eq=False)
class _OpenPlugin:
    spec: PluginSpec
    made: Any
    metrics: Metrics


class PluginSet:
    """The objects of one configuration."""

    def __init__(self) -> None:
        self._opened: list[tuple[PluginSpec, _OpenPlugin]] = []

    def of(self, spec: PluginSpec) -> Any:
        """Returns the object of an entry."""
        return next(plugin.made for each, plugin in self._opened if each is spec)

    @property
    def plugins(self) -> list[_OpenPlugin]:
        """All objects."""
        return [plugin for _, plugin in self._opened]

    def add(self, spec: PluginSpec, plugin: _OpenPlugin) -> None:
        """Adds the object of an entry."""
        self._opened.append((spec, plugin))


class OpenPlugins:
    """Opens the objects of each configuration, and closes those that are no longer in use.

    An entry that a reload does not change keeps its object.

    Args:
        make_context: returns the context for the factory of a kind.
        in_use: returns whether sessions still use the objects of a configuration.
        close_timeout: maximum seconds of a close.
        logger: logs errors of plugins.

    Attributes:
        close_timeout: see above; a reload can change it.
    """

    def __init__(
        self,
        make_context: Callable[[str], PluginContext],
        in_use: Callable[[PluginSet], bool],
        close_timeout: float,
        logger: logging.Logger,
    ) -> None:
        self._make_context = make_context
        self._in_use = in_use
        self.close_timeout = close_timeout
        self._logger = logger
        self._current = PluginSet()
        self._earlier: list[PluginSet] = []
        self._replaced: list[_OpenPlugin] = []
        self._replacing: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    async def prepare(self, wanted: Iterable[PluginSpec]) -> PluginSet:
        """Opens the new objects of a configuration; pass the result to `use` or `discard`.

        Raises:
            ConfigurationError: an object is not usable.
            Exception: any error of a plugin; a note names the plugin.
        """
        prepared, left = PluginSet(), self._current.plugins
        try:
            for spec in wanted:
                kept = next((each for each in left if each.spec.asks_for_the_same(spec)), None)
                if kept is not None:
                    left.remove(kept)
                prepared.add(spec, kept or await self._open(spec))
        except BaseException:
            self.discard(prepared)
            raise
        return prepared

    def discard(self, prepared: PluginSet) -> None:
        """Closes the objects opened for a configuration that will not be used."""
        self._close_in_background(
            each for each in prepared.plugins if each not in self._current.plugins
        )

    def use(self, prepared: PluginSet) -> None:
        """Makes new sessions use these objects; closes others when no session uses them."""
        self._replaced += [each for each in self._current.plugins if each not in prepared.plugins]
        self._earlier = [each for each in self._earlier if self._in_use(each)]
        self._earlier.append(self._current)
        self._current = prepared
        if self._replaced and (self._replacing is None or self._replacing.done()):
            self._replacing = self._keep(self._close_replaced())

    async def close(self) -> None:
        """Closes all objects, even if sessions use them."""
        self._stopping.set()
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._close_in_background([*self._replaced, *self._current.plugins])
        self._replaced, self._current = [], PluginSet()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _open(self, spec: PluginSpec) -> _OpenPlugin:
        context = self._make_context(spec.registration.kind)
        try:
            plugin = _OpenPlugin(spec, make_plugin(spec, context), context.metrics)
        except BaseException:
            context.metrics.close()
            raise
        try:
            async with asyncio.timeout(_OPEN_TIMEOUT) as bound:
                if hasattr(plugin.made, "open"):
                    await plugin.made.open()
        except BaseException as error:
            self._close_in_background([plugin])
            if bound.expired():
                text = f"{spec}: its open() took longer than {_OPEN_TIMEOUT:g} s"
                raise ConfigurationError(text) from error
            error.add_note(str(spec))
            raise
        return plugin

    async def _close_replaced(self) -> None:
        while self._replaced and not self._stopping.is_set():
            self._earlier = [each for each in self._earlier if self._in_use(each)]
            used = [plugin for each in (self._current, *self._earlier) for plugin in each.plugins]
            unused = [each for each in self._replaced if each not in used]
            self._replaced = [each for each in self._replaced if each in used]
            await asyncio.gather(*map(self._close, unused))
            with suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_INTERVAL):
                    await self._stopping.wait()

    def _close_in_background(self, plugins: Iterable[_OpenPlugin]) -> None:
        for plugin in plugins:
            _ = self._keep(self._close(plugin))

    def _keep(self, running: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(running)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _close(self, plugin: _OpenPlugin) -> None:
        try:
            if hasattr(plugin.made, "close"):
                await close_within(self.close_timeout, plugin.made.close)
        except Exception:
            self._logger.exception("%s: its close() failed or took too long", plugin.spec)
        finally:
            plugin.metrics.close()


def plugin_entries(config: GatewayConfig, specs: PluginSpecs) -> Iterator[PluginSpec]:
    """Yields the specs of valves, listeners, gates and policies that a client can use."""
    routes = config.routes
    yield from specs.listeners
    if not routes or any(options.gates is None for options in routes):
        yield from specs.gates
    if not routes or any(options.policy is None for options in routes):
        yield from specs.policies
    if not routes or any(options.valves is None for options in routes):
        yield from specs.valves
    for own in specs.routes:
        yield from (*own.gates, *own.policies, *own.valves)
