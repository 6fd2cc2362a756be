"""What a listener sends passes all valves, in their order."""

from __future__ import annotations

from wsgw_core.api import Message, Session
from wsgw_core.testing.fakes import as_message
from wsgw_core.testing.virtual_clock import on_virtual_clock

from ..relay_bench import MakeValve, RecordingListener, RelayBench, valve


class Marking:
    """Puts its mark behind each message."""

    def __init__(self, mark: str) -> None:
        self._mark = mark

    def before_transmit(self, message: Message) -> Message | None:
        return Message.from_text(message.text + self._mark)

    def after_receive(self, message: Message) -> Message | None:
        return Message.from_text(message.text + self._mark)


class Talking(RecordingListener):
    """Keeps the session that it gets."""

    session: Session

    def session_created(self, session: Session) -> None:
        self.session = session


def marking(mark: str) -> MakeValve:
    return lambda _view: Marking(mark)


@on_virtual_clock
async def test_messages_of_a_listener_pass_all_valves_in_order() -> None:
    listener = Talking()
    valves = [valve(marking(mark)) for mark in "abc"]
    bench = await RelayBench(valves=valves, listeners=[listener]).open()

    listener.session.send_to_backend(as_message("out "))
    listener.session.send_to_client(as_message("in "))

    assert bench.blue.connections[0].texts == ["out abc"]
    assert bench.client.texts == ["in cba"]
