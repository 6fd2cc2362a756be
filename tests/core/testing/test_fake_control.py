"""FakeControl applies a backend's reports to the sessions of the test."""

from __future__ import annotations

from wsgw_core.api import Close, CloseCause, Message, ReplyOutcome
from wsgw_core.testing.fakes import FakeControl
from wsgw_core.testing.recording_sink import RecordingSink
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

LATE = Message.from_text("late")
LOST = Close(1013, "broker lost", abnormal=True)


def attached(control: FakeControl, session_id: str) -> RecordingSink:
    sink = RecordingSink()
    control.attach(session_id, sink)
    return sink


@on_virtual_clock
async def test_down_ends_all_sinks_in_the_next_turn() -> None:
    control = FakeControl()
    one, two = attached(control, "s1"), attached(control, "s2")

    control.down("broker lost")

    assert (one.end, two.end, control.is_down) == (None, None, True)
    await idle()
    assert (one.end, two.end) == (LOST, LOST)
    assert control.losses == ["broker lost"]


@on_virtual_clock
async def test_a_lost_sink_ignores_later_calls() -> None:
    control = FakeControl()
    sink = attached(control, "s1")
    control.down("broker lost")
    await idle()

    assert not sink.message(LATE)
    sink.delivered(1)
    sink.writable(False)
    sink.closed(Close(1000))

    sink.check()
    assert (sink.messages, sink.delivered_count, sink.end) == ([], 0, LOST)


@on_virtual_clock
async def test_down_does_not_end_a_session_attached_later() -> None:
    control = FakeControl()
    attached(control, "s1")
    control.down("broker lost")
    later = attached(control, "s2")
    await idle()
    assert later.end is None
    assert not control.is_down


@on_virtual_clock
async def test_down_does_not_change_an_earlier_end() -> None:
    control = FakeControl()
    sink = attached(control, "s1")
    connection = FakeEnd()
    sink.watch(connection).start()
    sink.closed(Close(1000))
    control.down("broker lost")
    await idle()
    sink.closed(Close(1000))
    assert sink.end == Close(1000)
    assert sink.faults == ["closed() was called after closed()"]


class FakeEnd:
    """A connection that does nothing."""

    subprotocol = None
    headers = ()

    def start(self) -> None: ...

    def send(self, message: Message, /) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def close(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> None: ...


@on_virtual_clock
async def test_writable_blocks_present_and_later_sinks() -> None:
    control = FakeControl()
    one = attached(control, "s1")
    control.writable(False)
    two = attached(control, "s2")
    assert (one.is_writable, two.is_writable) == (False, False)
    control.writable(True)
    assert (one.is_writable, two.is_writable) == (True, True)


def test_deliver_returns_unknown_session_for_unattached_ones() -> None:
    control = FakeControl()
    assert control.deliver("s1", LATE) is ReplyOutcome.TAKEN  # nothing was attached yet
    attached(control, "s1")
    assert control.deliver("s1", LATE) is ReplyOutcome.TAKEN
    assert control.deliver("s2", LATE) is ReplyOutcome.UNKNOWN_SESSION
    assert control.detach("s1")
    assert not control.detach("s1")
    assert control.deliver("s1", LATE) is ReplyOutcome.UNKNOWN_SESSION
    control.outcome = ReplyOutcome.SLOW_CLIENT
    assert control.deliver("s1", LATE) is ReplyOutcome.SLOW_CLIENT
    assert [session_id for session_id, _ in control.replies] == ["s1", "s1", "s2", "s1", "s1"]
