"""Keeps the backends of one DNS name in step with its addresses."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Protocol

from ...api import BackendContext, BackendUnavailable, ConfigurationError, Counter
from ...api.rare_warning import RareWarning
from ...plugins.components import BackendComponent
from ..backends.backend_pool import PooledBackend


class Names(Protocol):
    """Where names are looked up; SystemResolver is one.

    Attributes:
        hold: seconds for which an address may be missing from the answers for its name.
    """

    hold: float

    async def look_up(self, host: str) -> Collection[str]:
        """Returns the addresses of a name; raises BackendUnavailable."""
        ...


class Backends(Protocol):
    """Where backends are added and removed; OpenBackends is one."""

    def has(self, backend_id: str) -> bool:
        """Whether a backend of this id is offered."""
        ...

    async def add(self, component: BackendComponent) -> PooledBackend:
        """Makes a backend, opens it, and offers it."""
        ...

    async def prepare(self, component: BackendComponent, context: BackendContext) -> PooledBackend:
        """Makes a backend and opens it, to be offered or discarded later."""
        ...

    def offer(self, pooled: PooledBackend) -> None:
        """Offers a backend that was prepared."""
        ...

    def discard(self, pooled: PooledBackend) -> None:
        """Closes a backend that was prepared and not offered."""
        ...

    def remove(self, pooled: PooledBackend) -> None:
        """Offers a backend no more, and closes it."""
        ...


class Discovery:
    """Adds a backend for each address of a name, and takes out those whose address is gone.

    An address is gone when it has been missing from all answers for a while. Its backend then gets
    no new sessions, its own move to others, and it is removed once it has none left. A name that
    cannot be resolved changes nothing. An address whose id another backend has waits for it.

    Args:
        component: its entry has the name; the backends are made of it, one for each address.
        backends: where they are added and removed.
        names: where the name is looked up.
        drain: disables a backend, given its id, and has its sessions move to others.
        timeout: bound of one lookup, in seconds.
        failures: counts resolutions that failed.
        logger: for changes and failures.

    Attributes:
        component: see above.
    """

    def __init__(
        self,
        component: BackendComponent,
        backends: Backends,
        names: Names,
        drain: Callable[[str], object],
        *,
        timeout: float,
        failures: Counter,
        logger: logging.Logger,
    ) -> None:
        self.component = component
        self._backends = backends
        self._names = names
        self._begin_drain = drain
        self._timeout = timeout
        self._failures = failures
        self._logger = logger
        self._warn = RareWarning(logger)
        self._known: dict[str, PooledBackend] = {}
        self._prepared: dict[str, PooledBackend] = {}
        self._missing: dict[str, float] = {}  # and since when
        self._gone: dict[str, bool] = {}  # and whether its backend was enabled until then
        self._waiting: set[str] = set()  # for their ids

    @property
    def id(self) -> str:
        """The id of the entry that has the name."""
        return self.component.id

    @property
    def backends(self) -> tuple[PooledBackend, ...]:
        """Those that are offered."""
        return tuple(backend for backend in self._known.values() if not backend.removed)

    @property
    def leaving(self) -> frozenset[PooledBackend]:
        """Those that are disabled for the only reason that their address is gone."""
        return frozenset(self._known[each] for each, enabled in self._gone.items() if enabled)

    @property
    def deleted(self) -> frozenset[str]:
        """The ids of backends that operators have deleted, and whose address is still there."""
        return frozenset(
            self._known[address].id for address in self.addresses if self._known[address].removed
        )

    @property
    def prepared(self) -> tuple[PooledBackend, ...]:
        """Those that are to be offered."""
        return tuple(self._prepared.values())

    @property
    def addresses(self) -> tuple[str, ...]:
        """Those that the name has, or had a short while ago."""
        return tuple(address for address in self._known if address not in self._gone)

    async def prepare(
        self,
        make_context: Callable[[BackendComponent], BackendContext],
        known: Collection[str] = (),
    ) -> None:
        """Resolves the name and opens a backend for each address, to `join` or be discarded.

        Args:
            make_context: makes what a backend's factory is given.
            known: addresses that the name had a short while ago.

        Raises:
            ConfigurationError: one cannot work as configured.
        """
        resolved = await self._addresses()
        if resolved is None:
            resolved = known
        elif self._names.hold:
            resolved = dict.fromkeys((*resolved, *known))
        for address in resolved:
            component = self.component.at_address(address)
            context = make_context(component)
            self._prepared[address] = await self._backends.prepare(component, context)

    def join(self, disabled: Collection[str] = (), deleted: Collection[str] = ()) -> None:
        """Offers what was prepared.

        Args:
            disabled: ids of backends that operators have disabled.
            deleted: of those that they have deleted.
        """
        for address, backend in self._prepared.items():
            if backend.id in deleted:
                backend.removed = True
                self._known[address] = backend  # so that no look adds it
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
        """Closes what was prepared."""
        for backend in self._prepared.values():
            self._backends.discard(backend)
        self._prepared.clear()

    async def look(self) -> None:
        """Resolves the name once, and follows."""
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
        host, _ = self.component.entry.name_to_resolve
        try:
            async with asyncio.timeout(self._timeout):
                return await self._names.look_up(host or "")
        except (BackendUnavailable, TimeoutError) as error:
            self._failures.value += 1
            why = str(error) or f"no answer within {self._timeout:g} s"
            self._warn("backend %s: cannot be resolved: %s", self.component.id, why)
            return None

    async def _add(self, address: str) -> None:
        component = self.component.at_address(address)
        if self._backends.has(component.id):
            self._wait(address, component.id)
            return
        try:
            self._known[address] = await self._backends.add(component)
        except (ConfigurationError, ValueError) as error:
            self._failures.value += 1
            self._warn("backend %s: cannot be added: %s", component.id, error)
        else:
            self._waiting.discard(address)
            self._logger.info("backend %s: has joined", component.id)

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
            self._logger.info("backend %s: its address is gone, it is drained", backend.id)

    def _come_back(self, address: str) -> None:
        backend = self._known[address]
        backend.enabled = self._gone.pop(address) or backend.enabled
        self._logger.info("backend %s: its address is back", backend.id)

    def _remove_drained(self) -> None:
        for address in [each for each in self._gone if not self._known[each].active]:
            backend = self._known.pop(address)
            del self._gone[address]
            if not backend.removed:  # by an operator
                self._backends.remove(backend)
                self._logger.info("backend %s: has left", backend.id)


class Discoveries:
    """All discoveries of one gateway.

    Args:
        interval: seconds between two looks at a name.
        logger: for faults.
    """

    def __init__(self, interval: float, logger: logging.Logger) -> None:
        self._interval = interval
        self._logger = logger
        self._running: dict[str, tuple[Discovery, asyncio.Task[None]]] = {}

    async def start(self, discoveries: Sequence[Discovery]) -> None:
        """Looks at all names once, and from then on again and again."""
        await asyncio.gather(*(discovery.look() for discovery in discoveries))
        for discovery in discoveries:
            self._begin(discovery)

    def add(self, discovery: Discovery) -> None:
        """Looks at one more name, which has joined already, again and again."""
        self._begin(discovery)

    def find(self, backend_id: str) -> Discovery | None:
        """Returns the discovery whose entry has an id."""
        return self._running[backend_id][0] if backend_id in self._running else None

    def __iter__(self) -> Iterator[Discovery]:
        return iter([discovery for discovery, _ in self._running.values()])

    @property
    def leaving(self) -> frozenset[PooledBackend]:
        """The backends that are disabled for the only reason that their address is gone."""
        return frozenset(backend for discovery in self for backend in discovery.leaving)

    def remove(self, discovery: Discovery) -> None:
        """Looks at a name no more; its backends stay as they are."""
        _, task = self._running.pop(discovery.id)
        task.cancel()

    async def close(self) -> None:
        """Looks no more."""
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, discovery: Discovery) -> None:
        task = asyncio.get_running_loop().create_task(self._go_on(discovery))
        self._running[discovery.id] = discovery, task

    async def _go_on(self, discovery: Discovery) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await discovery.look()
            except Exception:
                self._logger.exception("fault while backends were being looked for")
