"""Keeps the backends of one DNS name in step with its addresses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Sequence

from ...api import BackendContext, BackendUnavailable, ConfigurationError, Counter
from ...api.rare_warning import RareWarning
from ...plugins.plugin_specs import BackendSpec
from ..backends.backend_pool import PooledBackend
from .open_backends import OpenBackends
from .system_resolver import SystemResolver


class Discovery:
    """Adds a backend for each address of a name, and removes it when its address is gone.

    An address is gone when it has been missing from all answers for `names.hold` seconds. wsgw then
    drains its backend, and removes it once it has no connection left. A name that cannot be
    resolved changes nothing. If another backend has the id for an address, the address waits.

    Args:
        spec: the configuration entry with the name.
        backends: adds and removes the backends.
        names: looks up the name.
        drain: disables a backend, by its id, and moves its sessions to others.
        timeout: maximum seconds of one lookup.
        failures: counts failed lookups.
        logger: logs changes and failures.

    Attributes:
        spec: see above.
    """

    def __init__(
        self,
        spec: BackendSpec,
        backends: OpenBackends,
        names: SystemResolver,
        drain: Callable[[str], object],
        *,
        timeout: float,
        failures: Counter,
        logger: logging.Logger,
    ) -> None:
        self.spec = spec
        self._backends = backends
        self._names = names
        self._begin_drain = drain
        self._timeout = timeout
        self._failures = failures
        self._logger = logger
        self._warn = RareWarning(logger)
        self._known: dict[str, PooledBackend] = {}
        self._prepared: dict[str, PooledBackend] = {}
        self._missing: dict[str, float] = {}  # since when, by address
        self._gone: dict[str, bool] = {}  # whether the backend was enabled until then, by address
        self._waiting: set[str] = set()  # addresses whose ids other backends have

    @property
    def id(self) -> str:
        """The id of the configuration entry."""
        return self.spec.id

    @property
    def backends(self) -> tuple[PooledBackend, ...]:
        """The offered backends."""
        return tuple(backend for backend in self._known.values() if not backend.removed)

    @property
    def leaving(self) -> frozenset[PooledBackend]:
        """The backends that are disabled only because their addresses are gone."""
        return frozenset(self._known[each] for each, enabled in self._gone.items() if enabled)

    @property
    def deleted(self) -> frozenset[str]:
        """The ids of backends that operators have deleted while their addresses are present."""
        return frozenset(
            self._known[address].id for address in self.addresses if self._known[address].removed
        )

    @property
    def prepared(self) -> tuple[PooledBackend, ...]:
        """The prepared backends."""
        return tuple(self._prepared.values())

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that the name has, or had until recently."""
        return tuple(address for address in self._known if address not in self._gone)

    async def prepare(
        self,
        make_context: Callable[[BackendSpec], BackendContext],
        known: Collection[str] = (),
    ) -> None:
        """Looks up the name and opens a backend for each address. Then call `join` or `discard`.

        Args:
            make_context: returns the context for a backend's factory.
            known: the addresses that the name had until recently.

        Raises:
            ConfigurationError: a backend cannot work as configured.
        """
        resolved = await self._addresses()
        if resolved is None:
            resolved = known
        elif self._names.hold:
            resolved = dict.fromkeys((*resolved, *known))
        for address in resolved:
            spec = self.spec.at_address(address)
            context = make_context(spec)
            self._prepared[address] = await self._backends.prepare(spec, context)

    def join(self, disabled: Collection[str] = (), deleted: Collection[str] = ()) -> None:
        """Offers the prepared backends.

        Args:
            disabled: the ids of backends that operators have disabled.
            deleted: the ids of backends that operators have deleted.
        """
        for address, backend in self._prepared.items():
            if backend.id in deleted:
                backend.removed = True
                self._known[address] = backend  # so that `look` does not add it
                self._backends.discard(backend)
                continue
            if self._backends.has(backend.id):
                self._wait(address, backend.id)
                self._backends.discard(backend)
                continue
            backend.enabled = backend.id not in disabled
            self._backends.offer(backend)
            self._known[address] = backend
        self._prepared.clear()

    def discard(self) -> None:
        """Closes the prepared backends."""
        for backend in self._prepared.values():
            self._backends.discard(backend)
        self._prepared.clear()

    async def look(self) -> None:
        """Looks up the name once; adds and removes backends accordingly."""
        addresses = await self._addresses()
        if addresses is None:
            return
        self._remove_drained()
        for address in addresses:
            if address not in self._known:
                await self._add(address)
            elif address in self._gone:
                self._come_back(address)
        self._waiting.intersection_update(addresses)
        now = asyncio.get_running_loop().time()
        missing = self._known.keys() - set(addresses) - self._gone.keys()
        self._missing = {address: self._missing.get(address, now) for address in missing}
        for address, since in self._missing.items():
            if now - since >= self._names.hold:
                self._drain(address)

    async def _addresses(self) -> Collection[str] | None:
        host, _ = self.spec.entry.name_to_resolve
        try:
            async with asyncio.timeout(self._timeout):
                return await self._names.look_up(host or "")
        except (BackendUnavailable, TimeoutError) as error:
            self._failures.value += 1
            why = str(error) or f"no answer within {self._timeout:g} s"
            self._warn("backend %s: cannot resolve its name: %s", self.spec.id, why)
            return None

    async def _add(self, address: str) -> None:
        spec = self.spec.at_address(address)
        if self._backends.has(spec.id):
            self._wait(address, spec.id)
            return
        try:
            self._known[address] = await self._backends.add(spec)
        except (ConfigurationError, ValueError) as error:
            self._failures.value += 1
            self._warn("backend %s: cannot be added: %s", spec.id, error)
        else:
            self._waiting.discard(address)
            self._logger.info("backend %s: added: new address of its name", spec.id)

    def _wait(self, address: str, backend_id: str) -> None:
        if address not in self._waiting:
            self._waiting.add(address)
            self._failures.value += 1
            self._logger.warning(
                "backend %s: cannot be added while another backend has this id", backend_id
            )

    def _drain(self, address: str) -> None:
        backend = self._known[address]
        self._gone[address] = backend.enabled
        if not backend.removed:  # by an operator
            self._begin_drain(backend.id)
            self._logger.info(
                "backend %s: draining: its name no longer has this address", backend.id
            )

    def _come_back(self, address: str) -> None:
        backend = self._known[address]
        backend.enabled = self._gone.pop(address) or backend.enabled
        self._logger.info("backend %s: its name has this address again", backend.id)

    def _remove_drained(self) -> None:
        for address in [each for each in self._gone if not self._known[each].active]:
            backend = self._known.pop(address)
            del self._gone[address]
            if not backend.removed:  # by an operator
                self._backends.remove(backend)
                self._logger.info("backend %s: removed: drained", backend.id)


