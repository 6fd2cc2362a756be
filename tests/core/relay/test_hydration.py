"""What a new backend must hear first, and whose answers nobody hears."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from wsgw_core.api import Close, Hydration, Message, MessageValve, Session
from wsgw_core.relay.environment import ConfiguredValve
from wsgw_core.testing.fakes import FakeBackend, as_message
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from .relay_bench import PassingValve, RelayBench, replayed, valve


class Hydrating(PassingValve):
    """Offers what the test says."""

    def __init__(self, view: Session, hydrations: Callable[[], Sequence[Hydration]]) -> None:
        super().__init__(view)
        self._hydrations = hydrations

    def hydrate(self) -> Sequence[Hydration]:
        return self._hydrations()


def hydrating(*hydrations: Hydration) -> ConfiguredValve:
    def make(view: Session) -> MessageValve:
        return Hydrating(view, lambda: hydrations)

    return valve(make)


def answered_by(text: str) -> Callable[[Message], bool]:
    return lambda message: message.text == text


LOGIN = Hydration(as_message("login"), answered_by("welcome"))
CHOOSE = Hydration(as_message("choose"), answered_by("chosen"))
NOTE = Hydration(as_message("note"))


@on_virtual_clock
async def test_a_new_backend_hears_it_before_the_replay() -> None:
    bench = await RelayBench(valves=(hydrating(LOGIN), hydrating(NOTE, CHOOSE))).open()
    bench.say("A")
    assert bench.blue.connections[0].texts == ["A"]  # the first is the client's own business
    bench.drop()
    bench.say("B")
    connection = await bench.green.connection()
    bench.say("C")
    assert connection.texts == ["login", "note", "choose", "A", "B", "C"]
    assert replayed(connection.request) == 1


@on_virtual_clock
async def test_its_answers_are_swallowed_once_whatever_their_order() -> None:
    bench = await RelayBench(valves=(hydrating(LOGIN, CHOOSE),)).open()
    bench.drop()
    connection = await bench.green.connection()
    for reply in ("news", "chosen", "welcome", "welcome", "chosen"):
        assert connection.reply(reply)
    assert bench.client.texts == ["news", "welcome", "chosen"]


@on_virtual_clock
async def test_answers_do_not_pass_the_valves() -> None:
    seen: list[str] = []

    class Noting(Hydrating):
        def after_receive(self, message: Message) -> Message | None:
            seen.append(message.text)
            return message

    bench = await RelayBench(valves=(valve(lambda view: Noting(view, lambda: [LOGIN])),)).open()
    bench.drop()
    connection = await bench.green.connection()
    connection.reply("welcome")
    connection.reply("1")
    assert seen == ["1"]


@on_virtual_clock
async def test_it_is_never_acknowledged_and_never_replayed() -> None:
    bench = await RelayBench(valves=(hydrating(NOTE, NOTE),)).open()
    bench.say("A", "B")
    bench.drop()
    connection = await bench.green.connection()
    connection.acknowledge(2)
    assert bench.session.unacknowledged == 2
    connection.acknowledge(1)
    assert bench.session.unacknowledged == 1
    connection.drop()
    assert (await bench.blue.connection(1)).texts == ["note", "note", "B"]
    (await bench.blue.connection(1)).acknowledge(3)
    assert bench.session.unacknowledged == 0
    assert bench.session.view().messages_received == 2


@on_virtual_clock
async def test_one_report_may_cover_both() -> None:
    bench = await RelayBench(valves=(hydrating(NOTE, NOTE),)).open()
    bench.say("A", "B")
    bench.drop()
    (await bench.green.connection()).acknowledge(3)
    assert bench.session.unacknowledged == 1


@on_virtual_clock
async def test_it_is_asked_for_at_each_failover() -> None:
    numbers = iter(range(1, 100))

    def hydrations() -> Sequence[Hydration]:
        return [Hydration(as_message(f"hydration {next(numbers)}"))]

    bench = await RelayBench(valves=(valve(lambda view: Hydrating(view, hydrations)),)).open()
    bench.drop()
    (await bench.green.connection()).drop()
    assert (await bench.blue.connection(1)).texts == ["hydration 2"]


@on_virtual_clock
async def test_a_fault_in_it_ends_the_session() -> None:
    def hydrations() -> Sequence[Hydration]:
        raise LookupError("a bug in the valve")

    bench = await RelayBench(valves=(valve(lambda view: Hydrating(view, hydrations)),)).open()
    bench.say("A")
    bench.drop()
    assert await bench.client.until_closed() == Close(1011, "internal error")
    await idle()
    assert bench.ended
    assert bench.counters.undelivered.value == 1
    assert len(asyncio.all_tasks()) == 1


@on_virtual_clock
async def test_a_leaving_client_is_flushed_behind_it() -> None:
    bench = await RelayBench(
        FakeBackend("blue", answer_close=False),
        FakeBackend("green", acknowledge=True),
        valves=(hydrating(LOGIN),),
    ).open()
    bench.say("A")
    bench.leave()
    bench.drop()
    connection = await bench.green.connection()
    assert connection.texts == ["login", "A"]
    await bench.until_ended()
    assert bench.counters.undelivered.value == 0
