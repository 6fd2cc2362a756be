"""The contract suite of backends, against a real server."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
import uvloop
from wsgw_nats.backend import NatsBackend
from wsgw_nats.settings import NatsSettings

from wsgw_core.api import BINARY, TEXT, BackendContext, Headers, Message
from wsgw_core.testing.backend_contract import BackendContract
from wsgw_core.testing.backend_harness import BackendHarness, Capabilities

from .nats_server import NatsServer
from .workers import Workers


class Counterpart(BackendHarness):
    """A server, with scripted workers.

    Args:
        folder: for the server's files.
        options: of the backends, besides the URL.
    """

    def __init__(self, folder: Path, **options: object) -> None:
        self._options = {"ack-timeout": 60, "headers": "X-Contract, Cookie", **options}
        self._server = NatsServer(folder)
        self._workers = Workers(self._server.url)
        self._given: defaultdict[str, int] = defaultdict(int)

    async def start(self) -> None:
        await self._server.start()
        await self._workers.make_stream("wsgw.>")

    async def stop(self) -> None:
        await self._server.kill()

    def make_backend(self, context: BackendContext) -> NatsBackend:
        options = {"url": self._server.url, **self._options}
        return NatsBackend(NatsSettings.model_validate(options), context)

    def make_unreachable_backend(self, context: BackendContext) -> NatsBackend:
        return NatsBackend(NatsSettings(url="nats://127.0.0.1:1"), context)

    async def receive(self, session_id: str) -> Message:
        given = self._given[session_id]
        self._given[session_id] += 1
        await self._workers.until_numbers(session_id, given + 1)
        _, msg = self._workers.messages[session_id][given]
        assert msg.headers is not None
        kind = BINARY if msg.headers["Wsgw-Type"] == "binary" else TEXT
        return Message(kind, msg.data or b"")

    async def request(self, session_id: str) -> tuple[str, Headers]:
        event = await self._workers.until_told(session_id, "connect")
        return event["path"], tuple((name, value) for name, value in event["headers"])

    async def reply(self, session_id: str, message: Message) -> None:
        await self._workers.reply(session_id, message.data, type=message.kind.name.lower())

    async def end(self, session_id: str, code: int, reason: str) -> None:
        await self._workers.reply(session_id, reason.encode(), type="close", code=str(code))

    async def break_off(self, session_id: str) -> None:
        await self._server.kill()
        await self._server.start()

    async def freeze(self) -> None:
        self._server.freeze()

    async def thaw(self) -> None:
        self._server.thaw()

    async def refuse(self) -> None:
        await self._workers.refuse()

    async def accept(self) -> None:
        await self._workers.accept()


class NatsContract(BackendContract):
    timeout = 60.0  # the workers connect for each reply
    capabilities = Capabilities(
        silent_while_paused=False,  # the shared reader goes on
        refuses=True,
        shared_link=True,
    )


class TestOneSubject(NatsContract):
    loop_factory = uvloop.new_event_loop

    @pytest.fixture
    def harness(self, tmp_path: Path) -> BackendHarness:
        return Counterpart(tmp_path)


class TestSubjectOfItsOwn(NatsContract):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> BackendHarness:
        return Counterpart(tmp_path, subject="wsgw.{path.1}.{session}")
