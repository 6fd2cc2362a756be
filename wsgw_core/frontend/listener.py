"""Accepts clients on one address."""

from __future__ import annotations

import asyncio

from ..config import Address
from .client_socket import ClientSocket
from .handshake import ClientHandshake, HandshakeSettings

_BACKLOG = 4096


class Listener:
    """A listening socket, or one for each address family, and its clients.

    Args:
        address: where to listen.
        settings: for the handshakes.
    """

    def __init__(self, address: Address, settings: HandshakeSettings) -> None:
        self._address = address
        self._settings = settings
        self._server: asyncio.Server | None = None
        self._clients: set[ClientHandshake | ClientSocket] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    async def open(self) -> None:
        """Listen; raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: ClientHandshake(self._settings, self._register, self._forget),
            self._address.host or None,
            self._address.port,
            backlog=_BACKLOG,
        )

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where it listens, with the ports that the system chose."""
        sockets = self._server.sockets if self._server is not None else ()
        return tuple(Address(*socket.getsockname()[:2]) for socket in sockets)

    def stop_accepting(self) -> None:
        """Listen no more; clients stay."""
        if self._server is not None:
            self._server.close()

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109 - of a part, not of the call
        """Close what is left, then wait until all have gone, at most `timeout` seconds."""
        self.stop_accepting()
        for client in tuple(self._clients):
            client.close(1012, "gateway is stopping")
        try:
            async with asyncio.timeout(timeout):
                await self._empty.wait()
        except TimeoutError:
            for client in tuple(self._clients):
                client.abort()
            await self._empty.wait()

    def _register(self, client: ClientHandshake | ClientSocket) -> None:
        self._clients.add(client)
        self._empty.clear()

    def _forget(self, client: ClientHandshake | ClientSocket) -> None:
        self._clients.discard(client)
        if not self._clients:
            self._empty.set()
