"""The workers behind a stream: they read all messages, and reply."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import nats
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RawStreamMsg, StorageType, StreamConfig

STREAM = "wsgw"
_TIMEOUT = 60.0


class Workers:
    """Read a stream in order, and send replies.

    They connect for each call and disconnect after it. The server may be killed in between, and
    they leave no tasks or files open in the test.

    Args:
        url: of the server.

    Attributes:
        messages: the messages of each session, in order, by number.
        events: the events of each session, in order.
        reply_to: the subject for replies to each session.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._read = 0
        self._reading = asyncio.Lock()
        self.messages: defaultdict[str, list[tuple[int, RawStreamMsg]]] = defaultdict(list)
        self.events: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.reply_to: dict[str, str] = {}

    @asynccontextmanager
    async def jetstream(self) -> AsyncIterator[JetStreamContext]:
        """Connects, and yields JetStream."""
        client = await nats.connect(self._url, connect_timeout=60)
        try:
            yield client.jetstream(timeout=_TIMEOUT)
        finally:
            await client.close()

    async def make_stream(self, *subjects: str) -> None:
        """Creates the stream on disk."""
        async with self.jetstream() as jetstream:
            config = StreamConfig(STREAM, subjects=list(subjects), storage=StorageType.FILE)
            await jetstream.add_stream(config)

    async def change_stream(self, **options: Any) -> None:
        """Changes options of the stream."""
        async with self.jetstream() as jetstream:
            info = await jetstream.stream_info(STREAM)
            await jetstream.update_stream(info.config.evolve(**options))

    async def refuse(self) -> None:
        """Makes the stream refuse further messages."""
        async with self.jetstream() as jetstream:
            held = (await jetstream.stream_info(STREAM)).state.messages
        await self.change_stream(max_msgs=max(1, held), discard=DiscardPolicy.NEW)

    async def accept(self) -> None:
        """Undoes `refuse`."""
        await self.change_stream(max_msgs=-1)

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Reads until a condition on the read messages holds."""
        try:
            async with asyncio.timeout(_TIMEOUT):
                while not condition():
                    async with self._reading:
                        if not condition():  # another call may have read it
                            await self._read_on()
        except TimeoutError:
            raise AssertionError(f"waited {_TIMEOUT:g} s for {what}") from None

    async def until_numbers(self, session_id: str, count: int) -> list[int]:
        """Waits for `count` messages of a session; returns their numbers in stored order."""
        found = self.messages[session_id]
        await self.until(lambda: len(found) >= count, f"{count} messages, {len(found)} came")
        return [number for number, _ in found]

    async def until_told(self, session_id: str, type_: str) -> dict[str, Any]:
        """Waits for an event of a session and returns it."""

        def found() -> list[dict[str, Any]]:
            return [event for event in self.events[session_id] if event["type"] == type_]

        await self.until(found, f"the event {type_} of {session_id}")
        return found()[0]

    async def reply(self, session_id: str, data: bytes, **headers: str) -> None:
        """Replies to a session; `type="close", code="4001"` become headers."""
        await self.until(lambda: session_id in self.reply_to, f"the session {session_id}")
        head = "".join(f"Wsgw-{name.title()}: {value}\r\n" for name, value in headers.items())
        await self._publish(self.reply_to[session_id], f"NATS/1.0\r\n{head}\r\n".encode(), data)

    async def _publish(self, subject: str, head: bytes, data: bytes) -> None:
        """Publishes a message and waits until the server has it, which nats-py cannot tell."""
        server = urlsplit(self._url)
        reader, writer = await asyncio.open_connection(server.hostname, server.port)
        try:
            writer.write(b'CONNECT {"verbose": false, "headers": true}\r\n')
            sizes = f"{len(head)} {len(head) + len(data)}"
            writer.write(f"HPUB {subject} {sizes}\r\n".encode() + head + data + b"\r\nPING\r\n")
            await reader.readuntil(b"PONG\r\n")
        finally:
            writer.close()
            await writer.wait_closed()

    async def read(self) -> None:
        """Reads new messages of the stream."""
        async with self._reading:
            await self._read_on()

    async def _read_on(self) -> None:
        async with self.jetstream() as jetstream:
            last = (await jetstream.stream_info(STREAM)).state.last_seq
            for sequence in range(self._read + 1, last + 1):
                self._take(await jetstream.get_msg(STREAM, sequence))
                self._read = sequence

    def _take(self, msg: RawStreamMsg) -> None:
        headers, data = msg.headers or {}, msg.data or b""
        session_id = headers["Wsgw-Reply-To"].rpartition(".")[2]
        self.reply_to[session_id] = headers["Wsgw-Reply-To"]
        if headers["Wsgw-Type"] in ("connect", "disconnect"):
            self.events[session_id].append({"type": headers["Wsgw-Type"], **json.loads(data)})
        else:
            number = int(headers.get("Nats-Msg-Id", "-0").rpartition("-")[2])
            self.messages[session_id].append((number, msg))
