"""Shares the event loop: one connection reads while the others wait, in turn."""

from __future__ import annotations

import asyncio

from ..api import BINARY, TEXT, Clock, MessageKind, ReadBatch
from .endpoint_events import EndpointEvents
from .fragments import Fragments
from .frames import UnfinishedFrame
from .sender import Sender

# by the first byte: messages in one frame. Nothing while one is under way in fragments, while all
# may be compressed, while no frame is to be taken, and after the end.
NOTHING: tuple[MessageKind | None, ...] = (None,) * 256
_WHOLE = (*NOTHING[:129], TEXT, BINARY, *NOTHING[131:])

_UNREAD_DELAY = 0.25  # seconds; never stopped for good: a peer may have to write before it reads


class TurnTaker(Sender):
    """Stops taking frames while other connections read, reading is paused, or the peer is slow.

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
        self._unfinished: UnfinishedFrame | None = None
        self._kept = b""  # read, but not taken yet
        self._waits = False  # for its next turn; until then no frame is taken
        self._inflated = 0  # bytes in this turn, about
        self._unread_pings = 0
        self._unread_timer: asyncio.TimerHandle | None = None  # until then it asks for no turn
        self._lost = False  # the transport is, but not everything that came was taken
        self._whole = _WHOLE
        self._fragments: Fragments | None = None  # of the message that is under way
        self._ended = False

    # Reading on

    def pause_reading(self) -> None:
        """Takes no more frames: what was read and not taken is kept."""
        self._paused = True
        self._stop()

    def resume_reading(self) -> None:
        """Goes on reading, in a later turn of the event loop if more is to be expected.

        What is kept comes first.
        """
        self._paused = False
        if self._waits or not self._begun:
            return
        if self._kept or self._lost or self._unfinished is not None:
            self._end_turn()
        else:
            self._go_on()

    def _end_long_read(self) -> None:
        """Waits for a turn before the next read, if others wait or have brought as much."""
        if not self._batch.may_read_on(self._clock):
            self._end_turn()

    def _end_turn(self, *, first: bool = False) -> None:
        """Reads and takes no more until others have had their turn; the rest has to be kept."""
        self._stop()
        if not self._waits:
            self._waits = True
            self._batch.call_in_turn(self._clock, self._next_turn, first=first)

    def _wait_for_reading(self) -> None:
        """Takes no more frames until the peer has read what waits for it, or for a while."""
        self._stop()
        self._waits = True
        self._unread_timer = self._clock.call_later(_UNREAD_DELAY, self._waited_for_reading)

    def _waited_for_reading(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None
            self._batch.call_in_turn(self._clock, self._next_turn)

    def _next_turn(self) -> bool:
        """Goes on; returns whether the next read follows."""
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
        self._whole = NOTHING
        self._transport.pause_reading()

    def _go_on(self) -> None:
        """Reads on if everything that was read is taken; or ends, if there is nothing to read."""
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
            return NOTHING
        return _WHOLE

    def _disconnect(self) -> None:
        """Lets go of everything: the transport is gone, and what it brought is taken."""
        raise NotImplementedError

    # What the transport can take

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
