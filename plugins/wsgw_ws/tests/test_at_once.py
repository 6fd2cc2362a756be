"""What a connection does immediately, without waiting for its pinger."""

from __future__ import annotations

import asyncio

from wsgw_ws.backend import WebSocketBackend
from wsgw_ws.connection import WebSocketConnection

from wsgw_core.api import Close, DialRequest, Limits
from wsgw_core.testing.fakes import as_message
from wsgw_core.testing.recording_sink import RecordingSink

from .raw_server import TIMEOUT, RawPeer, raw_server

PING, PONG = 9, 10
UNHURRIED = {"ack-interval": "1h", "ping-time": "2h", "replay-window": "0"}


class Frames:
    """Collects the frames a backend reads; answers the first ping, which proves that pongs work."""

    def __init__(self, *, pongs: bool = True) -> None:
        self.read: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self._pongs = pongs

    async def __call__(self, peer: RawPeer) -> None:
        peer.switch_protocols()
        while True:
            opcode, payload = await peer.read_frame()
            self.read.put_nowait((opcode, payload))
            if opcode == PING and self._pongs:
                peer.write_frame(PONG, payload)

    async def next(self) -> tuple[int, bytes]:
        return await asyncio.wait_for(self.read.get(), TIMEOUT)


async def dial_idle(
    backend: WebSocketBackend, frames: Frames
) -> tuple[WebSocketConnection, RecordingSink]:
    """Connects to a backend that has answered a ping, so that no ping is due."""
    first, _ = await dial(backend)
    first.start()
    assert (await frames.next())[0] == PING
    async with asyncio.timeout(TIMEOUT):
        while first._pongs.is_doubtful:  # noqa: SLF001, ASYNC110 - nothing tells when
            await asyncio.sleep(0.001)
    connection, sink = await dial(backend)
    connection.start()
    return connection, sink


async def dial(backend: WebSocketBackend) -> tuple[WebSocketConnection, RecordingSink]:
    """Connects without starting the connection."""
    sink = RecordingSink()
    connection = await backend.connect(DialRequest("s1", "/chat"), sink)
    assert isinstance(connection, WebSocketConnection)
    return connection, sink


async def test_due_ping_is_sent_at_once() -> None:
    frames = Frames()
    async with raw_server(frames) as server:
        backend = server.backend(UNHURRIED)
        connection, _ = await dial_idle(backend, frames)
        connection.keep_alive(asyncio.get_running_loop().time())
        assert (await frames.next())[0] == PING
        await backend.close()


async def test_client_ping_on_idle_connection_is_forwarded_at_once() -> None:
    frames, answered = Frames(), asyncio.Event()
    async with raw_server(frames) as server:
        backend = server.backend(UNHURRIED)
        connection, _ = await dial_idle(backend, frames)
        connection.ping(answered.set)
        assert (await frames.next())[0] == PING
        await asyncio.wait_for(answered.wait(), TIMEOUT)
        await backend.close()


async def test_client_ping_waits_for_the_pong_of_an_outstanding_ping() -> None:
    frames, early, answered = Frames(pongs=False), asyncio.Event(), asyncio.Event()
    async with raw_server(frames) as server:
        backend = server.backend(UNHURRIED)
        connection, _ = await dial(backend)
        connection.ping(early.set)  # the first ping of the connection forwards it
        connection.start()
        opcode, first = await frames.next()
        assert opcode == PING
        connection.ping(answered.set)
        await asyncio.sleep(0.02)  # time in which nothing must happen
        assert frames.read.empty()
        server.peers[0].write_frame(PONG, first)
        opcode, second = await frames.next()
        assert opcode == PING
        assert early.is_set()
        assert not answered.is_set()
        server.peers[0].write_frame(PONG, second)
        await asyncio.wait_for(answered.wait(), TIMEOUT)
        await backend.close()


async def test_connection_lost_before_start_ends_abnormally_and_soon() -> None:
    async with raw_server(Frames()) as server:
        backend = server.backend(UNHURRIED)
        connection, sink = await dial(backend)
        watched = sink.watch(connection)
        assert connection._handshake is not None  # noqa: SLF001 - what start() looks at
        connection._handshake.transport.abort()  # noqa: SLF001 - as if the peer had
        watched.start()
        assert sink.end is None, "the end is not reported within start()"
        close = await sink.until_closed()
        assert close == Close(1006, "connection lost before it was used", abnormal=True)
        watched.send(as_message("to nobody"))
        assert connection.held_bytes == connection.lasting_bytes == 0
        await asyncio.wait_for(backend.close(), TIMEOUT)


async def test_many_written_messages_are_acknowledged_before_the_next_tick() -> None:
    limits = Limits(ledger_bytes=4096, close_timeout=0.02)
    options = {**UNHURRIED, "without-pongs": "acknowledge-on-write"}
    async with raw_server(Frames(pongs=False)) as server:
        backend = server.backend(options, limits=limits)
        connection, sink = await dial(backend)
        watched = sink.watch(connection)
        watched.start()
        connection._pongs.acknowledge_on_write = True  # noqa: SLF001 - as if found out
        for _ in range(8):
            watched.send(as_message(b"x" * 512))
            await asyncio.sleep(0.01)
        await sink.until_delivered(2)
        await backend.close()
