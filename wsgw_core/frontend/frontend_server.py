"""Listens on one address, and keeps its clients."""

from __future__ import annotations

import asyncio
import errno
import os
import socket

from ..api import CloseCause
from ..config.address import Address
from ..websocket.session_ends import GATEWAY_STOPPED
from .acceptor import Acceptor
from .client_socket import ClientSocket
from .client_timeouts import ClientTimeouts
from .handshake import ClientHandshake, HandshakeSettings
from .server_tls import ServerTls

_BACKLOG = 4096
_FAMILY_IS_MISSING = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class FrontendServer:
    """The listening sockets of one address, one for each address family, and its clients.

    Args:
        address: the address to listen on; None: clients are handed over.
        settings: the settings of the handshakes.
        tls: the clients' TLS; None: clients use plain TCP.
        timeouts: checks each websocket; None: no timeouts.
    """

    def __init__(
        self,
        address: Address | None,
        settings: HandshakeSettings,
        tls: ServerTls | None = None,
        timeouts: ClientTimeouts | None = None,
    ) -> None:
        self._address = address
        self._settings = settings
        self._tls = tls
        self._timeouts = timeouts
        self._acceptor: Acceptor | None = None
        self._clients: set[ClientHandshake | ClientSocket] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    def bind(self) -> None:
        """Binds the sockets; raises OSError."""
        if self._address is None:
            return
        settings = self._settings
        self._acceptor = Acceptor(
            bind(self._address),
            self._make_protocol,
            lambda: settings.admission.room,
            settings.counters.accept_pauses,
            settings.logger,
        )

    def accept(self) -> None:
        """Starts to listen, after `bind`; raises OSError."""
        if self._address is None:
            return
        assert self._acceptor is not None, "not bound"  # noqa: S101 - the caller's fault
        try:
            self._acceptor.start(_BACKLOG)
        except BaseException:
            self._acceptor.stop()
            raise

    def take_over(self, transport: asyncio.Transport, received: bytes) -> None:
        """Serves a client that another server has accepted.

        Args:
            transport: the client's transport; gets a new protocol.
            received: the bytes that the client has sent so far.
        """
        handshake = self._make_handshake()
        transport.set_protocol(handshake)
        handshake.connection_made(transport)
        if not transport.is_reading():
            transport.resume_reading()
        handshake.data_received(received)

    def serve_by(self, settings: HandshakeSettings, tls: ServerTls | None) -> None:
        """Sets the settings for future clients; present clients keep theirs.

        Args:
            settings: the new settings, with the same admission and counters.
            tls: the new TLS; None only if it was None before.
        """
        self._settings = settings
        self._tls = tls

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses it listens on, with the port that the system chose."""
        return self._acceptor.addresses if self._acceptor is not None else ()

    def stop_accepting(self) -> None:
        """Stops listening; clients stay."""
        if self._acceptor is not None:
            self._acceptor.stop()

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109 - of a part, not of the call
        """Closes all clients; drops those that are not gone after `timeout` seconds."""
        self.stop_accepting()
        if self._acceptor is not None:
            await self._acceptor.settle()
        for client in tuple(self._clients):
            client.close(GATEWAY_STOPPED.client, "gateway is stopping", CloseCause.GATEWAY_STOPS)
        try:
            async with asyncio.timeout(timeout):
                await self._empty.wait()
        except TimeoutError:
            for client in tuple(self._clients):
                client.abort()
            await self._empty.wait()

    def _make_protocol(self) -> asyncio.BaseProtocol:
        return (
            self._make_handshake() if self._tls is None else self._tls.over(self._make_handshake)()
        )

    def _make_handshake(self) -> ClientHandshake:
        return ClientHandshake(self._settings, self._register, self._forget)

    def _register(self, client: ClientHandshake | ClientSocket) -> None:
        self._clients.add(client)
        self._empty.clear()
        if self._timeouts is not None and isinstance(client, ClientSocket):
            self._timeouts.watch(client)

    def _forget(self, client: ClientHandshake | ClientSocket) -> None:
        self._clients.discard(client)
        if self._timeouts is not None and isinstance(client, ClientSocket):
            self._timeouts.forget(client)
        if not self._clients:
            self._empty.set()


def bind(address: Address) -> list[socket.socket]:
    """Binds a socket for each of the address's families, all with the same port.

    It looks up a name with a blocking call. The event loop would start threads, and a process with
    threads pays for locks in every system call.

    Raises:
        OSError: the address cannot be bound; for a wildcard address, in no family.
    """
    found = socket.getaddrinfo(
        address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    bound: list[socket.socket] = []
    port = address.port
    try:
        for family, where in dict.fromkeys((entry[0], entry[4]) for entry in found):
            try:
                bound.append(_bind_one(family, (where[0], port, *where[2:])))
            except OSError as error:
                if address.host or error.errno not in _FAMILY_IS_MISSING:
                    raise
            else:
                port = bound[0].getsockname()[1]
    except BaseException:
        for listening in bound:
            listening.close()
        raise
    if not bound:
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    return bound


def _bind_one(family: int, where: tuple[object, ...]) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(where)
    except BaseException:
        listening.close()
        raise
    return listening
