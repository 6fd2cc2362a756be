"""The contract suite of backends."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from wsgw_jsonl import plugin

from wsgw_core.api import (
    BINARY,
    Backend,
    BackendContext,
    BackendDeclined,
    Close,
    Headers,
    Limits,
    Message,
)
from wsgw_core.testing.backend_contract import BackendContract
from wsgw_core.testing.backend_harness import BackendHarness, Inbox
from wsgw_core.testing.context import make_context
from wsgw_core.testing.recording_sink import RecordingSink
from wsgw_core.testing.registered_plugin import RegisteredPlugin


def backend_at(port: int, context: BackendContext) -> Backend:
    options = {"url": f"jsonl://127.0.0.1:{port}"}
    return RegisteredPlugin(plugin).backend("jsonl", options, context)


class Application(BackendHarness):
    """A scripted application."""

    async def start(self) -> None:
        self._inbox = Inbox()
        self._writers: dict[str, asyncio.StreamWriter] = {}
        self._opened: dict[str, Any] = {}
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, limit=8 * 1024 * 1024
        )

    async def stop(self) -> None:
        self._server.close()
        for writer in self._writers.values():
            writer.transport.abort()
        await self._server.wait_closed()

    def make_backend(self, context: BackendContext) -> Backend:
        return backend_at(self._server.sockets[0].getsockname()[1], context)

    def make_unreachable_backend(self, context: BackendContext) -> Backend:
        return backend_at(1, context)

    async def receive(self, session_id: str) -> Message:
        return await self._inbox.get(session_id)

    async def request(self, session_id: str) -> tuple[str, Headers]:
        opened = self._opened[session_id]
        return opened["path"], tuple((name, value) for name, value in opened["headers"])

    async def reply(self, session_id: str, message: Message) -> None:
        writer = self._writers[session_id]
        if message.kind is BINARY:
            _say(writer, {"base64": base64.b64encode(message.data).decode()})
        else:  # also invalid UTF-8
            text = message.data.decode("latin-1")
            writer.write(json.dumps({"text": text}, ensure_ascii=False).encode("latin-1") + b"\n")
        await writer.drain()

    async def end(self, session_id: str, code: int, reason: str) -> None:
        _say(self._writers[session_id], {"close": [code, reason]})

    async def break_off(self, session_id: str) -> None:
        self._writers[session_id].transport.abort()
        await asyncio.sleep(0)

    async def freeze(self) -> None:
        self._thawed.clear()

    async def thaw(self) -> None:
        self._thawed.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session_id = ""
        try:
            while raw := await reader.readline():
                await self._thawed.wait()
                if writer.transport.is_closing():
                    break  # broken off while frozen
                line = json.loads(raw)
                if "open" in line:
                    session_id = line["open"]["session"]
                    self._writers[session_id] = writer
                    self._opened[session_id] = line["open"]
                    if session_id == "unwanted":
                        _say(writer, {"refuse": 403, "text": "not you"})
                    else:
                        _say(writer, {"accept": True})
                elif "close" not in line:
                    self._inbox.put(session_id, _decoded(line))
                    _say(writer, {"ack": True})
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()


def _say(writer: asyncio.StreamWriter, line: dict[str, Any]) -> None:
    if not writer.transport.is_closing():
        writer.write(json.dumps(line).encode() + b"\n")


def _decoded(line: dict[str, str]) -> Message:
    if "base64" in line:
        return Message(BINARY, base64.b64decode(line["base64"]))
    return Message.from_text(line["text"])


class TestJsonLines(BackendContract):
    @pytest.fixture
    def harness(self) -> BackendHarness:
        return Application()


async def test_refusal_becomes_answer_to_client() -> None:
    application = Application()
    await application.start()
    backend = application.make_backend(make_context())

    with pytest.raises(BackendDeclined) as caught:
        await backend.connect(application.make_request("unwanted"), RecordingSink())

    assert (caught.value.status, caught.value.body) == (403, b"not you")
    await application.stop()


async def test_too_long_message_ends_session_without_retry() -> None:
    application = Application()
    await application.start()
    backend = application.make_backend(make_context(limits=Limits(max_message_size=10)))
    sink = RecordingSink()
    connection = sink.watch(await backend.connect(application.make_request("s1"), sink))
    connection.start()

    await application.reply("s1", Message.from_text("just right"))
    await application.reply("s1", Message.from_text("longer than that"))

    reason = "the application's message is longer than 10 bytes"
    assert await sink.until_closed() == Close(1011, reason)
    assert sink.messages == [Message.from_text("just right")]
    await backend.close()
    await application.stop()
