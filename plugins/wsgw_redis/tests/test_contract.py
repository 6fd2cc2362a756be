"""The contract suite of backends, against a real server behind a proxy."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest
import uvloop
from wsgw_redis.backend import RedisBackend
from wsgw_redis.settings import RedisSettings

from wsgw_core.api import BINARY, TEXT, BackendContext, Headers, Message
from wsgw_core.testing.backend_contract import BackendContract, BackendHarness, Capabilities
from wsgw_core.testing.backend_harness import Inbox
from wsgw_core.testing.broker_proxy import BrokerProxy

from .redis_server import RedisServer

_UNLIMITED = "0"


class RedisHarness(BackendHarness):
    """A server, and a worker that reads the event stream."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def start(self) -> None:
        self._inbox = Inbox()
        self._entries: defaultdict[str, dict[bytes, bytes]] = defaultdict(dict)
        self._connected: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._redis = RedisServer(self._folder)
        await self._redis.start()
        self._proxy = BrokerProxy("127.0.0.1", self._redis.port)
        await self._proxy.start()
        self._worker = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        self._worker.cancel()
        await asyncio.wait([self._worker])
        await self._proxy.stop()
        await self._redis.stop()

    def make_backend(self, context: BackendContext) -> RedisBackend:
        return self._backend(context, self._proxy.port)

    def make_unreachable_backend(self, context: BackendContext) -> RedisBackend:
        return self._backend(context, 1)

    async def receive(self, session_id: str) -> Message:
        return await self._inbox.get(session_id)

    async def request(self, session_id: str) -> tuple[str, Headers]:
        await self._connected[session_id].wait()
        entry = self._entries[session_id]
        path, query = entry[b"path"].decode(), entry.get(b"query", b"").decode()
        headers = tuple(
            (name.removeprefix(b"header.").decode(), each)
            for name, value in entry.items()
            if name.startswith(b"header.")
            for each in value.decode("latin-1").split(", ")  # several headers are joined
        )
        return f"{path}?{query}" if query else path, headers

    async def reply(self, session_id: str, message: Message) -> None:
        kind = "text" if message.kind is TEXT else "binary"
        await self._answer(session_id, {"kind": kind, "data": message.data})

    async def end(self, session_id: str, code: int, reason: str) -> None:
        await self._answer(session_id, {"close": str(code), "reason": reason})

    async def break_off(self, session_id: str) -> None:
        await self._proxy.cut()

    async def freeze(self) -> None:
        self._proxy.freeze()

    async def thaw(self) -> None:
        self._proxy.thaw()

    async def refuse(self) -> None:
        await self._redis.client.config_set("maxmemory", "1")

    async def accept(self) -> None:
        await self._redis.client.config_set("maxmemory", _UNLIMITED)

    def _backend(self, context: BackendContext, port: int) -> RedisBackend:
        settings = RedisSettings.model_validate(
            {
                "url": f"redis://127.0.0.1:{port}",
                "events": ["connect", "message"],
                "headers": ["X-Wsgw-Session", "X-Contract", "Cookie"],
                "reply-buffer": "64MiB",
                "health-interval": "2s",
            }
        )
        return RedisBackend(settings, context)

    async def _answer(self, session_id: str, fields: Mapping[str, str | bytes]) -> None:
        # Before the start no entry names the reply stream: write to all of them.
        known = self._entries[session_id].get(b"reply")
        streams = [known] if known else await self._redis.client.keys("wsgw:replies:*")
        for stream in streams:
            await self._redis.client.xadd(stream, {"session": session_id, **fields})

    async def _work(self) -> None:
        last = b"0-0"
        while True:
            answer = await self._redis.client.xread({"wsgw:events": last}, block=1000)
            for entry_id, fields in answer[0][1] if answer else ():
                last = entry_id
                self._take(fields)

    def _take(self, fields: dict[bytes, bytes]) -> None:
        session_id = fields[b"session"].decode()
        self._entries[session_id] |= fields
        self._connected[session_id].set()
        if fields[b"type"] == b"message":
            kind = TEXT if fields[b"kind"] == b"text" else BINARY
            self._inbox.put(session_id, Message(kind, fields[b"data"]))


class TestRedis(BackendContract):
    capabilities = Capabilities(refuses=True, shared_link=True)

    @pytest.fixture
    def harness(self, tmp_path: Path) -> BackendHarness:
        return RedisHarness(tmp_path)


class TestRedisOnUvloop(TestRedis):
    loop_factory = uvloop.new_event_loop
