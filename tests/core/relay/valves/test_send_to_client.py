"""`Session.send_to_client`: messages that the client's backend has not sent."""

from __future__ import annotations

import asyncio

from wsgw_core.api import Message, ReplyOutcome, Session
from wsgw_core.config.limit_options import LimitOptions
from wsgw_core.testing.fakes import as_message
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import RelayBench, valve

HELLO = as_message("hello")


class Signing:
    """Signs each message for the client."""

    def __init__(self, _view: Session) -> None:
        pass

    def before_transmit(self, message: Message) -> Message | None:
        return message

    def after_receive(self, message: Message) -> Message | None:
        return Message.from_text(f"{message.text}, yours")


class SlowlySigning(Signing):
    """Takes a second for each message."""

    async def after_receive(self, message: Message) -> Message | None:  # type: ignore[override]  # may be async
        await asyncio.sleep(1)
        return super().after_receive(message)


@on_virtual_clock
async def test_messages_come_between_those_of_the_backend_and_are_counted() -> None:
    bench = await RelayBench().open()
    connection = await bench.blue.connection(0)
    connection.reply("one")

    bench.session.send_to_client(HELLO)

    connection.reply("two")
    assert bench.client.texts == ["one", "hello", "two"]
    assert bench.session.messages_sent == 3
    assert connection.received == []


@on_virtual_clock
async def test_messages_are_sent_without_a_backend() -> None:
    bench = await RelayBench().open()
    for backend in bench.backends:
        backend.go_down()
    await idle()
    assert bench.session.backend_id is None

    bench.session.send_to_client(HELLO)

    assert bench.client.texts == ["hello"]


@on_virtual_clock
async def test_messages_pass_all_valves() -> None:
    bench = await RelayBench(valves=[valve(Signing), valve(Signing)]).open()

    bench.session.send_to_client(HELLO)

    assert bench.client.texts == ["hello, yours, yours"]


@on_virtual_clock
async def test_a_too_large_message_is_refused() -> None:
    bench = await RelayBench(limits=LimitOptions(max_message_size=5)).open()
    assert bench.session.send_to_client(HELLO) is ReplyOutcome.TAKEN

    outcome = bench.session.send_to_client(as_message("hello!"))

    assert outcome is ReplyOutcome.TOO_LARGE

    assert bench.client.texts == ["hello"]


@on_virtual_clock
async def test_a_slow_client_gets_no_more_messages() -> None:
    bench = await RelayBench().open()
    bench.session.client_writable(False)

    assert bench.session.send_to_client(HELLO) is ReplyOutcome.SLOW_CLIENT

    bench.session.client_writable(True)
    assert bench.session.send_to_client(HELLO) is ReplyOutcome.TAKEN
    assert bench.client.texts == ["hello"]


@on_virtual_clock
async def test_slow_valves_get_no_more_messages() -> None:
    bench = await RelayBench(
        valves=[valve(SlowlySigning)], limits=LimitOptions(valve_queue=4)
    ).open()
    sent = 0
    while (outcome := bench.session.send_to_client(HELLO)) is ReplyOutcome.TAKEN:
        sent += 1
        assert sent <= 4
    assert (outcome, sent) == (ReplyOutcome.SLOW_CLIENT, 4)

    await asyncio.sleep(10)

    assert bench.session.send_to_client(HELLO) is ReplyOutcome.TAKEN
    await asyncio.sleep(2)
    assert len(bench.client.texts) == 5


@on_virtual_clock
async def test_a_client_that_is_being_closed_is_sent_nothing() -> None:
    bench = await RelayBench().open()
    bench.session.close_client(1012, "gateway is stopping")
    assert bench.session.send_to_client(HELLO) is ReplyOutcome.UNKNOWN_SESSION

    other = await RelayBench().open()
    other.session.close(1000)
    assert other.session.send_to_client(HELLO) is ReplyOutcome.UNKNOWN_SESSION

    assert bench.client.texts == other.client.texts == []
