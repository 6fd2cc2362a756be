"""Checks how an endpoint reads any bytes, against another implementation of RFC 6455."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from wsgw_core.api import BINARY, TEXT, Close, Limits, Message, ReadBatch
from wsgw_core.testing.virtual_clock import idle, run_virtual
from wsgw_core.websocket import Deflate, Endpoint

from .faults import no_faults
from .memory_transport import MemoryTransport

MAX_SIZE, MAX_FRAGMENTS = 2000, 16
SEEDS = tuple(
    bytes([switches, 1, 4]) + bytes.fromhex(frames)
    for switches, frames in (
        (0, "0183 00000000 616263 8983 00000000 616263 8083 00000000 616263"),
        (0, "8182 00000000 c3a4 82fe007e 00000000" + 126 * "00" + "8882 00000000 03e8"),
        (1, "8103616263 8200 8902 4142 8802 03e9"),
        (3, "c107 f248cdc9c90700 8100"),
    )
)
# wsgw is stricter here: RFC 6455 section 5.2 wants the shortest form of a length; the
# number of fragments; meaningless codes of close frames.
STRICTER = ("shortest form", "control frame of more", "fragments", "close code")


@dataclass(frozen=True)
class Stream:
    """The bytes that arrive.

    Attributes:
        data: the bytes.
        cuts: sizes of the reads, repeated; empty: a single read.
        client_side: whether we are the client.
        compressed: whether permessage-deflate was agreed on.
    """

    data: bytes
    cuts: tuple[int, ...] = ()
    client_side: bool = False
    compressed: bool = False

    @classmethod
    def from_bytes(cls, data: bytes) -> Stream:
        """Takes the settings from the first bytes."""
        switches, count = (data + b"\0\0")[:2]
        count %= 4
        cuts = tuple(size + 1 for size in data[2 : 2 + count])
        return cls(data[2 + count :], cuts, bool(switches & 1), bool(switches & 2))

    def reads(self) -> list[bytes]:
        """Returns the pieces in which the bytes arrive."""
        if not self.cuts:
            return [self.data]
        pieces, position, turn = [], 0, 0
        while position < len(self.data):
            size = self.cuts[turn % len(self.cuts)]
            pieces.append(self.data[position : position + size])
            position, turn = position + size, turn + 1
        return pieces

    def deflate(self) -> PerMessageDeflate | None:
        return PerMessageDeflate(False, False, 12, 12, {}) if self.compressed else None


@dataclass
class Outcome:
    """The result of reading the bytes.

    Attributes:
        deaf: a final block has come, as it may, and all compressed data after it was ignored.
            The other implementation does so; ours begins another stream.
    """

    messages: list[Message] = field(default_factory=list)
    violation: Close | None = None
    closed: bool = False
    deaf: bool = False


class _Watcher:
    """Records an endpoint's messages and events."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.ends: list[Close] = []
        self.gone = 0

    def deliver(self, message: Message) -> None:
        assert not self.ends, "a message after the end"
        assert len(message.data) <= MAX_SIZE
        self.outcome.messages.append(message)

    def ended(self, close: Close, *, violation: bool) -> None:
        self.ends.append(close)
        if violation:
            self.outcome.violation = close
        elif close.code != 1006:
            self.outcome.closed = True

    def disconnected(self) -> None:
        self.gone += 1

    def writable(self, writable: bool, /) -> None:
        pass

    def heard(self) -> None:
        pass

    def pong_received(self, payload: bytes, /) -> None:
        assert len(payload) <= 125

    def woken(self) -> None:
        pass


