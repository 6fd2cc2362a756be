"""Keeps the backends of one DNS name in step with its addresses."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Protocol

from ..api import ConfigurationError, Counter
from ..components import BackendComponent
from ..rare_warning import RareWarning
from .backend_pool import PooledBackend

Resolve = Callable[[str | None, int | None], Awaitable[Collection[str]]]


class Backends(Protocol):
    """Where backends are added and removed; OpenBackends is one."""

    async def add(self, component: BackendComponent) -> PooledBackend:
        """Make a backend, open it, and offer it."""
        ...

    def remove(self, pooled: PooledBackend) -> None:
        """Offer a backend no more, and close it."""
        ...


async def system_addresses(host: str | None, port: int | None) -> Collection[str]:
    """Ask the system's resolver for all addresses of a name.

    Raises:
        OSError: it has none, or the resolver cannot be asked.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return dict.fromkeys(str(address[0]) for *_, address in found)


class Discovery:
    """Adds a backend for each address of a name, and takes out those whose address is gone.

    A backend whose address is gone gets no new sessions, keeps those that it has, and is removed
    once it has none left. A name that cannot be resolved changes nothing.

    Args:
        component: its entry has the name; the backends are made of it, one for each address.
        backends: where they are added and removed.
        resolve: gives the addresses of a name and port; see `system_addresses`.
        timeout: bound of one resolution, in seconds.
        failures: counts resolutions that failed.
        logger: for changes and failures.
    """

    def __init__(
        self,
        component: BackendComponent,
        backends: Backends,
        resolve: Resolve,
        *,
        timeout: float,
        failures: Counter,
        logger: logging.Logger,
    ) -> None:
        self._component = component
        self._backends = backends
        self._resolve = resolve
        self._timeout = timeout
        self._failures = failures
        self._logger = logger
        self._warn = RareWarning(logger)
        self._known: dict[str, PooledBackend] = {}
        self._gone: set[str] = set()

    async def look(self) -> None:
        """Resolve the name once, and follow."""
        name = self._component.entry.name_to_resolve
        try:
            async with asyncio.timeout(self._timeout):
                addresses = await self._resolve(*name)
        except (OSError, TimeoutError, UnicodeError) as error:
            self._failures.value += 1
            why = str(error) or f"no answer within {self._timeout:g} s"
            self._warn("backend %s: cannot be resolved: %s", self._component.id, why)
            return
        self._remove_drained()
        for address in addresses:
            if address not in self._known:
                await self._add(address)
            elif address in self._gone:
                self._come_back(address)
        for address in self._known.keys() - set(addresses) - self._gone:
            self._drain(address)

    async def _add(self, address: str) -> None:
        component = self._component.at_address(address)
        try:
            self._known[address] = await self._backends.add(component)
        except (ConfigurationError, ValueError) as error:
            self._failures.value += 1
            self._warn("backend %s: cannot be added: %s", component.id, error)
        else:
            self._logger.info("backend %s: has joined", component.id)

    def _drain(self, address: str) -> None:
        backend = self._known[address]
        backend.enabled = False
        self._gone.add(address)
        self._logger.info("backend %s: its address is gone, no new sessions", backend.id)

    def _come_back(self, address: str) -> None:
        backend = self._known[address]
        backend.enabled = True
        self._gone.discard(address)
        self._logger.info("backend %s: its address is back", backend.id)

    def _remove_drained(self) -> None:
        for address in [each for each in self._gone if not self._known[each].active]:
            backend = self._known.pop(address)
            self._gone.discard(address)
            if not backend.removed:  # by an operator
                self._backends.remove(backend)
                self._logger.info("backend %s: has left", backend.id)


class Discoveries:
    """All discoveries of one gateway.

    Args:
        discoveries: one for each name.
        interval: seconds between two looks at a name.
        logger: for faults.
    """

    def __init__(
        self, discoveries: Iterable[Discovery], interval: float, logger: logging.Logger
    ) -> None:
        self._discoveries = tuple(discoveries)
        self._interval = interval
        self._logger = logger
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Look at all names once, and from then on again and again."""
        await asyncio.gather(*(discovery.look() for discovery in self._discoveries))
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._go_on(each)) for each in self._discoveries]

    async def close(self) -> None:
        """Look no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _go_on(self, discovery: Discovery) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await discovery.look()
            except Exception:
                self._logger.exception("fault while backends were being looked for")
