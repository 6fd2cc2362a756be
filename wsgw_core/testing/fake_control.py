"""Records the calls of a BackendContext."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator

from wsgw_core.api import Close, Message, ReplyOutcome

from ..api import CloseCode
from .recording_sink import RecordingSink


class FakeControl:
    """Records what a backend reports about all its sessions, and applies it to attached sinks.

    Before the first `attach` it only records, and `deliver` returns TAKEN.

    Attributes:
        losses: the reason of each `down`, in order.
        is_down, is_writable: the last reports.
        replies: the session's id and the message of each `deliver`, in order.
        outcome: what `deliver` returns; None: TAKEN for attached sessions, UNKNOWN_SESSION for
            others.
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
        """Applies later reports to a session's sink; call it when its `connect` has returned."""
        self._acts = True
        self._sinks[session_id].append(sink)
        sink.block(not self.is_writable)
        self.is_down = False

    def detach(self, session_id: str) -> bool:
        """Removes a session that is over; returns whether it was attached."""
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
                sink.block(not writable)

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
