"""The contract suite of backends, against an aiohttp server."""

from __future__ import annotations

import asyncio
import base64
import socket
from typing import ClassVar

import pytest
import uvloop
from aiohttp import web
from wsgw_http.backend import HttpBackend
from wsgw_http.settings import HttpSettings

from wsgw_core.api import BINARY, TEXT, BackendContext, Headers, Message
from wsgw_core.testing.backend_contract import BackendContract, BackendHarness
from wsgw_core.testing.backend_harness import Capabilities, Inbox

# An application closes a session in the answer to a message: see test_messages.py.
_CAPABILITIES = Capabilities(ends=False, breaks_when_idle=False)


class HttpHarness(BackendHarness):
    """A web application that sends its replies in the event stream of the connect answer."""

    _runner: web.AppRunner

    async def start(self) -> None:
        self._inbox = Inbox()
        self._streams: dict[str, web.StreamResponse] = {}
        self._heads: dict[str, tuple[str, Headers]] = {}
        self._lost: set[str] = set()
        self._changed = asyncio.Condition()
        self._thawed = asyncio.Event()
        self._thawed.set()
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._runner.cleanup()

    def make_backend(self, context: BackendContext) -> HttpBackend:
        return self._backend_at(self._port, context)

    def make_unreachable_backend(self, context: BackendContext) -> HttpBackend:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        return self._backend_at(port, context)

    async def receive(self, session_id: str) -> Message:
        return await self._inbox.get(session_id)

    async def request(self, session_id: str) -> tuple[str, Headers]:
        return self._heads[session_id]

    async def reply(self, session_id: str, message: Message) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: session_id in self._streams)
        stream = self._streams[session_id]
        if message.kind is TEXT:
            lines = b"".join(b"data: %s\n" % line for line in message.data.split(b"\n"))
        else:
            lines = b"event: binary\ndata: %s\n" % base64.b64encode(message.data)
        await stream.write(lines + b"\n")

    async def break_off(self, session_id: str) -> None:
        self._lost.add(session_id)

    async def freeze(self) -> None:
        self._thawed.clear()

    async def thaw(self) -> None:
        self._thawed.set()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        session_id = request.headers.get("X-Wsgw-Session", "")
        event = request.headers.get("X-Wsgw-Event")
        if event == "connect":
            self._lost.discard(session_id)
        if session_id in self._lost:
            assert request.transport is not None
            request.transport.abort()
        elif event == "connect":
            return await self._stream(request, session_id)
        elif event == "message":
            self._heads[session_id] = request.raw_path, tuple(request.headers.items())
            body = await request.read()
            await self._thawed.wait()
            kind = TEXT if request.content_type == "text/plain" else BINARY
            self._inbox.put(session_id, Message(kind, body))
        return web.Response(status=204)

    async def _stream(self, request: web.Request, session_id: str) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        async with self._changed:
            self._streams[session_id] = stream
            self._changed.notify_all()
        await asyncio.Event().wait()  # until the client goes
        return stream

    @staticmethod
    def _backend_at(port: int, context: BackendContext) -> HttpBackend:
        options = {
            "url": f"http://127.0.0.1:{port}{{path}}",
            "pass-query": True,
            "pass-headers": ["X-Contract", "Cookie"],
            "retries": 0,
        }
        return HttpBackend(HttpSettings.model_validate(options), context)


class TestOnTheStandardLoop(BackendContract):
    capabilities: ClassVar = _CAPABILITIES

    @pytest.fixture
    def harness(self) -> BackendHarness:
        return HttpHarness()


class TestOnUvloop(BackendContract):
    capabilities: ClassVar = _CAPABILITIES
    loop_factory = uvloop.new_event_loop

    @pytest.fixture
    def harness(self) -> BackendHarness:
        return HttpHarness()
