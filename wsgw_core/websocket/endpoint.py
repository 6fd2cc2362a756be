"""One websocket connection after its opening handshake, server side or client side."""

from __future__ import annotations

import asyncio
from struct import Struct
from typing import final

from ..api import TEXT, CloseCode
from . import frames
from .closer import Closer
from .compression import Deflate
from .fragments import Fragments
from .framed_message import FramedMessage
from .frames import FrameError, UnfinishedFrame, is_utf8, read_payload
from .silence import Backlog, silence_of, unacknowledged_for
from .turns import NOTHING

_new_message = FramedMessage.__new__
_read_head = Struct("!BBH").unpack_from

# The share of one connection in one turn of the event loop:
_TURN = range(128)  # frames
_INFLATED = 64 * 1024  # bytes after decompression; the last message may exceed it
_LONG_READ = 128 * 1024  # bytes; after such a read there may be more, and others may wait
_UNREAD_PINGS = 8  # after so many pings, a peer that does not read its pongs waits for a while


@final
class Endpoint(Closer):
    """Receives and sends whole messages.

    The socket's read callback passes every message to `deliver`, a plain function. This class has
    no subclasses: the interpreter is fastest if both sides of a relay run the same code on the same
    type. Its base classes only divide its code; separate objects would cost further attribute
    lookups for every message.

    Args:
        events, limits, clock, read_batch, share: see Closer.
    """

    __slots__ = (
        "__weakref__",
        "_mask_bit",
        "_max_frame_size",
        "_medium",
        "_medium_head",
        "_short_head",
        "_short_max",
    )

    # Beginning

    def attach(
        self, transport: asyncio.Transport, *, client_side: bool, deflate: Deflate | None = None
    ) -> None:
        """Takes over a transport whose reading is paused; `begin` resumes it.

        Args:
            transport: a connection after its opening handshake.
            client_side: whether the gateway is the client of this connection.
            deflate: the compression that the handshake has agreed on.
        """
        self._transport = transport
        self._write = transport.write
        self._client_side = client_side
        self._server_side = not client_side
        self._mask_bit = 0 if client_side else frames.MASK
        self._passes_masked = client_side
        self._max_frame_size = self._limits.max_message_size
        if deflate is not None:
            self._deflate = deflate
            self._whole = NOTHING
            self._passes_masked = None
            # incompressible data grows a little
            self._max_frame_size += self._max_frame_size // 8 + 64
        # for `data_received`: frames of the two shorter forms, unless the limit forbids them
        self._short_head = frames.head_size(0, masked=self._server_side)
        self._short_max = min(125, self._max_frame_size)
        self._medium_head = frames.head_size(126, masked=self._server_side)
        self._medium = self._mask_bit | 126 if self._max_frame_size >= 65535 else -1
        high = self._limits.write_high_water
        transport.set_write_buffer_limits(high=high, low=high // 4)
        transport.set_protocol(self)

    def begin(self, first_bytes: bytes) -> None:
        """Starts reading, beginning with the bytes that came behind the handshake."""
        if self._transport.is_closing():
            return
        self._begun = True
        if not self._batch.may_begin(self._clock):
            self._end_turn(first=True)
        elif self._is_read and not self._paused:
            self.resume_reading()  # first: the first bytes may pause it again
        if first_bytes:
            self.data_received(first_bytes)

    # Receiving

    def data_received(self, data: bytes) -> None:  # noqa: C901, PLR0912 - a call costs too much here
        """Takes bytes that were read; the transport calls it.

        It takes whole messages in one frame of less than 64 KiB in place, everything else with
        `_take`. After _TURN frames the rest waits for another turn, and after a long read the next
        read may wait for one.
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
                frame = data[position:end]  # no copy if it is all of `data`
                position = end
                if kind is TEXT and not self._is_text(frame, length):
                    raise FrameError(CloseCode.INVALID_PAYLOAD, "text is not valid UTF-8")  # noqa: TRY301 - one place for all
                message = _new_message(FramedMessage)  # a third cheaper than calling the class
                message.kind = kind
                message.size = length
                message.masked = self._server_side
                message.frame = frame
                deliver = self.deliver  # faster than calling the slot in one step
                deliver(message)
                if position == size:
                    break
            else:
                self._keep(data[position:])
                self._end_turn()
        except FrameError as error:
            self._violated(error)
        except Exception:  # noqa: BLE001 - `_failed` logs it
            self._failed()
        if self._batch.is_open:
            self._batch.close()
        if size >= _LONG_READ:
            self._end_long_read()

    def _add_to(self, unfinished: UnfinishedFrame, data: bytes) -> bytes:
        """Returns all bytes since the frame began once it is complete; nothing before."""
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
        """Takes a frame of any type at `position`; returns the position of the next one."""
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
                raise FrameError(CloseCode.INVALID_PAYLOAD, "text is not valid UTF-8")
            self.deliver(FramedMessage(kind, size, frame, masked=masked))
        elif masked and first & frames.OPCODE == frames.CLOSE and not self._may_close():
            self._keep(data[position:])
            self._end_turn()
            return len(data)
        else:
            self._take_other(first, read_payload(frame, size, masked=masked))
        return end

    def _may_close(self) -> bool:
        """Returns whether a client's close is taken now, because not very many have come at once.

        A backend's close never waits: until it is taken, the backend would get new messages.
        """
        return self._batch.may_begin(self._clock)

    def _take_other(self, first: int, payload: bytes) -> None:
        """Takes a frame that is not a plain message (RFC 6455 sections 5.4 and 5.5)."""
        opcode = first & frames.OPCODE
        self._events.heard()
        reserved = first & frames.RESERVED
        if reserved and not (reserved == frames.RSV1 and self._may_be_compressed(opcode)):
            raise FrameError(CloseCode.PROTOCOL_ERROR, "reserved bit set without an extension")
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
        """Takes a frame of a message that is fragmented or may be compressed."""
        fragments = self._fragments
        if (first & frames.OPCODE == frames.CONTINUATION) is (fragments is None):
            raise FrameError(CloseCode.PROTOCOL_ERROR, "fragments out of order")
        if fragments is None:
            self._whole = NOTHING
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

    # The state of the connection

    def silence(self) -> float | None:
        """Returns the seconds since the last byte came, including bytes of unfinished frames.

        0 while some bytes are not taken yet. None if the system does not know.
        """
        return 0.0 if self._kept else silence_of(self._transport)

    def unacknowledged_for(self) -> float:
        """Returns for how many seconds the peer's system has acknowledged nothing."""
        return unacknowledged_for(self._transport)

    @property
    def held_bytes(self) -> int:
        """Bytes written but not taken by the system, and bytes read of incomplete messages."""
        held = self._transport.get_write_buffer_size() + len(self._kept)
        if self._unfinished is not None:
            held += self._unfinished.size
        if self._fragments is not None:
            held += self._fragments.size
        return held

    @property
    def lasting_bytes(self) -> int:
        """Bytes that compression needs as long as the connection lasts."""
        return self._deflate.context_bytes if self._deflate is not None else 0

    @property
    def is_in_a_message(self) -> bool:
        """Whether a message is incomplete."""
        return self._unfinished is not None or self._fragments is not None

    @property
    def is_in_a_frame(self) -> bool:
        """Whether a frame is incomplete."""
        return self._unfinished is not None

    @property
    def is_flushed(self) -> bool:
        """Whether the connection is open and the system has taken all bytes sent."""
        return not (self._transport.is_closing() or self._transport.get_write_buffer_size())

    def backlog(self) -> Backlog:
        """Returns a Backlog, which finds out whether the peer reads."""
        return Backlog(self._transport)
