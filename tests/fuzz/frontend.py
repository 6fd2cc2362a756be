"""Sends any bytes of a client to the whole frontend; checks that it answers or drops the client."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.http11 import Response
from websockets.protocol import State
from websockets.streams import StreamReader
from websockets.uri import parse_uri

from wsgw_core.api import Limits
from wsgw_core.frontend.client_socket import ClientSocket
from wsgw_core.frontend.handshake import ClientHandshake
from wsgw_core.testing.fakes import Accept, Decline, FakeBackend, Hang, Unavailable
from wsgw_core.testing.virtual_clock import idle, run_virtual

from ..core.frontend.frontend_bench import FrontendBench
from .faults import no_faults
from .memory_transport import MemoryTransport
from .pieces import split

MAX_HEAD, MAX_SIZE = 1000, 500
LONG_ENOUGH = 100.0  # seconds of virtual time, after which everything bounded is over
HANDSHAKE = (
    b"GET /a HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SEEDS = tuple(
    bytes([script, size]) + HANDSHAKE + bytes.fromhex("8183 00000000 616263") + behind
    for script in (0, 1, 2, 3, 4, 8, 16, 24, 40)
    for size in (0, 7)
    for behind in (b"", bytes.fromhex("8880 00000000"), bytes.fromhex("0180 00000000 8000"))
)
_ANSWERS = (Accept(), Accept("chat"), Decline(403, (("Location", "/a"),), b"no"), Unavailable())


@dataclass(frozen=True)
class Outcome:
    """What happened to the client.

    Attributes:
        status: the status of the answer; 0: there was none.
        frames: the frames that the client received.
        received: the messages that backends received.
    """

    status: int
    frames: tuple[Frame, ...]
    received: int


@dataclass(frozen=True)
class _Script:
    """What the backend does, by the bits of a byte."""

    switches: int

    @property
    def answer(self) -> Accept | Decline | Unavailable | Hang:
        return Hang() if self.switches & 4 else _ANSWERS[self.switches & 3]

    @property
    def replies(self) -> bool:
        return bool(self.switches & 8)

    @property
    def drops(self) -> bool:
        return bool(self.switches & 16)

    @property
    def client_hangs_up(self) -> bool:
        return bool(self.switches & 32)


async def _serve(pieces: list[bytes], script: _Script) -> Outcome:
    own_tasks = asyncio.all_tasks()
    backend = FakeBackend("blue", acknowledge=True)
    backend.will(script.answer)
    bench = FrontendBench(
        backend,
        limits=Limits(max_message_size=MAX_SIZE, max_fragments=8),
        max_header_bytes=MAX_HEAD,
        max_header_count=20,
        timeout=10.0,
    )
    room = bench.settings.admission.room
    clients: set[ClientHandshake | ClientSocket] = set()
    handshake = ClientHandshake(bench.settings, clients.add, clients.discard)
    transport = MemoryTransport(handshake)
    transport.connect()
    for piece in pieces:
        transport.feed(piece)
        await idle()
        _act(backend, script)
    await asyncio.sleep(LONG_ENOUGH)
    if not transport.lost:  # an open websocket: nothing has to end it
        assert len(bench.relay.table) == 1
        assert transport.written.startswith(b"HTTP/1.1 101 ")
        transport.end() if script.client_hangs_up else transport.hang_up()
        await asyncio.sleep(LONG_ENOUGH)
    assert transport.lost
    assert not clients
    assert not len(bench.relay.table)
    assert asyncio.all_tasks() == own_tasks
    assert bench.settings.admission.room == room
    assert all(connection.ended for connection in backend.connections)
    received = sum(len(connection.received) for connection in backend.connections)
    return _read(bytes(transport.written), received)


def _act(backend: FakeBackend, script: _Script) -> None:
    for connection in backend.connections:
        if connection.started and not connection.ended:
            if script.replies:
                connection.reply("reply")
            if script.drops and connection.received:
                connection.drop()


def _read(written: bytes, received: int) -> Outcome:
    """Reads what the client received, as a client does; everything must be valid."""
    if not written:
        return Outcome(0, (), received)
    reader = StreamReader()
    reader.feed_data(written)
    parser = Response.parse(reader.read_line, reader.read_exact, reader.read_to_eof, proxy=True)
    try:
        next(parser)
    except StopIteration as done:
        response: Response = done.value
    rest = bytes(reader.buffer)
    if response.status_code != 101:
        names_upgrade = "Upgrade" in response.headers  # a new status has to be named here, too
        connection = "upgrade, close" if names_upgrade else "close"
        assert response.headers.get_all("Connection") == [connection]
        assert response.headers.get_all("Content-Length") == [str(len(rest))]
        return Outcome(response.status_code, (), received)
    client = ClientProtocol(parse_uri("ws://gateway.test"), state=State.OPEN)
    client.receive_data(rest)
    frames = tuple(event for event in client.events_received() if isinstance(event, Frame))
    assert client.parser_exc is None or isinstance(client.parser_exc, EOFError), client.parser_exc
    return Outcome(101, frames, received)


def check(data: bytes) -> Outcome:
    """Serves one client that sends these bytes; the first byte says what the backend does.

    Raises:
        AssertionError: a rule was broken, or something was left behind.
    """
    script = _Script(data[0] if data else 0)
    with no_faults():
        return run_virtual(_serve(split(data[1:]), script))
