"""Looks up host names and connects to their addresses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol, TypeVar

AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]
"""One item of what `socket.getaddrinfo` returns; its last item is the address to connect to."""

ProtocolT = TypeVar("ProtocolT", bound=asyncio.BaseProtocol)


class Resolver(Protocol):
    """Looks up host names for all backends of a gateway.

    Each name has one lookup at a time, which all its dials share; a lookup that hangs delays no
    other name. (The event loop's own lookups share a few threads.) While a new lookup takes long or
    fails for reasons of the gateway's machine, dials use the last known addresses. A numeric
    address needs no lookup.
    """

    async def resolve(self, host: str, port: int) -> tuple[AddressInfo, ...]:
        """Returns the addresses of a name, at least one; for libraries that connect themselves.

        Raises:
            BackendUnavailable: there is no such name.
            OutOfResources: the lookup failed or timed out, which says nothing about the backend.
        """

    async def connect(self, host: str, port: int) -> socket.socket:
        """Returns a connected TCP socket, for example for `asyncio.open_connection(sock=)`.

        If one address does not answer soon, it tries the next one in parallel (RFC 8305).

        Raises:
            BackendUnavailable, OutOfResources: as for `resolve`.
            OSError: no address accepts a connection; see `unavailable`.
        """

    async def create_connection(
        self, make_protocol: Callable[[], ProtocolT], host: str, port: int
    ) -> tuple[asyncio.Transport, ProtocolT]:
        """Connects like `connect`; returns a transport and its protocol.

        This costs less than `connect` if the name has one address.

        Raises:
            BackendUnavailable, OutOfResources, OSError: as for `connect`.
        """
