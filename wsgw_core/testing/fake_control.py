"""The core's side of a BackendContext, recorded."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator

from wsgw_core.api import Close, Message, ReplyOutcome

from ..api import CloseCode
from .recording_sink import RecordingSink


class FakeControl:
    """Records what a backend says of itself as a whole, and does it to the sinks it knows.

    Before the first `attach` it only records, and `deliver` answers TAKEN.

    Attributes:
        losses: the reason of each `down`, in order.
        is_down, is_writable: what was said last.
        replies: the session's id and the message of each `deliver`, in order.
        outcome: what `deliver` answers; None: TAKEN for the sessions that are attached, and
            UNKNOWN_SESSION for others.
    """

    def __init__(self) -> None:
        self.losses: list[str] = []
        self.is_down = False
        self.is_writable = True
        self.replies: list[tuple[str, Message]] = []
        self.outcome: ReplyOutcome | None = None
        self._sinks: defaultdict[str, list[RecordingSink]] = defaultdict(list)
        self._acts = False

    # What the test calls

    def attach(self, session_id: str, sink: RecordingSink) -> None:
        """Acts for a session too; once its `connect` has returned."""
        self._acts = True
        self._sinks[session_id].append(sink)
        sink.hold(not self.is_writable)
        self.is_down = False

    def detach(self, session_id: str) -> bool:
        """Forgets a session, which is over; returns whether it was known."""
        return self._sinks.pop(session_id, None) is not None

    # What the backend calls

    def down(self, reason: str) -> None:
        """See BackendContext; all attached sinks end in the loop's next turn."""
        self.losses.append(reason)
        self.is_down = True
        if self._acts:
            close = Close(CloseCode.TRY_AGAIN_LATER, reason, abnormal=True)
            asyncio.get_running_loop().call_soon(self._end, tuple(self._all()), close)
        self.writable(True)

    def up(self) -> None:
        """See BackendContext."""
        self.is_down = False

    def writable(self, writable: bool, /) -> None:
        """See BackendContext."""
        if self.is_writable != writable:
            self.is_writable = writable
            for sink in self._all():
                sink.hold(not writable)

    def deliver(self, session_id: str, message: Message) -> ReplyOutcome:
        """See BackendContext."""
        self.replies.append((session_id, message))
        if self.outcome is not None:
            return self.outcome
        is_known = session_id in self._sinks or not self._acts
        return ReplyOutcome.TAKEN if is_known else ReplyOutcome.UNKNOWN_SESSION

    # Inside

    def _all(self) -> Iterator[RecordingSink]:
        for sinks in self._sinks.values():
            yield from sinks

    @staticmethod
    def _end(sinks: tuple[RecordingSink, ...], close: Close) -> None:
        for sink in sinks:
            sink.lose(close)
