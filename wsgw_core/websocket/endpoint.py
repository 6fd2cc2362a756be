"""One websocket connection after its opening handshake, server side or client side."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, final

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from ..api import BINARY, TEXT, Clock, Close, Limits, Message, ReadBatch
from .close_codes import (
    INTERNAL_ERROR,
    INVALID_PAYLOAD,
    LOST,
    NO_CODE,
    POLICY_VIOLATION,
    PROTOCOL_ERROR,
    TOO_BIG,
    reason_bytes,
    sendable,
)
from .compression import CompressingFrames, Deflate, InflateError
from .framing import GatheringTransport, ParserLog, attach, feed
from .lingering import Lingering
from .silence import Backlog, is_silent

_TEXT = WSMsgType.TEXT
_BINARY = WSMsgType.BINARY
_CONTINUATION = WSMsgType.CONTINUATION
_PING = WSMsgType.PING
_PONG = WSMsgType.PONG
_CLOSE = WSMsgType.CLOSE
_new_message = Message.__new__

NEVER = sys.maxsize

_logger = logging.getLogger("wsgw.websocket")


class EndpointEvents(Protocol):
    """Who is told what becomes of a connection; called from the transport's callbacks."""

    def ended(self, close: Close, *, violation: bool) -> None:
        """The connection is over for its user. Once, as soon as it is known.

        That is when the peer's close frame is read, when the peer breaks the protocol, when the
        closing handshake takes too long, or when the transport is lost.

        Args:
            close: the peer's code and reason; 1006 for a lost connection; for a violation the code
                that the peer was sent.
            violation: the peer broke the protocol or a limit.
        """
        ...

    def disconnected(self) -> None:
        """The transport is gone. Once, after `ended`."""
        ...

    def writable(self, writable: bool, /) -> None:
        """Too much waits in the write buffer (False), or it has drained (True)."""
        ...

    def heard(self) -> None:
        """A frame came that is not a whole message."""
        ...

    def pong_received(self, payload: bytes, /) -> None:
        """A pong came."""
        ...

    def woken(self) -> None:
        """A message was sent with which `wake_at` was reached."""
        ...


