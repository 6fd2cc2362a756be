"""Attaches picows, which reads and writes frames, to a transport whose handshake is done.

picows insists on making the opening handshake itself, at once, and cannot wait for a backend. So
the handshake is made elsewhere, with all its checks, and picows is given a minimal one here whose
answer goes nowhere. This is the only file that touches picows' unexported WSProtocol.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from picows import WSAutoPingStrategy, WSListener, WSTransport
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # not exported by the package
from websockets.utils import accept_key

_READ_BUFFER = 2048  # the least that picows takes; grows with the frames
_LARGE = 16 * 1024  # from here on copying costs more than a vectored write

_REQUEST = (
    b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
_RESPONSE = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    "Sec-WebSocket-Accept: {}\r\n\r\n"
)


class GatheringTransport:
    """The transport as picows sees it: frames can be gathered and leave in one write.

    While `pending` is empty, picows writes each frame to the socket by itself, the cheapest way.
    Once something is in it, picows hands over every frame, to be kept in order, and `flush` writes
    them together. A part that the socket did not take lands in `pending` too.

    Args:
        transport: the real one.
        on_close: called when the connection is being closed, by us or by picows itself.
    """

    __slots__ = (
        "_given_up",
        "_on_close",
        "_transport",
        "_writes",
        "get_extra_info",
        "get_write_buffer_size",
        "pending",
    )

    def __init__(self, transport: asyncio.Transport, on_close: Callable[[], None]) -> None:
        self._transport = transport
        self._on_close = on_close
        self._given_up = False
        self.pending: list[bytes] = []
        self._writes: Iterator[Any] = iter((self.pending.append, _discard))
        self.get_extra_info = transport.get_extra_info
        # picows asks before each frame whether something waits: a plain C call
        self.get_write_buffer_size = self.pending.__len__

    @property
    def write(self) -> Any:
        """What picows looks up twice: for its frames, then for the handshake that it makes up."""
        return next(self._writes)

    def writelines(self, parts: list[Any]) -> None:
        """Take a frame's header, which lies in picows' own buffer, and its payload."""
        header, payload = parts
        self.pending += (bytes(header), payload)

    def flush(self) -> None:
        """Write what is pending. What the socket does not take waits in the real transport."""
        pending, transport = self.pending, self._transport
        if transport.is_closing():
            pending.clear()
            return
        if len(pending) > 1 and sum(map(len, pending)) > _LARGE:
            transport.writelines(pending[:])
        else:
            transport.write(b"".join(pending))
        pending.clear()
        if transport.get_write_buffer_size():
            pending.append(b"")  # so that the next frame does not overtake what waits

    def close(self) -> None:
        """Write what is pending, then close; the peer may take its time to read it."""
        if self._given_up:
            return
        if self.pending:
            self.flush()
        self._transport.close()
        self._on_close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def give_up(self) -> None:
        """Say no more, and have picows close nothing: somebody else does."""
        if self.pending:
            self.flush()
        self._given_up = True
        if self._transport.can_write_eof() and not self._transport.is_closing():
            with contextlib.suppress(OSError):  # the peer has gone already
                self._transport.write_eof()

    def release(self) -> None:
        """Let go of whoever wanted to know."""
        self._on_close = _nothing


def _discard(_data: object) -> None:
    pass


def _nothing() -> None:
    pass


def _ignore(_code: int, _reason: str) -> None:
    pass


class ParserLog:
    """What picows takes for its logger. It tells of violations and of our faults nowhere else.

    Args:
        on_violation: called with the close code and the reason, while picows is still parsing.
        on_fault: called when the listener has raised; inside of the `except` block.
    """

    __slots__ = ("_on_fault", "_on_violation")

    def __init__(
        self, on_violation: Callable[[int, str], None], on_fault: Callable[[], None]
    ) -> None:
        self._on_violation = on_violation
        self._on_fault = on_fault

    def error(self, _text: str, details: object = None) -> None:
        """Take a violation, which is logged as the exception's code and reason."""
        if isinstance(details, tuple):
            self._on_violation(int(details[0]), str(details[1]))
        else:
            self._on_fault()

    def exception(self, _text: str) -> None:
        """Take a fault."""
        self._on_fault()

    def warning(self, _text: str, *_details: object) -> None:
        """Take a fault of a client-side listener."""
        self._on_fault()

    def info(self, _text: str, *_details: object) -> None:
        """Leave out what whoever owns the connection logs in words of the gateway."""

    debug = info

    def release(self) -> None:
        """Let go of whoever wanted to know."""
        self._on_violation = _ignore
        self._on_fault = _nothing

    def isEnabledFor(self, _level: int) -> bool:  # noqa: N802 - as in logging
        """Keep picows from tracing."""
        return False


def attach(
    transport: asyncio.Transport,
    listener: WSListener,
    on_close: Callable[[], None],
    log: ParserLog,
    *,
    client_side: bool,
    max_frame_size: int,
) -> tuple[WSTransport, GatheringTransport, WSProtocol]:
    """Make `listener` receive the frames of a transport.

    The transport's reading must be paused; the caller resumes it, after it has passed bytes that
    came with the handshake to `feed`.

    Args:
        transport: connected, its opening handshake made.
        listener: gets `on_ws_connected` before this returns.
        on_close: see GatheringTransport.
        log: told of violations.
        client_side: whether we are the client of this connection, and mask.
        max_frame_size: a frame with a larger payload ends the connection with 1009.
    """
    gathering = GatheringTransport(transport, on_close)
    protocol = WSProtocol(
        "",  # host
        "/",  # path
        client_side,
        lambda *_: listener,
        log,
        True,  # an exception in the listener closes the connection
        None,  # no timeout of the handshake
        False,  # no pings by itself
        10,
        10,
        WSAutoPingStrategy.PING_WHEN_IDLE,
        False,  # no pongs by itself: they must keep their place among gathered frames
        max_frame_size,
        None,  # no extra headers
        _READ_BUFFER,
    )
    protocol.connection_made(gathering)
    transport.set_protocol(protocol)
    frames: WSTransport = protocol.transport
    if client_side:
        key = frames.request.headers["Sec-WebSocket-Key"]
        feed(protocol, _RESPONSE.format(accept_key(key)).encode())
    else:
        feed(protocol, _REQUEST)
    return frames, gathering, protocol


def feed(protocol: asyncio.BufferedProtocol, data: bytes) -> None:
    """Give bytes to a protocol as if they had just been read."""
    while data:
        buffer = memoryview(protocol.get_buffer(len(data)))
        part = data[: len(buffer)]
        buffer[: len(part)] = part
        protocol.buffer_updated(len(part))
        data = data[len(part) :]
