"""The contract suite for backends, against a websocket server of another library."""

from __future__ import annotations

import asyncio
import socket

import pytest
import uvloop
from websockets.asyncio.server import Server, ServerConnection, serve
from wsgw_ws.backend import WebSocketBackend
from wsgw_ws.settings import WebSocketSettings

from wsgw_core.api import BINARY, TEXT, BackendContext, Headers, Message
from wsgw_core.testing.backend_contract import BackendContract, BackendHarness
from wsgw_core.testing.backend_harness import Inbox


class WebSocketHarness(BackendHarness):
    """A websocket server whose application does what the suite asks for."""

    _server: Server

    async def start(self) -> None:
        self._inbox = Inbox()
        self._connections: dict[str, ServerConnection] = {}
        self._changed = asyncio.Condition()
        self._frozen = False
        self._server = await serve(
            self._serve, "127.0.0.1", 0, compression=None, max_size=None, ping_interval=None
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    def make_backend(self, context: BackendContext) -> WebSocketBackend:
        return self._backend_at(self._port, context)

    def make_unreachable_backend(self, context: BackendContext) -> WebSocketBackend:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        return self._backend_at(port, context)

    async def receive(self, session_id: str) -> Message:
        return await self._inbox.get(session_id)

    async def request(self, session_id: str) -> tuple[str, Headers]:
        request = (await self._find(session_id)).request
        assert request is not None
        return request.path, tuple(request.headers.raw_items())

    async def reply(self, session_id: str, message: Message) -> None:
        connection = await self._find(session_id)
        await connection.send(message.data, text=message.kind is TEXT)

    async def end(self, session_id: str, code: int, reason: str) -> None:
        await (await self._find(session_id)).close(code, reason)

    async def break_off(self, session_id: str) -> None:
        (await self._find(session_id)).transport.abort()

    async def freeze(self) -> None:
        self._frozen = True
        for connection in self._connections.values():
            self._set_reading(connection)

    async def thaw(self) -> None:
        self._frozen = False
        for connection in self._connections.values():
            self._set_reading(connection)

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        session_id = connection.request.headers["X-Wsgw-Session"]
        async with self._changed:
            self._connections[session_id] = connection
            self._changed.notify_all()
        self._set_reading(connection)
        async for content in connection:
            message = (
                Message.from_text(content)
                if isinstance(content, str)
                else Message(BINARY, bytes(content))
            )
            self._inbox.put(session_id, message)

    async def _find(self, session_id: str) -> ServerConnection:
        async with self._changed:
            await self._changed.wait_for(lambda: session_id in self._connections)
        return self._connections[session_id]

    def _set_reading(self, connection: ServerConnection) -> None:
        transport = connection.transport
        if transport.is_closing() or transport.is_reading() is not self._frozen:
            return
        if self._frozen:
            transport.pause_reading()
        else:
            transport.resume_reading()

    @staticmethod
    def _backend_at(port: int, context: BackendContext) -> WebSocketBackend:
        return WebSocketBackend(WebSocketSettings(url=f"ws://127.0.0.1:{port}"), context)


class TestOnTheStandardLoop(BackendContract):
    @pytest.fixture
    def harness(self) -> BackendHarness:
        return WebSocketHarness()


class TestOnUvloop(BackendContract):
    loop_factory = uvloop.new_event_loop

    @pytest.fixture
    def harness(self) -> BackendHarness:
        return WebSocketHarness()