def ours(stream: Stream) -> Outcome:
    """Lets an endpoint read the stream, then cuts the connection."""
    outcome = Outcome()

    async def read() -> None:
        watcher = _Watcher(outcome)
        batch = ReadBatch()
        limits = Limits(max_message_size=MAX_SIZE, max_fragments=MAX_FRAGMENTS)
        endpoint = Endpoint(watcher, limits, asyncio.get_running_loop(), batch)
        endpoint.deliver = watcher.deliver
        transport = MemoryTransport(asyncio.Protocol())
        transport.pause_reading()
        extension = stream.deflate()
        endpoint.attach(
            transport,
            client_side=stream.client_side,
            deflate=Deflate(extension, 64) if extension is not None else None,
        )
        endpoint.begin(b"")
        for piece in stream.reads():
            transport.feed(piece)
            assert not batch.is_open, "the batch is closed after the read"
            await idle()
        transport.hang_up()
        await idle()
        assert len(watcher.ends) == watcher.gone == 1

    with no_faults():
        run_virtual(read())
    return outcome


def theirs(stream: Stream) -> Outcome:
    """Lets the `websockets` library read the same stream.

    The bound is applied here: the library also applies it to the size of a fragment before
    decompression, which says nothing about the size of the message.
    """
    protocol = _protocol(client_side=stream.client_side)
    extension = stream.deflate()
    protocol.extensions = [extension] if extension is not None else []
    protocol.receive_data(stream.data)
    protocol.receive_eof()
    outcome = Outcome(deaf=extension is not None and extension.decoder.eof)
    kind, parts = BINARY, list[bytes]()
    for event in protocol.events_received():
        assert isinstance(event, Frame)
        if event.opcode is Opcode.CLOSE:
            outcome.closed = True
            break
        if event.opcode not in DATA_OPCODES:
            continue
        if event.opcode is not Opcode.CONT:
            kind, parts = (TEXT if event.opcode is Opcode.TEXT else BINARY), []
        parts.append(bytes(event.data))
        if sum(map(len, parts)) > MAX_SIZE:
            outcome.violation = Close(1009)
            return outcome
        if event.fin:
            message = Message(kind, b"".join(parts))
            if kind is TEXT and not _is_utf8(message.data):
                outcome.violation = Close(1007)
                return outcome
            outcome.messages.append(message)
    # A close frame may come between the fragments of a message (RFC 6455 section 5.4).
    if "incomplete fragmented message" in str(protocol.parser_exc):
        outcome.closed = True
    elif protocol.parser_exc is not None and not isinstance(protocol.parser_exc, EOFError):
        outcome.violation = Close(protocol.close_sent.code if protocol.close_sent else 1002)
    return outcome


def _protocol(*, client_side: bool) -> ServerProtocol | ClientProtocol:
    if client_side:
        return ClientProtocol(parse_uri("ws://localhost"), state=State.OPEN, max_size=None)
    return ServerProtocol(state=State.OPEN, max_size=None)


def check(stream: Stream) -> Outcome:
    """Compares the two results; returns ours.

    Raises:
        AssertionError: they differ, or ours broke a rule of its own.
    """
    mine, other = ours(stream), theirs(stream)
    if other.deaf:
        return mine
    reason = mine.violation.reason if mine.violation is not None else ""
    if any(word in reason for word in STRICTER):
        assert mine.messages == other.messages[: len(mine.messages)]
        return mine
    assert mine.messages == other.messages
    if _cut_short(stream.data):
        return mine  # an implementation may or may not see a violation in an incomplete frame
    assert (mine.violation is None) == (other.violation is None), (mine, other)
    # which code, depends on the order of checks, if one frame breaks several rules
    assert mine.violation is None or mine.violation.code in (1002, 1007, 1009)
    assert mine.closed == other.closed
    return mine


def _cut_short(data: bytes) -> bool:
    """Returns whether the last frame is incomplete (RFC 6455 section 5.2)."""
    position = 0
    while position < len(data):
        second = (data[position : position + 2] + b"\0")[1]
        form = second & 127
        start = position + 2 + {126: 2, 127: 8}.get(form, 0)
        size = int.from_bytes(data[position + 2 : start], "big") if form > 125 else form
        position = start + (4 if second & 128 else 0) + size
    return position > len(data)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
