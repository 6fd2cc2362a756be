"""Looks up names with the system's resolver; a lookup that hangs delays no other."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import socket
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import cast

from aiohappyeyeballs import start_connection

from ...api import (
    BackendUnavailable,
    BackendUnreachable,
    OutOfResources,
    run_in_thread,
    unavailable,
)
from ...api.rare_warning import RareWarning
from ...api.resolver import AddressInfo, ProtocolT
from ...metrics.counters import GatewayCounters

_REST = 1.0  # seconds for which an answer or a failure stays valid
_GRACE = 0.5  # seconds to wait for a new answer while there is an old one
_DAY = 86400.0  # RFC 8767 recommends one to three days for answers that cannot be renewed
_MOST_LOOKUPS = 64  # in progress, each in a thread
_MOST_NAMES = 4096
_NEXT_ADDRESS = 0.25  # seconds until it tries the next address, as RFC 8305 recommends


class SystemResolver:
    """Looks up names as the system is configured: in `/etc/hosts`, by DNS or otherwise.

    A lookup cannot be cancelled, so each runs in a daemon thread of its own. Each name has one
    lookup at a time. Dials wait for it until `timeout`; after that they fail at once until it ends.

    Args:
        counters: the gateway's counters.
        logger: logs failed lookups.
        timeout: maximum seconds for which a dial waits for the first addresses of a name.
        hold: seconds for which the last known addresses of a name stay in use after the name is
            gone. While the lookup itself fails, they stay in use for a day.

    Attributes:
        timeout, hold: see above; may be changed.
    """

    def __init__(
        self, counters: GatewayCounters, logger: logging.Logger, *, timeout: float, hold: float
    ) -> None:
        self.timeout = timeout
        self.hold = hold
        self._names: dict[str, _Name] = {}
        self._room = asyncio.Semaphore(_MOST_LOOKUPS)
        self._warn = RareWarning(logger)
        self._counters = counters

    async def resolve(self, host: str, port: int) -> tuple[AddressInfo, ...]:
        """See Resolver."""
        if _is_numeric(host):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return ((family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)),)
        name, now = self._name(host), asyncio.get_running_loop().time()
        lookup = self._lookup(name, now)
        if lookup is not None:
            bound = min(_GRACE, self.timeout) if name.age(now) < _DAY else self.timeout
            left = name.begun_at + bound - now
            if left > 0:
                await asyncio.wait((lookup,), timeout=left)
        return tuple(_at_port(each, port) for each in self._last_known(name))

    async def connect(self, host: str, port: int) -> socket.socket:
        """See Resolver."""
        return await _connect(await self.resolve(host, port))

    async def create_connection(
        self, make_protocol: Callable[[], ProtocolT], host: str, port: int
    ) -> tuple[asyncio.Transport, ProtocolT]:
        """See Resolver."""
        loop = asyncio.get_running_loop()
        addresses = await self.resolve(host, port)
        if len(addresses) == 1 and not any(addresses[0][4][2:]):  # a scope needs a socket
            return await loop.create_connection(make_protocol, *addresses[0][4][:2])
        connected = await _connect(addresses)
        try:
            return await loop.create_connection(make_protocol, sock=connected)
        except BaseException:
            connected.close()
            raise

    async def look_up(self, host: str) -> Collection[str]:
        """Returns all addresses of a name from a new answer; waits for it without a timeout.

        Raises:
            BackendUnavailable: there is no such name, or the lookup failed.
        """
        if _is_numeric(host):
            return (host,)
        name = self._name(host)
        lookup = self._lookup(name, asyncio.get_running_loop().time())
        if lookup is not None:
            await asyncio.wait((lookup,))
        if name.failure is not None:
            raise name.failure(name.reason)
        return dict.fromkeys(str(each[4][0]) for each in name.addresses)

    async def close(self) -> None:
        """Cancels the waiting for all lookups; threads that hang stay behind."""
        lookups = [name.lookup for name in self._names.values() if name.lookup is not None]
        for lookup in lookups:
            lookup.cancel()
        await asyncio.gather(*lookups, return_exceptions=True)

    def _name(self, host: str) -> _Name:
        name = self._names.get(host)
        if name is None:
            if len(self._names) >= _MOST_NAMES:
                self._forget_one()
            name = self._names[host] = _Name(host)
        return name

    def _forget_one(self) -> None:
        idle = [name for name in self._names.values() if name.lookup is None]
        if not idle:
            raise OutOfResources(f"too many name lookups: {_MOST_NAMES} are running")
        del self._names[min(idle, key=lambda name: name.ended_at).host]

    def _lookup(self, name: _Name, now: float) -> asyncio.Task[None] | None:
        """Returns the lookup in progress; begins one unless the last one has just ended."""
        if name.lookup is None and now - name.ended_at >= _REST:
            name.begun_at = now
            name.lookup = asyncio.get_running_loop().create_task(self._look_up(name))
        return name.lookup

    async def _look_up(self, name: _Name) -> None:
        call = partial(socket.getaddrinfo, name.host, None, type=socket.SOCK_STREAM)
        loop = asyncio.get_running_loop()
        try:
            async with self._room:
                found = cast("list[AddressInfo]", await run_in_thread(call))
        except Exception as error:  # noqa: BLE001 - each is a failure, and is reported
            name.failed(_failure(name.host, error), loop.time(), self.hold)
            self._counters.name_lookups_failed.value += 1
            self._warn("name lookup failed: %s", name.reason)
        else:
            name.answered(found, loop.time())
            self._counters.name_lookups.value += 1
        finally:
            name.ended_at = loop.time()
            name.lookup = None

    def _last_known(self, name: _Name) -> tuple[AddressInfo, ...]:
        """Returns the last known addresses; raises the reason if there are none."""
        if name.lookup is None and name.failure is None:
            return name.addresses
        if name.age(asyncio.get_running_loop().time()) < _DAY:
            self._counters.stale_addresses_used.value += 1
            return name.addresses
        if name.lookup is not None:
            self._counters.name_lookups_late.value += 1
            raise OutOfResources(f"{name.host}: name lookup takes too long")
        assert name.failure is not None  # noqa: S101 - for the type checker
        raise name.failure(name.reason)


class _Name:
    """The known addresses of one name, and its lookups.

    Attributes:
        addresses: the addresses of the last successful lookup.
        lookup: the lookup in progress.
        begun_at, ended_at: when the last lookup began, and ended.
        failure, reason: the error of the last lookup; each dial raises an exception of its own.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.addresses: tuple[AddressInfo, ...] = ()
        self.lookup: asyncio.Task[None] | None = None
        self.begun_at = self.ended_at = self._answered_at = float("-inf")
        self._missing_since: float | None = None
        self.failure: type[BackendUnavailable] | None = OutOfResources
        self.reason = f"{host}: not looked up yet"

    def age(self, now: float) -> float:
        """Returns the seconds since the answer that gave the addresses."""
        return now - self._answered_at

    def answered(self, addresses: Iterable[AddressInfo], now: float) -> None:
        """Notes an answer with addresses."""
        self.addresses = tuple(addresses)
        self._answered_at = now
        self._missing_since = self.failure = None

    def failed(self, failure: BackendUnavailable, now: float, hold: float) -> None:
        """Records a failure; removes the addresses of a name that has been gone for `hold`."""
        self.failure, self.reason = type(failure), failure.reason
        if isinstance(failure, OutOfResources):
            return
        if self._missing_since is None:
            self._missing_since = now
        if now - self._missing_since >= hold:
            self._answered_at = float("-inf")


def _failure(host: str, error: Exception) -> BackendUnavailable:
    if isinstance(error, UnicodeError):
        return BackendUnreachable(f"{host}: not a host name")
    reason = f"{host}: {getattr(error, 'strerror', None) or error}"
    if isinstance(error, OSError):
        return unavailable(reason, error)
    return OutOfResources(reason)  # no thread, no memory


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host  # only the system knows the name of an interface


def _at_port(address: AddressInfo, port: int) -> AddressInfo:
    *what, where = address
    return cast("AddressInfo", (*what, (where[0], port, *where[2:])))


async def _connect(addresses: tuple[AddressInfo, ...]) -> socket.socket:
    try:
        return await start_connection(addresses, happy_eyeballs_delay=_NEXT_ADDRESS)
    except RuntimeError as error:  # uvloop raises this for an invalid address
        raise OSError(errno.EINVAL, str(error)) from error
