"""A client that writes raw requests and frames, which no library would send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.protocol import State
from websockets.uri import parse_uri

_WEBSOCKET_FIELDS = (
    "Host: gateway.example",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)


def request(*fields: str, target: str = "/", leave_out: str = "nothing") -> str:
    """Return the text of an opening handshake.

    Args:
        *fields: added after the usual ones.
        target: the request target.
        leave_out: the usual field to leave out.
    """
    usual = [field for field in _WEBSOCKET_FIELDS if not field.startswith(leave_out)]
    return "\r\n".join([f"GET {target} HTTP/1.1", *usual, *fields, "", ""])


@dataclass(frozen=True)
class Answer:
    """An HTTP answer as received."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name.lower()]

    @property
    def names(self) -> set[str]:
        return {name.lower() for name, _ in self.fields}


class RawClient:
    """A TCP connection to a gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def write(self, data: str | bytes) -> None:
        self.writer.write(data.encode("latin-1") if isinstance(data, str) else data)

    async def answer(self) -> Answer:
        """Read an answer; its body ends with the connection, and a 101 has none."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        status = int(first.split(" ")[1])
        body = b"" if status == 101 else await self.reader.read()
        fields = tuple(
            (name, value.strip()) for name, _, value in (x.partition(":") for x in lines)
        )
        return Answer(status, fields, body)

    def vanish(self) -> None:
        """Abort the connection."""
        self.writer.transport.abort()


class RawWebSocket:
    """A websocket whose frames the test sends one by one."""

    def __init__(self, client: RawClient, protocol: ClientProtocol) -> None:
        self.client = client
        self.protocol = protocol

    def flush(self) -> Self:
        """Write the pending data of the protocol."""
        for data in self.protocol.data_to_send():
            if data:
                self.client.write(data)
        return self

    async def frames(self, count: int) -> list[Frame]:
        """Read frames until there are this many, or the connection ends."""
        frames: list[Frame] = []
        while len(frames) < count:
            data = await self.client.reader.read(65536)
            if not data:
                break
            self.protocol.receive_data(data)
            frames += [
                event for event in self.protocol.events_received() if isinstance(event, Frame)
            ]
        return frames


@asynccontextmanager
async def raw_client(host: str, port: int) -> AsyncIterator[RawClient]:
    """Connect; abort the connection at the end of the block."""
    reader, writer = await asyncio.open_connection(host, port)
    client = RawClient(reader, writer)
    try:
        yield client
    finally:
        client.vanish()


@asynccontextmanager
async def raw_websocket(url: str) -> AsyncIterator[RawWebSocket]:
    """Connect and open a websocket; abort it at the end of the block."""
    uri = parse_uri(url)
    async with raw_client(uri.host, uri.port) as client:
        client.write(request())
        assert (await client.answer()).status == 101
        yield RawWebSocket(client, ClientProtocol(uri, state=State.OPEN))
