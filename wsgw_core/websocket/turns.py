"""Shares the event loop between connections: each takes frames in its turns."""

from __future__ import annotations

import asyncio

from ..api import BINARY, TEXT, Clock, MessageKind, ReadBatch
from .endpoint_events import EndpointEvents
from .fragments import Fragments
from .frames import UnfinishedFrame
from .sender import Sender

# The kind of a message in one frame, by the frame's first byte. NOTHING applies while a fragmented
# message is incomplete, with compression, while no frame is to be taken, and after the end.
NOTHING: tuple[MessageKind | None, ...] = (None,) * 256
_WHOLE = (*NOTHING[:129], TEXT, BINARY, *NOTHING[131:])

_UNREAD_DELAY = 0.25  # seconds; reading never stops for good: a peer may write before it reads


class TurnTaker(Sender):
    """Stops taking frames while other connections read, while paused, or while the peer is slow.

    Args:
        events, read_batch, share: see Sender.
        clock: schedules the turns.
    """

    __slots__ = (
        "_begun",
        "_clock",
        "_ended",
        "_fragments",
        "_inflated",
        "_is_read",
        "_kept",
        "_lost",
        "_paused",
        "_unfinished",
        "_unread_pings",
        "_unread_timer",
        "_waits",
        "_whole",
    )

    def __init__(
        self, events: EndpointEvents, read_batch: ReadBatch, share: int, clock: Clock
    ) -> None:
        super().__init__(events, read_batch, share)
        self._clock = clock
        self._begun = False
        self._paused = False
        self._is_read = True  # while false, it takes only frames that were read before
        self._unfinished: UnfinishedFrame | None = None
        self._kept = b""  # read, but not taken yet
        self._waits = False  # for its next turn; until then it takes no frame
        self._inflated = 0  # bytes decompressed in this turn
        self._unread_pings = 0
        self._unread_timer: asyncio.TimerHandle | None = None  # until then it asks for no turn
        self._lost = False  # the transport is gone, but some of its bytes are not taken yet
        self._whole = _WHOLE
        self._fragments: Fragments | None = None  # of an incomplete message
        self._ended = False

    # Reading on

    def pause_reading(self) -> None:
        """Stops taking frames, and keeps the bytes that were read and not taken."""
        self._paused = True
        self._stop()

    def stop_reading(self) -> None:
        """Reads nothing more, but takes the frames that were read."""
        self._is_read = self._paused = False
        self._transport.pause_reading()
        if (self._kept or self._lost) and self._begun and not self._waits:
            self._end_turn()

    def resume_reading(self) -> None:
        """Resumes reading, beginning with the kept bytes; with a turn if there may be many."""
        self._paused = False
        self._is_read = True
        if self._waits or not self._begun:
            return
        if self._kept or self._lost or self._unfinished is not None:
            self._end_turn()
        else:
            self._go_on()

    def _end_long_read(self) -> None:
        """Waits for a turn before the next read if others wait, or many reads were long."""
        if not self._batch.may_read_on(self._clock):
            self._end_turn()

    def _end_turn(self, *, first: bool = False) -> None:
        """Stops reading and taking frames until its next turn; the caller keeps the rest."""
        self._stop()
        if not self._waits:
            self._waits = True
            self._batch.call_in_turn(self._clock, self._next_turn, first=first)

    def _wait_for_reading(self) -> None:
        """Stops taking frames until the peer reads what waits for it, at most for a while."""
        self._stop()
        self._waits = True
        self._unread_timer = self._clock.call_later(_UNREAD_DELAY, self._waited_for_reading)

    def _waited_for_reading(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None
            self._batch.call_in_turn(self._clock, self._next_turn)

    def _next_turn(self) -> bool:
        """Takes its turn; returns whether it reads on."""
        self._waits = False
        if self._paused:
            return False
        self._inflated = self._unread_pings = 0
        self._whole = self._wholes
        kept, self._kept = self._kept, b""
        if kept:
            self.data_received(kept)
        self._go_on()
        return self._is_read and not (self._waits or self._paused)

    def _keep(self, data: bytes) -> None:
        if not self._ended:
            self._kept = data

    def _stop(self) -> None:
        self._whole = NOTHING
        self._transport.pause_reading()

    def _go_on(self) -> None:
        """Reads on if all bytes read are taken; or ends if the transport is gone."""
        if self._lost:
            if not self._kept:
                self._disconnect()
        elif not (self._waits or self._paused):
            self._whole = self._wholes
            if self._is_read:
                self._transport.resume_reading()

    @property
    def _wholes(self) -> tuple[MessageKind | None, ...]:
        """The value of `_whole` while frames are taken."""
        if self._deflate is not None or self._fragments is not None or self._ended:
            return NOTHING
        return _WHOLE

    def _disconnect(self) -> None:
        """Releases everything: the transport is gone, and all its bytes are taken."""
        raise NotImplementedError

    # Called by the transport

    def pause_writing(self) -> None:
        """Reports a full write buffer, and keeps pings and pongs until it has room."""
        if not self._ended:
            self._owed = {}
            self._unread_pings = 0
            self._events.writable(False)

    def resume_writing(self) -> None:
        """Reports that the write buffer has room, and sends the newest ping and pong."""
        owed, self._owed = self._owed, None
        if self._ended or owed is None:
            return
        for opcode, payload in owed.items():
            self._send_control(opcode, payload)
        self._waited_for_reading()
        self._events.writable(True)