class Discoveries:
    """All discoveries of one gateway.

    Args:
        interval: seconds between two lookups of a name.
        logger: logs faults.
    """

    def __init__(self, interval: float, logger: logging.Logger) -> None:
        self._interval = interval
        self._logger = logger
        self._running: dict[str, tuple[Discovery, asyncio.Task[None]]] = {}

    async def start(self, discoveries: Sequence[Discovery]) -> None:
        """Looks up all names once, and then at the interval."""
        await asyncio.gather(*(discovery.look() for discovery in discoveries))
        for discovery in discoveries:
            self.add(discovery)

    def add(self, discovery: Discovery) -> None:
        """Looks up one more name at the interval, after its discovery has joined."""
        task = asyncio.get_running_loop().create_task(self._go_on(discovery))
        self._running[discovery.id] = discovery, task

    def find(self, backend_id: str) -> Discovery | None:
        """Returns the discovery for the entry of an id, or None."""
        return self._running[backend_id][0] if backend_id in self._running else None

    def __iter__(self) -> Iterator[Discovery]:
        return iter([discovery for discovery, _ in self._running.values()])

    @property
    def leaving(self) -> frozenset[PooledBackend]:
        """The backends that are disabled only because their addresses are gone."""
        return frozenset(backend for discovery in self for backend in discovery.leaving)

    def remove(self, discovery: Discovery) -> None:
        """Stops looking up a name; its backends stay as they are."""
        _, task = self._running.pop(discovery.id)
        task.cancel()

    async def close(self) -> None:
        """Stops all lookups."""
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _go_on(self, discovery: Discovery) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await discovery.look()
            except Exception:
                self._logger.exception("internal error in backend discovery")
