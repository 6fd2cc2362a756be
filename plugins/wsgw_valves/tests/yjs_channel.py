"""A websocket as a channel of `pycrdt`."""

from __future__ import annotations

from contextlib import suppress

from pycrdt import Channel
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed


class WebsocketChannel(Channel):
    """One websocket.

    Args:
        connection: of a client or a server.
        path: the document's name.
    """

    def __init__(self, connection: Connection, path: str) -> None:
        self._connection = connection
        self._path = path

    @property
    def path(self) -> str:
        return self._path

    async def __anext__(self) -> bytes:
        try:
            return await self.recv()
        except ConnectionClosed:
            raise StopAsyncIteration from None

    async def send(self, message: bytes) -> None:
        with suppress(ConnectionClosed):  # the exception would end the room for all
            await self._connection.send(message)

    async def recv(self) -> bytes:
        message = await self._connection.recv()
        assert isinstance(message, bytes)
        return message