@final
class Endpoint(WSListener):
    """Receives and sends whole messages.

    Every message goes to `deliver`, a plain function called from the socket's read callback. There
    are no subclasses on purpose: both ends of a relay run the same code on the same type, which is
    what the interpreter is fastest at.

    Args:
        events: who is told what becomes of the connection.
        limits: size of a message, write buffer, time of the closing handshake.
        clock: for the closing handshake's timeout.
        read_batch: shared by all connections that relay to each other.

    Attributes:
        deliver: called with each message received; set it before `begin`.
        sent_messages, sent_bytes: all that was ever sent.
        wake_at: `events.woken` is called by the message with which `sent_bytes` reaches it, and it
            becomes NEVER.
    """

    __slots__ = (
        "_batch",
        "_begun",
        "_clock",
        "_close_sent",
        "_close_timer",
        "_compressed",
        "_deflate",
        "_direct",
        "_ended",
        "_events",
        "_frames",
        "_gathering",
        "_in_batch",
        "_limits",
        "_log",
        "_parts",
        "_parts_kind",
        "_parts_size",
        "_pending",
        "_protocol",
        "_server_side",
        "_transport",
        "deliver",
        "sent_bytes",
        "sent_messages",
        "wake_at",
    )

    _transport: asyncio.Transport
    _frames: WSTransport | CompressingFrames

    def __init__(
        self, events: EndpointEvents, limits: Limits, clock: Clock, read_batch: ReadBatch
    ) -> None:
        self._events = events
        self._limits = limits
        self._clock = clock
        self._batch = read_batch
        self._in_batch = False  # the batch will flush us
        self._begun = False
        self.deliver: Callable[[Message], object] = _ignore
        self.sent_messages = 0
        self.sent_bytes = 0
        self.wake_at = NEVER
        self._deflate: Deflate | None = None
        self._direct = True  # no message is under way in fragments, and none is compressed
        self._parts: list[bytes] | None = None  # of the message that is under way
        self._parts_size = 0
        self._parts_kind = BINARY
        self._compressed = False
        self._close_sent = False
        self._ended = False
        self._close_timer: asyncio.TimerHandle | None = None

    # Beginning

    def attach(
        self, transport: asyncio.Transport, *, client_side: bool, deflate: Deflate | None = None
    ) -> None:
        """Take over a transport whose reading is paused; `begin` starts the reading.

        Args:
            transport: connected, its opening handshake made.
            client_side: whether we are the client of this connection.
            deflate: the compression that the handshake has agreed on.
        """
        self._transport = transport
        self._server_side = not client_side
        high = self._limits.write_high_water
        transport.set_write_buffer_limits(high=high, low=high // 4)
        self._log = ParserLog(self._violation_parsed, self._failed)
        max_size = self._limits.max_message_size
        frames, gathering, self._protocol = attach(
            transport,
            self,
            self._limit_closing,
            self._log,
            client_side=client_side,
            # what cannot be compressed grows a little
            max_frame_size=max_size if deflate is None else max_size + max_size // 8 + 64,
        )
        self._frames = frames
        if deflate is not None:
            self._frames = CompressingFrames(frames, deflate)
            self._deflate = deflate
            self._direct = False
        self._gathering: GatheringTransport = gathering
        self._pending = gathering.pending

    def begin(self, first_bytes: bytes) -> None:
        """Read from now on, beginning with bytes that came behind the handshake."""
        if self._transport.is_closing():
            return
        self._begun = True
        self.resume_reading()  # first: what is fed may have it paused again
        if first_bytes:
            feed(self._protocol, first_bytes)

    # Receiving: called by picows

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take one frame; the payload is valid only during this call."""
        opcode = frame.msg_type
        if (
            (opcode is _BINARY or opcode is _TEXT)
            and frame.fin
            and self._direct
            and not (frame.rsv1 or frame.rsv2 or frame.rsv3)
        ):
            message = _new_message(Message)  # a third cheaper than calling the class
            data = message.data = frame.get_payload_as_bytes()
            if opcode is _BINARY:
                message.kind = BINARY
            elif data.isascii() or _is_utf8(data):
                message.kind = TEXT
            else:
                self._violated(INVALID_PAYLOAD, "text is not valid UTF-8")
                self._end_of_read(frame)
                return
            deliver = self.deliver  # calling a slot in one step is slower
            if frame.last_in_buffer:
                deliver(message)
                if self._batch.is_open:
                    self._batch.close()
            else:
                self._batch.is_open = True
                deliver(message)
        else:
            self._take_other(opcode, frame)
            self._end_of_read(frame)

    def _end_of_read(self, frame: WSFrame) -> None:
        if frame.last_in_buffer and self._batch.is_open:
            self._batch.close()

    def _take_other(self, opcode: WSMsgType, frame: WSFrame) -> None:
        """Take whatever is not a plain message in one frame (RFC 6455 sections 5.4 and 5.5)."""
        if self._ended:
            return
        self._events.heard()
        if frame.rsv2 or frame.rsv3 or (frame.rsv1 and not self._may_be_compressed(opcode)):
            self._violated(PROTOCOL_ERROR, "reserved bit set without an extension")
        elif opcode is _PING:
            self._frames.send_pong(frame.get_payload_as_bytes())
            self._flush_control()
        elif opcode is _PONG:
            self._events.pong_received(frame.get_payload_as_bytes())
        elif opcode is _CLOSE:
            self._close_received(frame)
        else:
            self._take_part(opcode, frame)

    def _may_be_compressed(self, opcode: WSMsgType) -> bool:
        return self._deflate is not None and (opcode is _TEXT or opcode is _BINARY)

    def _take_part(self, opcode: WSMsgType, frame: WSFrame) -> None:
        """Take one frame of a message that is fragmented, or may be compressed."""
        first = opcode is not _CONTINUATION
        if first != (self._parts is None):
            self._violated(PROTOCOL_ERROR, "fragments out of order")
            return
        if self._parts is None:
            self._direct = False
            self._parts = []
            self._parts_size = 0
            self._parts_kind = TEXT if opcode is _TEXT else BINARY
            self._compressed = bool(frame.rsv1)
        limit = self._limits.max_fragments
        if len(self._parts) == limit:
            self._violated(POLICY_VIOLATION, f"message of more than {limit} fragments")
            return
        part = self._part(frame, first=first)
        if part is None:
            return
        self._parts_size += len(part)
        self._parts.append(part)
        if frame.fin:
            data = b"".join(self._parts)
            self._parts = None
            self._direct = self._deflate is None
            if self._parts_kind is TEXT and not _is_utf8(data):
                self._violated(INVALID_PAYLOAD, "text is not valid UTF-8")
                return
            self.deliver(Message(self._parts_kind, data))

    def _part(self, frame: WSFrame, *, first: bool) -> bytes | None:
        """Return what a frame adds to its message; None: it was a violation."""
        room = self._limits.max_message_size - self._parts_size
        if self._compressed and self._deflate is not None:
            try:
                return self._deflate.decompress(
                    frame.get_payload_as_bytes(), first=first, final=bool(frame.fin), room=room
                )
            except InflateError as error:
                self._violated(TOO_BIG if error.too_big else INVALID_PAYLOAD, str(error))
                return None
        if frame.payload_size > room:
            self._violated(TOO_BIG, f"message longer than {self._limits.max_message_size} bytes")
            return None
        return frame.get_payload_as_bytes()

    def _close_received(self, frame: WSFrame) -> None:
        body = frame.get_payload_as_bytes()
        code = int.from_bytes(body[:2], "big") if body else NO_CODE
        if body and code != sendable(code):  # picows lets 0, 1006 and those above 4999 pass
            self._violated(PROTOCOL_ERROR, "not a close code")
            return
        if not self._close_sent:
            self._close_sent = True
            if body:
                self._frames.send_close(code)  # type: ignore[arg-type]  # any int is taken
            else:
                self._frames.send(_CLOSE, b"")  # send_close() would write 1005
            self._flush_control()
        # The server closes the connection first (RFC 6455 section 7.1.1).
        if self._server_side:
            self._frames.disconnect()
        self._limit_closing()
        self._end(Close(code, body[2:].decode()))  # UTF-8 was checked by picows

    def _violated(self, code: int, reason: str) -> None:
        if not self._ended:
            self._give_up(code, reason)
            self._end(Close(code, reason), violation=True)

    def _violation_parsed(self, code: int, reason: str) -> None:
        """Take note of what picows has found; the frame before it is still to be delivered."""
        if self._ended:  # behind the peer's close frame
            self._listen_no_more()
        elif (closing := self._undelivered_close()) is not None:
            # What is right behind it does not count (RFC 6455 section 5.5.1). The answer cannot
            # wait: picows sends 1002 when we return, unless it has sent a close before.
            self._send_close(closing, "")
            self._listen_no_more()
        else:
            self._give_up(code, reason)
            self._clock.call_soon(partial(self._end, Close(code, reason), violation=True))

    def _undelivered_close(self) -> int | None:
        """Return the code of a proper close frame that picows has read ahead."""
        closing = self._protocol.transport.close_handshake
        if closing is None or closing.recv is None:
            return None
        code: int = closing.recv.code or NO_CODE
        return code if code in (NO_CODE, sendable(code)) else None

    def _failed(self) -> None:
        """Take note that something of ours has raised while a frame was delivered."""
        _logger.exception("fault in the relay")  # noqa: LOG004 - called in picows' handler
        if not self._ended:
            self._give_up(INTERNAL_ERROR, "internal error")
            self._end(Close(INTERNAL_ERROR, "internal error"))

    def _give_up(self, code: int, reason: str) -> None:
        """Tell the peer why, and read nothing more but its end."""
        self._send_close(code, reason)
        self._listen_no_more()
        self._limit_closing()

    def _listen_no_more(self) -> None:
        self._gathering.give_up()
        if self._batch.is_open:  # perhaps no further frame of this read is looked at
            self._batch.close()
        self._transport.set_protocol(Lingering(self._lost))
        self.resume_reading()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Take note that the transport is gone."""
        self._lost()

    def _lost(self) -> None:
        if self._close_timer is not None:
            self._close_timer.cancel()
        self._end(Close(LOST, "connection lost"))
        self._events.disconnected()
        # What refers to us in a circle is let go, so that nothing waits for the collector.
        del self._protocol, self._events
        self._gathering.release()
        self._log.release()

    def _end(self, close: Close, *, violation: bool = False) -> None:
        if not self._ended:
            self._ended = True
            self.deliver = _ignore
            self.wake_at = NEVER
            self._parts = None
            self._events.ended(close, violation=violation)

    # Sending

    def send(self, message: Message) -> None:
        """Send one message; without effect after a close."""
        self.sent_messages += 1
        sent_bytes = self.sent_bytes = self.sent_bytes + len(message.data)
        pending = self._pending
        if pending or self._batch.is_open:
            if not self._in_batch:
                self._gather()
            self._frames.send(message.kind, message.data)  # type: ignore[arg-type]  # opcode
            if not self._in_batch:
                self._gathering.flush()
        else:
            self._frames.send(message.kind, message.data)  # type: ignore[arg-type]  # opcode
            if pending:
                self._gathering.flush()
        if sent_bytes >= self.wake_at:
            self.wake_at = NEVER
            self._events.woken()

    def ping(self, payload: bytes) -> None:
        """Send a ping."""
        self._frames.send_ping(payload)
        self._flush_control()

    def flush(self) -> None:
        """Write what was gathered during a read; called by the ReadBatch."""
        self._in_batch = False
        if self._pending:
            self._gathering.flush()

    def _gather(self) -> None:
        """Have picows hand its frames over until the next flush."""
        if self._batch.is_open:
            self._in_batch = True
            self._batch.add(self)
        if not self._pending:
            self._pending.append(b"")

    def _flush_control(self) -> None:
        """Have a control frame written, if it waits behind messages."""
        if self._pending and not self._in_batch:
            self._gather()
            if not self._in_batch:
                self._gathering.flush()

    # Closing

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake (RFC 6455 section 7.1.2); ends within `close_timeout`."""
        if self._close_sent or self._ended:
            return
        self._send_close(code, reason)
        self.resume_reading()  # or the answer would never be seen
        self._limit_closing()

    def abort(self, reason: str = "connection aborted") -> None:
        """Drop the connection without a word; it counts as lost."""
        self._end(Close(LOST, reason))
        self._frames.disconnect(graceful=False)

    def _send_close(self, code: int, reason: str) -> None:
        if not self._close_sent:
            self._close_sent = True
            self._frames.send_close(sendable(code), reason_bytes(reason))  # type: ignore[arg-type]  # code
            if self._pending:
                self._gathering.flush()

    def _limit_closing(self) -> None:
        if self._close_timer is None:
            self._close_timer = self._clock.call_later(
                self._limits.close_timeout, self.abort, "closing took too long"
            )

    # Flow

    def pause_reading(self) -> None:
        """Stop reading soon; messages of the last read may still be delivered."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on reading."""
        if self._begun and not self._transport.is_closing():
            self._transport.resume_reading()

    def silent_for(self, seconds: float) -> bool:
        """Whether not one byte has come for so long, those of unfinished frames included."""
        return is_silent(self._transport, seconds)

    def backlog(self) -> Backlog:
        """Return what tells whether the peer takes what waits for it."""
        return Backlog(self._transport)

    def pause_writing(self) -> None:
        """Called by the transport."""
        if not self._ended:
            self._events.writable(False)

    def resume_writing(self) -> None:
        """Called by the transport."""
        if not self._ended:
            self._events.writable(True)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _ignore(_message: Any) -> None:
    pass
