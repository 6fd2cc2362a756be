"""How plugins get the addresses of names, and connections to them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Protocol, TypeVar

AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]
"""One item of what `socket.getaddrinfo` returns; its last item is the address to connect to."""

ProtocolT = TypeVar("ProtocolT", bound=asyncio.BaseProtocol)


class Resolver(Protocol):
    """Looks names up for all backends of a gateway.

    The event loop's own lookups share a few threads: a name whose lookup hangs would keep all
    other names waiting. Here each name has one lookup at a time, which all dials share. The last
    known addresses are used while a new lookup takes long, or fails for the gateway's own reasons.
    A numeric address needs no lookup.
    """

    async def resolve(self, host: str, port: int) -> tuple[AddressInfo, ...]:
        """Return the addresses of a name, at least one; for libraries that connect themselves.

        Raises:
            BackendUnavailable: there is no such name.
            OutOfResources: the name could not be looked up (in time), which says nothing of the
                backend.
        """
        ...

    async def connect(self, host: str, port: int) -> socket.socket:
        """Return a TCP socket that is connected to a name, as for `asyncio.open_connection(sock=)`.

        When one address does not answer soon, the next is tried beside it (RFC 8305).

        Raises:
            BackendUnavailable, OutOfResources: as `resolve`.
            OSError: no address can be connected to; see `unavailable`.
        """
        ...

    async def create_connection(
        self, make_protocol: Callable[[], ProtocolT], host: str, port: int
    ) -> tuple[asyncio.Transport, ProtocolT]:
        """Connect as `connect` does, and make a transport and a protocol.

        Costs less than `connect` where there is one address.

        Raises:
            BackendUnavailable, OutOfResources, OSError: as `connect`.
        """
        ...
