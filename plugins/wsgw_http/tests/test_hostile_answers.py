"""Endless answers without a message end their session and harm no other."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from contextlib import suppress

import pytest
from aiohttp import TCPConnector
from aiohttp.client_proto import ResponseHandler
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from wsgw_http.answer_protocol import MAX_HEADS, AnswerProtocol
from wsgw_http.body_reader import BodyReader
from wsgw_http.content_decoding import Decoder
from wsgw_http.exchange import exchange
from wsgw_http.failures import BadAnswer

from wsgw_core.testing.context import make_context

from .conftest import StartGateway, StartRaw
from .raw_application import flood, plain

FAST = {"retry-backoff": "10ms", "max-retry-backoff": "20ms", "retries": 1}
HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
LINES = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


async def close_code(client: ClientConnection) -> int | None:
    """Returns the close code of the gateway."""
    with suppress(ConnectionClosed):
        async for _ in client:
            pass
    await client.wait_closed()
    return client.close_code


@pytest.mark.parametrize(
    ("begins", "endless"),
    [
        (b"", HINT * 1000),
        (b"", b"\r\n" * 20_000),
        (b"", b"HTTP/1.1 103\r\n\r\n" * 1000),
        (LINES, b"\n" * 65536),
        (LINES, b" \r\n" * 20000),
        (EVENTS, b": comment\n" * 6000),
        (EVENTS, b"\n" * 65536),
        (EVENTS, b"id: 1\n\n" * 9000),
        (CHUNKS, b"1\r\nx\r\n" * 10_000),
    ],
)
async def test_endless_answer_without_message_closes_only_its_session(
    start_raw: StartRaw, start_gateway: StartGateway, begins: bytes, endless: bytes
) -> None:
    async def answer(body: bytes, writer: asyncio.StreamWriter) -> None:
        if body == b"good":
            writer.write(plain(b"fine"))
            return
        writer.write(begins)
        await flood(writer, endless)

    application = await start_raw(answer)
    gateway = await start_gateway(application, **FAST, **{"max-response": "64KiB"})
    async with connect(gateway.url) as victim, connect(gateway.url) as other:
        await victim.send("bad")
        while victim.close_code is None:
            await other.send("good")
            assert await other.recv() == "fine"
            await asyncio.sleep(0.01)
        assert await close_code(victim) == 1011


async def test_few_early_hints_before_answer_are_skipped(
    start_raw: StartRaw, start_gateway: StartGateway
) -> None:
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(HINT * 5 + plain(b"fine"))

    application = await start_raw(answer)
    gateway = await start_gateway(application)
    async with connect(gateway.url) as client:
        await client.send("x")
        assert await client.recv() == "fine"


class Transport(asyncio.Transport):
    """A transport that writes nothing and can be aborted."""

    def __init__(self) -> None:
        super().__init__()
        self.drops: list[str] = []

    def abort(self) -> None:
        self.drops.append("now")

    def is_closing(self) -> bool:
        return bool(self.drops)

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def test_unsolicited_heads_end_idle_connection() -> None:
    """aiohttp reads idle connections in its pool, too."""
    protocol, transport = AnswerProtocol(asyncio.get_running_loop()), Transport()
    protocol.connection_made(transport)
    protocol.set_response_params(read_until_eof=True, auto_decompress=False)
    protocol.data_received(HINT * MAX_HEADS)
    assert transport.drops == []
    protocol.data_received(HINT * 10_000)
    assert transport.drops == ["now"]
    assert len(protocol) <= MAX_HEADS + 16 * 1024 / len(HINT) + 1


class Connected:
    """A connection of aiohttp's pool."""

    def __init__(self) -> None:
        self.transport = Transport()
        self.protocol = AnswerProtocol(asyncio.get_running_loop())
        self.protocol.connection_made(self.transport)

    def release(self) -> None: ...

    def close(self) -> None: ...


async def test_body_in_tiny_chunks_is_parsed_few_at_a_time() -> None:
    connection = Connected()
    asked = asyncio.create_task(exchange(connection, b"", make_context()))  # type: ignore[arg-type]  # has what is used
    await asyncio.sleep(0)
    connection.protocol.data_received(CHUNKS + b"1\r\nx\r\n" * 100_000)
    content = (await asked).content
    taken = len(await content.readany())
    assert 0 < taken < 1000
    assert content.total_bytes < taken + 1000


async def test_aiohttp_still_has_the_replaced_factory() -> None:
    connector = TCPConnector()
    assert "_factory" in vars(connector), "aiohttp has changed: see AnswerProtocol and Requester"
    assert type(connector._factory()) is ResponseHandler  # noqa: SLF001 - the subject of the test
    await connector.close()


async def test_keep_alive_comments_do_not_end_stream(
    start_raw: StartRaw,
    start_gateway: StartGateway,
) -> None:
    """Their bytes exceed the limit of one minute."""
    comments, rounds = b": keep-alive\n" * 5000, 20

    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(EVENTS)
        for number in range(rounds):
            writer.write(comments + b"data: %d\n\n" % number)
            await writer.drain()

    application = await start_raw(answer)
    gateway = await start_gateway(application, **{"max-response": "64KiB"})
    async with connect(gateway.url) as client:
        await client.send("x")
        assert [await client.recv() for _ in range(rounds)] == [*map(str, range(rounds))]


class Content:
    """A body that has arrived completely, in pieces that each need a read."""

    def __init__(self, *bits: bytes) -> None:
        self._left = list(bits)
        self.total_bytes = len(b"".join(bits))

    def exception(self) -> None: ...

    def read_nowait(self) -> bytes:
        time.sleep(0.002)  # the limit for all turns of one loop
        return self._left.pop(0)

    async def readany(self) -> bytes:
        return self._left.pop(0)


async def test_reads_of_arrived_body_yield_to_other_sessions() -> None:
    loop, turns = asyncio.get_running_loop(), 0

    def note_turn() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(note_turn)

    async def read_all() -> None:
        reader = BodyReader(Content(*[b"x"] * 10), context)  # type: ignore[arg-type]  # has what is used
        for _ in range(10):
            assert await reader.read() == b"x"

    context = make_context()
    note_turn()
    await asyncio.gather(*(read_all() for _ in range(5)))
    assert turns >= 5 * 9  # one turn for each piece


def test_bytes_after_encoded_content_are_refused() -> None:
    decoder = Decoder("gzip")
    with pytest.raises(BadAnswer, match="goes on after the end"):
        list(decoder.pieces(gzip.compress(b"x") + b"more"))


def test_empty_encoded_content_is_bounded() -> None:
    deflate = zlib.compressobj(wbits=-15)
    nothing = deflate.flush(zlib.Z_FULL_FLUSH)  # an empty block
    decoder = Decoder("gzip")
    assert b"".join(decoder.pieces(gzip.compress(b"")[:10])) == b""
    with pytest.raises(BadAnswer, match="is empty"):
        list(decoder.pieces(nothing * 100_000))
