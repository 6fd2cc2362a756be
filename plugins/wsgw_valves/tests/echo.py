"""A websocket backend that records requests and messages, and echoes messages."""

from __future__ import annotations

from collections.abc import Sequence

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request
from websockets.typing import Subprotocol


class Echo:
    """One server.

    Attributes:
        requests: the opening handshakes, in order.
        heard: all messages.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.heard: list[str | bytes] = []
        self._server: Server

    @property
    def url(self) -> str:
        port = next(iter(self._server.sockets)).getsockname()[1]
        return f"ws://127.0.0.1:{port}"

    async def start(self) -> None:
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            0,
            select_subprotocol=lambda _, offers: _first(offers),
            max_size=None,
        )

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.requests.append(connection.request)
        async for message in connection:
            self.heard.append(message)
            await connection.send(message)


def _first(offers: Sequence[Subprotocol]) -> Subprotocol | None:
    return offers[0] if offers else None
