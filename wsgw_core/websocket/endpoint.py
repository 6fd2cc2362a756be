"""One websocket connection after its opening handshake, server side or client side."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable
from struct import Struct
from typing import Any, Protocol, final

from ..api import BINARY, TEXT, Clock, Close, Limits, Message, MessageKind, ReadBatch
from . import frames
from .close_codes import (
    INTERNAL_ERROR,
    INVALID_PAYLOAD,
    LOST,
    NO_CODE,
    PROTOCOL_ERROR,
    reason_bytes,
    sendable,
)
from .compression import Deflate
from .fragments import Fragments
from .framed_message import FramedMessage
from .frames import FrameError, UnfinishedFrame, is_utf8, read_payload
from .silence import LEAST_RATE, Backlog, silence_of, taken_from, unacknowledged_for

# by the first byte: messages in one frame. Nothing while one is under way in fragments, while all
# may be compressed, while no frame is to be taken, and after the end.
_NOTHING: tuple[MessageKind | None, ...] = (None,) * 256
_WHOLE = (*_NOTHING[:129], TEXT, BINARY, *_NOTHING[131:])

_new_message = FramedMessage.__new__
_read_head = Struct("!BBH").unpack_from
_LARGE = 16 * 1024  # from here on copying costs more than a vectored write

# What one connection takes in one turn of the event loop, before others have theirs.
_TURN = range(128)  # frames
_INFLATED = 64 * 1024  # bytes that compressed messages may become; the last one may exceed it
_LONG_READ = 128 * 1024  # bytes: with so many at once there is more, and others may wait
_UNREAD_PINGS = 8  # of a peer that does not read its pongs; then it waits for _UNREAD_DELAY
_UNREAD_DELAY = 0.25  # seconds; never stopped for good: a peer may have to write before it reads

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
class Endpoint(asyncio.Protocol):
    """Receives and sends whole messages.

    Every message goes to `deliver`, a plain function called from the socket's read callback. There
    are no subclasses on purpose: both ends of a relay run the same code on the same type, which is
    what the interpreter is fastest at.

    Args:
        events: who is told what becomes of the connection.
        limits: size of a message, write buffer, time of the closing handshake.
        clock: for the closing handshake's timeout.
        read_batch: shared by all connections that relay to each other.
        share: what each message adds to `sent_weight` besides its payload.

    Attributes:
        deliver: called with each message received; set it before `begin`.
        on_ping: called with the payload of each ping, to be answered by `pong`; None: each is
            answered at once.
        sent_messages, sent_weight: all that was ever sent.
        wake_at: `events.woken` is called by the message with which `sent_weight` reaches it, and it
            becomes NEVER.
    """

    __slots__ = (
        "__weakref__",
        "_batch",
        "_begun",
        "_client_side",
        "_clock",
        "_close_sent",
        "_close_timer",
        "_deflate",
        "_ended",
        "_events",
        "_fragments",
        "_inflated",
        "_kept",
        "_limits",
        "_lost",
        "_mask_bit",
        "_max_frame_size",
        "_medium",
        "_medium_head",
        "_owed",
        "_passes_masked",
        "_paused",
        "_pending",
        "_server_side",
        "_share",
        "_short_head",
        "_short_max",
        "_transport",
        "_unfinished",
        "_unread_pings",
        "_unread_timer",
        "_waits",
        "_whole",
        "_write",
        "deliver",
        "on_ping",
        "sent_messages",
        "sent_weight",
        "wake_at",
    )

    _transport: asyncio.Transport

    def __init__(
        self,
        events: EndpointEvents,
        limits: Limits,
        clock: Clock,
        read_batch: ReadBatch,
        share: int = 0,
    ) -> None:
        self._events = events
        self._limits = limits
        self._clock = clock
        self._batch = read_batch
        self._begun = False
        self._paused = False
        self.deliver: Callable[[Message], object] = _ignore
        self.on_ping: Callable[[bytes], object] | None = None
        self.sent_messages = 0
        self.sent_weight = 0
        self._share = share
        self.wake_at = NEVER
        self._write: Callable[[bytes], object] = _ignore
        self._pending: list[bytes] = []  # what the batch will have us write
        self._deflate: Deflate | None = None
        self._unfinished: UnfinishedFrame | None = None
        self._kept = b""  # read, but not taken yet
        self._waits = False  # for its next turn; until then no frame is taken
        self._inflated = 0  # bytes in this turn, about
        # While the peer does not read: the newest ping and pong that it gets when it does.
        self._owed: dict[int, bytes] | None = None
        self._unread_pings = 0
        self._unread_timer: asyncio.TimerHandle | None = None  # until then it asks for no turn
        self._lost = False  # the transport is, but not everything that came was taken
        self._whole = _WHOLE
        self._fragments: Fragments | None = None  # of the message that is under way
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
        self._write = transport.write
        self._client_side = client_side
        self._server_side = not client_side
        self._mask_bit = 0 if client_side else frames.MASK
        # which frames can be sent on as they came: those that are masked as ours would be
        self._passes_masked: bool | None = client_side
        self._max_frame_size = self._limits.max_message_size
        if deflate is not None:
            self._deflate = deflate
            self._whole = _NOTHING
            self._passes_masked = None
            # what cannot be compressed grows a little
            self._max_frame_size += self._max_frame_size // 8 + 64
        # what is read in place: frames of the two shorter forms, unless the bound forbids them
        self._short_head = frames.head_size(0, masked=self._server_side)
        self._short_max = min(125, self._max_frame_size)
        self._medium_head = frames.head_size(126, masked=self._server_side)
        self._medium = self._mask_bit | 126 if self._max_frame_size >= 65535 else -1
        high = self._limits.write_high_water
        transport.set_write_buffer_limits(high=high, low=high // 4)
        transport.set_protocol(self)

    def begin(self, first_bytes: bytes) -> None:
        """Read from now on, beginning with bytes that came behind the handshake."""
        if self._transport.is_closing():
            return
        self._begun = True
        if not self._batch.may_begin(self._clock):
            self._end_turn(first=True)
        elif not self._paused:
            self.resume_reading()  # first: what is fed may have it paused
        if first_bytes:
            self.data_received(first_bytes)

    # Receiving

    def data_received(self, data: bytes) -> None:  # noqa: C901, PLR0912 - a call costs too much here
        """Take what was read; called by the transport.

        Whole messages in one frame of less than 64 KiB are taken in place, all else by `_take`.
        After so many frames the rest waits for another turn. After a long read the next one may
        have to.
        """
        position, size = 0, len(data)
        if self._unfinished is not None:
            data = self._add_to(self._unfinished, data)
            size = len(data)
        try:
            for _ in _TURN:
                kind = None
                if size - position > 3:
                    first, second, length = _read_head(data, position)
                    kind = self._whole[first]
                    if second == self._medium and length > 125:
                        end = position + self._medium_head + length
                    elif 0 <= (length := second - self._mask_bit) <= self._short_max:
                        end = position + self._short_head + length
                    else:
                        kind = None
                if kind is None or end > size:
                    position = self._take(data, position)
                    if position < size:
                        continue
                    break
                if end < size:
                    self._batch.is_open = True
                frame = data[position:end]  # of all of it: no copy
                position = end
                if kind is TEXT and not self._is_text(frame, length):
                    raise FrameError(INVALID_PAYLOAD, "text is not valid UTF-8")  # noqa: TRY301 - one place for all
                message = _new_message(FramedMessage)  # a third cheaper than calling the class
                message.kind = kind
                message.size = length
                message.masked = self._server_side
                message.frame = frame
                deliver = self.deliver  # calling a slot in one step is slower
                deliver(message)
                if position == size:
                    break
            else:
                self._keep(data[position:])
                self._end_turn()
        except FrameError as error:
            self._violated(error)
        except Exception:  # noqa: BLE001 - it is logged there
            self._failed()
        if self._batch.is_open:
            self._batch.close()
        if size >= _LONG_READ:
            self._end_long_read()

    def _add_to(self, unfinished: UnfinishedFrame, data: bytes) -> bytes:
        """Return all that came since the frame began, once it is whole; nothing before."""
        whole = unfinished.add(data)
        if whole:
            self._unfinished = None
        elif len(data) >= _LONG_READ:
            self._end_long_read()
        return whole

    def _is_text(self, frame: bytes, size: int) -> bool:
        payload = read_payload(frame, size, masked=self._server_side)
        return payload.isascii() or is_utf8(payload)

    def _take(self, data: bytes, position: int) -> int:
        """Take the frame at `position`, whatever it is; return where the next one begins."""
        if self._ended or not data:
            return len(data)
        if self._paused or self._waits:
            self._keep(data[position:])
            return len(data)
        masked = self._server_side
        size, end = frames.read_length(data, position, masked=masked, max_size=self._max_frame_size)
        first = data[position]
        frames.check_first_byte(first)
        frame = data[position:end]
        if end < len(data):
            self._batch.is_open = True
        if end > len(data):
            self._unfinished = UnfinishedFrame(frame, end - position)
        elif (kind := self._whole[first]) is not None:
            if kind is TEXT and not self._is_text(frame, size):
                raise FrameError(INVALID_PAYLOAD, "text is not valid UTF-8")
            self.deliver(FramedMessage(kind, size, frame, masked=masked))
        else:
            self._take_other(first, read_payload(frame, size, masked=masked))
        return end

    def _take_other(self, first: int, payload: bytes) -> None:
        """Take whatever is not a plain message in one frame (RFC 6455 sections 5.4 and 5.5)."""
        opcode = first & frames.OPCODE
        self._events.heard()
        reserved = first & frames.RESERVED
        if reserved and not (reserved == frames.RSV1 and self._may_be_compressed(opcode)):
            raise FrameError(PROTOCOL_ERROR, "reserved bit set without an extension")
        if opcode == frames.PING:
            answer = self.on_ping or self.pong
            answer(payload)
            if self._owed is not None:
                self._unread_pings += 1
                if self._unread_pings == _UNREAD_PINGS and not self._ended:
                    self._wait_for_reading()
        elif opcode == frames.PONG:
            self._events.pong_received(payload)
        elif opcode == frames.CLOSE:
            self._close_received(payload)
        else:
            self._take_fragment(first, payload)

    def _may_be_compressed(self, opcode: int) -> bool:
        return self._deflate is not None and opcode in (frames.TEXT, frames.BINARY)

    def _take_fragment(self, first: int, payload: bytes) -> None:
        """Take one frame of a message that is fragmented, or may be compressed."""
        fragments = self._fragments
        if (first & frames.OPCODE == frames.CONTINUATION) is (fragments is None):
            raise FrameError(PROTOCOL_ERROR, "fragments out of order")
        if fragments is None:
            self._whole = _NOTHING
            fragments = self._fragments = Fragments(first, self._limits, self._deflate)
        message = fragments.add(payload, final=bool(first & frames.FIN))
        if message is not None:
            self._fragments = None
            self._whole = self._wholes
            self.deliver(message)
            if self._deflate is not None:
                self._inflated += message.size
                if self._inflated >= _INFLATED:
                    self._end_turn()

    def _close_received(self, body: bytes) -> None:
        code, reason = frames.read_close(body)
        self._write_close(body[:2])
        # The server closes the connection first (RFC 6455 section 7.1.1).
        if self._server_side:
            self._transport.close()
        self._limit_closing()
        self._end(Close(code, reason))

    def _violated(self, error: FrameError) -> None:
        if not self._ended:
            self._give_up(error.code, str(error))
            self._end(Close(error.code, str(error)), violation=True)

    def _failed(self) -> None:
        """Take note that something of ours has raised while a frame was delivered."""
        _logger.exception("fault in the relay")  # noqa: LOG004 - called in an exception's handler
        if not self._ended:
            self._give_up(INTERNAL_ERROR, "internal error")
            self._end(Close(INTERNAL_ERROR, "internal error"))

    def _give_up(self, code: int, reason: str) -> None:
        """Tell the peer why, and read nothing more but its end."""
        self._send_close(code, reason)
        if self._transport.can_write_eof() and not self._transport.is_closing():
            with contextlib.suppress(OSError):  # the peer has gone already
                self._transport.write_eof()
        # Closing with unread bytes would reset the connection, and the peer might never see why.
        self.resume_reading()
        self._limit_closing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the transport is gone; called by it."""
        if not self._kept:
            self._disconnect()
            return
        self._lost = True  # what came before is taken first
        self._write = _ignore
        self.resume_writing()  # or the two sides of a session might wait for each other

    def _disconnect(self) -> None:
        """Let go of everything: the transport is gone, and what it brought is taken."""
        for timer in (self._close_timer, self._unread_timer):
            if timer is not None:
                timer.cancel()
        self._lost = False
        self._end(Close(LOST, "connection lost"))
        self._events.disconnected()
        del self._events  # which refers to us in a circle: nothing shall wait for the collector

    def _end(self, close: Close, *, violation: bool = False) -> None:
        """Tell the user once that it is over; nothing is taken or sent any more."""
        if not self._ended:
            self._ended = True
            self._whole = _NOTHING
            self.deliver = self._write = _ignore
            self.on_ping = None
            self.wake_at = NEVER
            self._fragments = self._unfinished = None
            self._kept = b""
            self._events.ended(close, violation=violation)

    # Turns

    def _end_long_read(self) -> None:
        """Wait for a turn before the next read, if others wait or have brought as much."""
        if not self._batch.may_read_on(self._clock):
            self._end_turn()

    def _end_turn(self, *, first: bool = False) -> None:
        """Read and take no more until others have had their turn; the rest has to be kept."""
        self._stop()
        if not self._waits:
            self._waits = True
            self._batch.call_in_turn(self._clock, self._next_turn, first=first)

    def _wait_for_reading(self) -> None:
        """Take no more frames until the peer has read what waits for it, or for a while."""
        self._stop()
        self._waits = True
        self._unread_timer = self._clock.call_later(_UNREAD_DELAY, self._waited_for_reading)

    def _waited_for_reading(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None
            self._batch.call_in_turn(self._clock, self._next_turn)

    def _next_turn(self) -> bool:
        """Go on; return whether the next read follows."""
        self._waits = False
        if self._paused:
            return False
        self._inflated = self._unread_pings = 0
        self._whole = self._wholes
        kept, self._kept = self._kept, b""
        if kept:
            self.data_received(kept)
        self._go_on()
        return not (self._waits or self._paused)

    def _keep(self, data: bytes) -> None:
        if not self._ended:
            self._kept = data

    def _stop(self) -> None:
        self._whole = _NOTHING
        self._transport.pause_reading()

    def _go_on(self) -> None:
        """Read on if everything that was read is taken; or end, if there is nothing to read."""
        if self._lost:
            if not self._kept:
                self._disconnect()
        elif not (self._waits or self._paused):
            self._whole = self._wholes
            self._transport.resume_reading()

    @property
    def _wholes(self) -> tuple[MessageKind | None, ...]:
        """What `_whole` is while frames are taken."""
        if self._deflate is not None or self._fragments is not None or self._ended:
            return _NOTHING
        return _WHOLE

    # Sending

    def send(self, message: Message) -> None:
        """Send one message; without effect after a close."""
        self.sent_messages += 1
        if (
            message.__class__ is not FramedMessage
            or message.masked is not self._passes_masked
            or (frame := message.frame) is None
        ):
            frame = self._frame(message)
        if self._batch.is_open:
            pending = self._pending
            if not pending:
                self._batch.add(self)
            pending.append(frame)
        else:
            write = self._write
            write(frame)
        sent_weight = self.sent_weight = self.sent_weight + message.size + self._share
        if sent_weight >= self.wake_at:
            self.wake_at = NEVER
            self._events.woken()

    @property
    def sent_bytes(self) -> int:
        """Payload of all that was ever sent."""
        return self.sent_weight - self.sent_messages * self._share

    def pong(self, payload: bytes) -> None:
        """Answer a ping; a peer that does not read gets the newest answer only."""
        self._send_control(frames.PONG, payload)

    def ping(self, payload: bytes) -> None:
        """Send a ping; a peer that does not read gets the newest one only."""
        self._send_control(frames.PING, payload)

    def flush(self) -> None:
        """Write what was gathered during a read; called by the ReadBatch."""
        pending = self._pending
        if sum(map(len, pending)) <= _LARGE:
            self._write(b"".join(pending))
        elif self._write is not _ignore:
            self._transport.writelines(pending)
        pending.clear()

    def _frame(self, message: Message) -> bytes:
        data: bytes | bytearray | memoryview = message.data
        first = frames.FIN | message.kind
        if self._deflate is not None and len(data) >= self._deflate.min_size:
            first |= frames.RSV1
            data = self._deflate.compress(message.data)
        return frames.write_frame(first, data, masked=self._client_side)

    def _send_control(self, opcode: int, payload: bytes) -> None:
        if self._owed is not None:
            self._owed[opcode] = payload
            return
        frame = self._control(opcode, payload)
        if self._batch.is_open:  # behind the messages of this read
            if not self._pending:
                self._batch.add(self)
            self._pending.append(frame)
        else:
            self._write(frame)

    def _control(self, opcode: int, payload: bytes) -> bytes:
        return frames.write_frame(frames.FIN | opcode, payload, masked=self._client_side)

    # Closing

    def close(self, code: int, reason: str = "") -> None:
        """Begin the closing handshake (RFC 6455 section 7.1.2); ends within `close_timeout`.

        A client that still takes what it was sent before has as long again, and again.

        Args:
            code: any; 1005 for a close frame without code and reason.
            reason: cut to what fits.
        """
        if self._close_sent or self._ended:
            return
        self._send_close(code, reason)
        self.resume_reading()  # or the answer would never be seen
        self._limit_closing()

    def abort(self, reason: str = "connection aborted") -> None:
        """Drop the connection without a word; it counts as lost."""
        self._end(Close(LOST, reason))
        if self._lost:
            self._disconnect()
        else:
            self._transport.abort()

    def _send_close(self, code: int, reason: str) -> None:
        body = b"" if code == NO_CODE else sendable(code).to_bytes(2, "big") + reason_bytes(reason)
        self._write_close(body)

    def _write_close(self, body: bytes) -> None:
        if not self._close_sent:
            self._close_sent = True
            self.flush()
            self._write(self._control(frames.CLOSE, body))
            self._write = _ignore

    def _limit_closing(self) -> None:
        if self._close_timer is None:
            self._close_timer = self._clock.call_later(
                self._limits.close_timeout, self._closing_overdue, self.taken()
            )

    def _closing_overdue(self, taken: int) -> None:
        """Drop the connection, unless a client has taken enough since it had taken so much."""
        now_taken, seconds = self.taken(), self._limits.close_timeout
        if self._server_side and not self._ended and now_taken - taken >= LEAST_RATE * seconds:
            self._close_timer = self._clock.call_later(seconds, self._closing_overdue, now_taken)
        else:
            self.abort("closing took too long")

    # Flow

    def pause_reading(self) -> None:
        """Take no more frames: what was read and not taken is kept."""
        self._paused = True
        self._stop()

    def resume_reading(self) -> None:
        """Go on reading, in a later turn of the event loop if more is to be expected.

        What is kept comes first.
        """
        self._paused = False
        if self._waits or not self._begun:
            return
        if self._kept or self._lost or self._unfinished is not None:
            self._end_turn()
        else:
            self._go_on()

    def silence(self) -> float | None:
        """Return how many seconds ago the last byte came, those of unfinished frames included.

        0 while some of what came is not taken yet. None: the system cannot tell.
        """
        return 0.0 if self._kept else silence_of(self._transport)

    def unacknowledged_for(self) -> float:
        """Return for how many seconds the peer's system has acknowledged nothing; see `silence`."""
        return unacknowledged_for(self._transport)

    @property
    def held_bytes(self) -> int:
        """Bytes that wait: written and not taken by the system, and read but no whole message."""
        held = self._transport.get_write_buffer_size() + len(self._kept)
        if self._unfinished is not None:
            held += self._unfinished.size
        if self._fragments is not None:
            held += self._fragments.size
        return held

    @property
    def lasting_bytes(self) -> int:
        """Bytes that compression takes as long as the connection lasts."""
        return self._deflate.context_bytes if self._deflate is not None else 0

    @property
    def is_in_a_message(self) -> bool:
        """Whether a message has come in part."""
        return self._unfinished is not None or self._fragments is not None

    @property
    def is_drained(self) -> bool:
        """Whether the system has taken all that was sent."""
        return not (self._transport.is_closing() or self._transport.get_write_buffer_size())

    def taken(self) -> int:
        """Return a number that grows by each byte that the peer takes; see `taken_from`."""
        return taken_from(self._transport)

    def backlog(self) -> Backlog:
        """Return what tells whether the peer takes what waits for it."""
        return Backlog(self._transport)

    def pause_writing(self) -> None:
        """Called by the transport."""
        if not self._ended:
            self._owed = {}
            self._unread_pings = 0
            self._events.writable(False)

    def resume_writing(self) -> None:
        """Called by the transport."""
        owed, self._owed = self._owed, None
        if self._ended or owed is None:
            return
        for opcode, payload in owed.items():
            self._send_control(opcode, payload)
        self._waited_for_reading()
        self._events.writable(True)


def _ignore(_message: Any) -> None:
    pass
