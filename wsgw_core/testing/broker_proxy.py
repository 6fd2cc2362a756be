"""A TCP proxy in front of a shared broker, so that a test can freeze and cut its connections."""

from __future__ import annotations

import asyncio
from contextlib import suppress

__all__ = ["BrokerProxy"]

_CHUNK = 64 * 1024


class BrokerProxy:
    """Forwards between the backend under test and a server; a test can freeze and cut it.

        proxy = BrokerProxy("127.0.0.1", 4222)
        await proxy.start()
        backend = make_backend(f"nats://127.0.0.1:{proxy.port}")

    Args:
        host: the server's host.
        port: the server's port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    async def start(self) -> None:
        """Listens on a free port of 127.0.0.1."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    @property
    def port(self) -> int:
        """The port it listens on, after `start`."""
        if self._server is None:
            raise RuntimeError("the proxy is not started")
        return int(self._server.sockets[0].getsockname()[1])

    def __len__(self) -> int:
        """The number of present connections."""
        return len(self._connections)

    def freeze(self) -> None:
        """Stops forwarding in both directions until `thaw`; bytes that arrive wait."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Resumes forwarding, beginning with the bytes that waited."""
        self._flowing.set()

    async def cut(self) -> None:
        """Aborts all connections with the bytes that wait in them; accepts new connections."""
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def stop(self) -> None:
        """Aborts all connections and stops listening."""
        if self._server is not None:
            self._server.close()
            await self.cut()
            await self._server.wait_closed()

    async def _serve(
        self, inner_reader: asyncio.StreamReader, inner_writer: asyncio.StreamWriter
    ) -> None:
        own = asyncio.current_task()
        assert own is not None
        self._connections.add(own)
        writers = [inner_writer]
        # The server that runs this task would report its cancellation as an error.
        with suppress(asyncio.CancelledError, OSError):
            reader, writer = await asyncio.open_connection(*self._target)
            writers.append(writer)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._forward(inner_reader, writer))
                both.create_task(self._forward(reader, inner_writer))
        for each in writers:
            each.transport.abort()
        self._connections.discard(own)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(_CHUNK):
                await self._flowing.wait()
                if writer.is_closing():
                    return
                writer.write(data)
                await writer.drain()
            if not writer.is_closing() and writer.can_write_eof():
                writer.write_eof()
        except OSError:  # one side has reset its connection, and the other is to learn of it
            writer.transport.abort()
