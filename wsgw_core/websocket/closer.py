"""Closes one connection, and reports its end once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from ..api import Clock, Close, CloseCode, Limits, Message, ReadBatch
from . import frames
from .endpoint_events import EndpointEvents
from .frames import FrameError
from .sender import NEVER, ignore
from .silence import LEAST_RATE, taken_from
from .turns import NOTHING, TurnTaker

_logger = logging.getLogger("wsgw.websocket")


class Closer(TurnTaker):
    """Completes the closing handshake within `close_timeout`, or drops the connection.

    Args:
        events: handles the events of the connection.
        limits: the limits for messages, the write buffer and the closing handshake.
        clock: schedules turns and the closing handshake's timeout.
        read_batch: shared by all connections that relay to each other.
        share: how much each message adds to `sent_weight` besides its payload.

    Attributes:
        deliver: called with each message received; set it before `begin`.
        on_ping: called with the payload of each ping, which `pong` answers; None: the connection
            answers each ping at once.
    """

    __slots__ = ("_close_timer", "_limits", "_server_side", "deliver", "on_ping")

    _server_side: bool

    def __init__(
        self,
        events: EndpointEvents,
        limits: Limits,
        clock: Clock,
        read_batch: ReadBatch,
        share: int = 0,
    ) -> None:
        super().__init__(events, read_batch, share, clock)
        self._limits = limits
        self.deliver: Callable[[Message], object] = ignore
        self.on_ping: Callable[[bytes], object] | None = None
        self._close_timer: asyncio.TimerHandle | None = None

    # Our close

    def close(self, code: int, reason: str = "") -> None:
        """Begins the closing handshake (RFC 6455 section 7.1.2), limited by `close_timeout`.

        The timeout starts again while a client still takes earlier messages.

        Args:
            code: any code; 1005 sends a close frame without code and reason.
            reason: cut to the length that fits.
        """
        if self._close_sent or self._ended:
            return
        self._send_close(code, reason)
        self.resume_reading()  # to read the peer's answer
        self._limit_closing()

    def abort(self, reason: str = "connection aborted") -> None:
        """Drops the connection without a close frame; it counts as lost."""
        self._end(Close(CloseCode.LOST, reason))
        if self._lost:
            self._disconnect()
        else:
            self._transport.abort()

    def _limit_closing(self) -> None:
        if self._close_timer is None:
            self._close_timer = self._clock.call_later(
                self._limits.close_timeout, self._closing_overdue, self.taken()
            )

    def _closing_overdue(self, taken: int) -> None:
        """Drops the connection, unless a client has taken enough bytes since `taken`."""
        now_taken, seconds = self.taken(), self._limits.close_timeout
        if self._server_side and not self._ended and now_taken - taken >= LEAST_RATE * seconds:
            self._close_timer = self._clock.call_later(seconds, self._closing_overdue, now_taken)
        else:
            self.abort("close timed out")

    # The peer's close

    def _close_received(self, body: bytes) -> None:
        code, reason = frames.read_close(body)
        self._write_close(body[:2])
        # The server closes the connection first (RFC 6455 section 7.1.1).
        if self._server_side:
            self._transport.close()
        self._limit_closing()
        self._end(Close(code, reason))

    # Faults

    def _violated(self, error: FrameError) -> None:
        if not self._ended:
            self._give_up(error.code, str(error))
            self._end(Close(error.code, str(error)), violation=True)

    def _failed(self) -> None:
        """Closes the connection after an exception in the gateway's own code."""
        _logger.exception("internal error in the relay")  # noqa: LOG004 - in an exception handler
        if not self._ended:
            self._give_up(CloseCode.INTERNAL_ERROR, "internal error")
            self._end(Close(CloseCode.INTERNAL_ERROR, "internal error"))

    def _give_up(self, code: int, reason: str) -> None:
        """Sends a close frame, and reads on only for the end of the connection."""
        self._send_close(code, reason)
        if self._transport.can_write_eof() and not self._transport.is_closing():
            with contextlib.suppress(OSError):  # the peer is gone already
                self._transport.write_eof()
        # Closing with unread bytes would reset the connection, and the peer might miss the reason.
        self.resume_reading()
        self._limit_closing()

    # The end

    def connection_lost(self, exc: Exception | None) -> None:
        """Handles the loss of the transport; the transport calls it."""
        if not self._kept:
            self._disconnect()
            return
        self._lost = True  # first take what came before
        self._write = ignore
        self.resume_writing()  # else the two sides of a session might wait for each other

    def _disconnect(self) -> None:
        """Releases everything: the transport is gone, and all its bytes are taken."""
        for timer in (self._close_timer, self._unread_timer):
            if timer is not None:
                timer.cancel()
        self._lost = False
        self._end(Close(CloseCode.LOST, "connection lost"))
        self._events.disconnected()
        del self._events  # it refers to this object: a cycle would wait for the garbage collector

    def _end(self, close: Close, *, violation: bool = False) -> None:
        """Reports the end once; from now on nothing is received or sent."""
        if not self._ended:
            self._ended = True
            self._whole = NOTHING
            self.deliver = self._write = ignore
            self.on_ping = None
            self.wake_at = NEVER
            self._fragments = self._unfinished = None
            self._kept = b""
            self._events.ended(close, violation=violation)

    def taken(self) -> int:
        """Returns a number that grows with each byte that the peer takes; see `taken_from`."""
        return taken_from(self._transport)
