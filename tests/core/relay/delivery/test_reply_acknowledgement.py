"""Messages that count as delivered only when the application has answered them."""

from __future__ import annotations

import asyncio

from wsgw_core.api import TEXT, Close, Message, ReplyExpected
from wsgw_core.config.limit_options import LimitOptions
from wsgw_core.testing.fakes import Accept, as_message
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import PassingValve, RelayBench, replayed, valve


class Correlating(PassingValve):
    """A message `?x` expects the reply `!x`."""

    def before_transmit(self, message: Message) -> Message | None:
        if message.text.startswith("?"):
            return ReplyExpected(TEXT, message.data, message.text[1:], expires=10)
        return message

    def after_receive(self, message: Message) -> Message | None:
        if message.text.startswith("!"):
            self.view.answered(message.text[1:])
        return message


def correlating_bench(limits: LimitOptions | None = None) -> RelayBench:
    return RelayBench(valves=(valve(Correlating),), limits=limits)


@on_virtual_clock
async def test_a_connections_acknowledgement_is_not_enough() -> None:
    bench = await correlating_bench().open()
    connection = bench.blue.connections[0]
    bench.say("?a", "plain")
    connection.acknowledge()
    assert bench.session.unacknowledged == 1
    connection.reply("!a")
    assert bench.session.unacknowledged == 0
    assert bench.session.view().messages_received == 2


@on_virtual_clock
async def test_answers_may_come_in_any_order() -> None:
    bench = await correlating_bench().open()
    connection = bench.blue.connections[0]
    bench.say("?a", "?b", "?c")
    connection.acknowledge()
    connection.reply("!b")
    connection.reply("!a")
    connection.drop()
    assert (await bench.green.connection()).texts == ["?c"]


@on_virtual_clock
async def test_an_answer_may_come_before_the_acknowledgement() -> None:
    bench = await correlating_bench().open()
    connection = bench.blue.connections[0]
    bench.say("?a", "?b")
    connection.reply("!a")
    connection.acknowledge()
    assert bench.session.unacknowledged == 1
    connection.drop()
    assert (await bench.green.connection()).texts == ["?b"]


@on_virtual_clock
async def test_what_was_answered_early_is_not_replayed() -> None:
    bench = await correlating_bench().open()
    connection = bench.blue.connections[0]
    bench.say("?a", "plain", "?b")
    connection.reply("!a")
    connection.drop()
    following = await bench.green.connection()
    assert following.texts == ["plain", "?b"]
    assert replayed(following.request) == 2


@on_virtual_clock
async def test_what_is_unanswered_is_replayed_in_order_before_the_rest() -> None:
    bench = await correlating_bench().open()
    connection = bench.blue.connections[0]
    bench.say("?a", "one", "?b", "two", "?c")
    connection.acknowledge(4)
    connection.drop()
    bench.say("three")
    following = await bench.green.connection()
    assert following.texts == ["?a", "?b", "?c", "three"]
    assert replayed(following.request) == 3
    following.acknowledge()
    following.reply("!a")
    following.drop()
    assert (await bench.blue.connection(1)).texts == ["?b", "?c"]


@on_virtual_clock
async def test_an_overdue_reply_is_not_waited_for() -> None:
    bench = await correlating_bench().open()
    connection = bench.blue.connections[0]
    bench.say("?a")
    connection.acknowledge()
    await asyncio.sleep(9)
    bench.say("?b")
    connection.acknowledge()
    await asyncio.sleep(2)
    connection.drop()
    assert (await bench.green.connection()).texts == ["?b"]
    assert bench.counters.replies_expired.value == 1


@on_virtual_clock
async def test_the_time_counts_from_the_acknowledgement() -> None:
    bench = await correlating_bench().open()
    bench.say("?a")
    await asyncio.sleep(60)
    bench.drop()
    connection = await bench.green.connection()
    assert connection.texts == ["?a"]
    connection.acknowledge()
    await asyncio.sleep(9)
    connection.drop()
    assert (await bench.blue.connection(1)).texts == ["?a"]


@on_virtual_clock
async def test_unanswered_messages_fill_the_ledger_until_they_are_answered() -> None:
    bench = await correlating_bench(LimitOptions(ledger_messages=2)).open()
    connection = bench.blue.connections[0]
    bench.say("?a", "?b")
    connection.acknowledge()
    assert not bench.is_reading()
    connection.reply("!a")
    connection.reply("!b")
    assert bench.is_reading()


@on_virtual_clock
async def test_unanswered_messages_fill_the_ledger_until_they_expire() -> None:
    bench = await correlating_bench(LimitOptions(ledger_messages=2)).open()
    await asyncio.sleep(100)
    connection = bench.blue.connections[0]
    bench.say("?a", "?b")
    connection.acknowledge()
    assert not bench.is_reading()
    await asyncio.sleep(9)
    assert not bench.is_reading()
    await asyncio.sleep(2)  # no message can come that would be acknowledged
    assert bench.is_reading()
    assert bench.counters.replies_expired.value == 2


@on_virtual_clock
async def test_an_answer_that_nobody_waits_for_changes_nothing() -> None:
    bench = await correlating_bench().open()
    connection = bench.blue.connections[0]
    connection.reply("!unknown")
    bench.say("?a")
    connection.acknowledge()
    connection.reply("!a")
    connection.reply("!a")
    bench.say("?unknown")
    connection.acknowledge()
    assert bench.session.unacknowledged == 1
    assert bench.client.texts == ["!unknown", "!a", "!a"]


@on_virtual_clock
async def test_a_clients_close_waits_for_its_replies_which_nobody_gets() -> None:
    bench = await correlating_bench().open()
    connection = bench.blue.connections[0]
    bench.say("?a")
    bench.leave()
    connection.acknowledge()
    await idle()
    assert connection.close_request != Close(1000)
    assert not connection.reply("!a")  # the client is gone, but the valve has seen it
    assert bench.client.texts == []
    await bench.until_ended()
    assert connection.close_request == Close(1000)
    assert bench.counters.undelivered.value == 0


@on_virtual_clock
async def test_a_clients_close_waits_no_longer_than_the_reply_may_take() -> None:
    bench = await correlating_bench(LimitOptions(close_timeout=100)).open()
    connection = bench.blue.connections[0]
    bench.say("?a")
    bench.leave()
    connection.acknowledge()
    await bench.until_ended()
    assert connection.close_request == Close(1000)
    assert bench.counters.replies_expired.value == 1
    assert bench.counters.undelivered.value == 0


@on_virtual_clock
async def test_a_failover_that_leaves_nothing_owed_lets_the_client_speak_again() -> None:
    bench = await correlating_bench(LimitOptions(ledger_messages=2)).open()
    connection = bench.blue.connections[0]
    bench.say("?a", "?b")
    assert not bench.client.reading
    connection.reply("!a")
    connection.reply("!b")
    connection.drop()
    assert (await bench.green.connection()).texts == []
    assert bench.client.reading


@on_virtual_clock
async def test_what_is_answered_while_no_backend_serves_is_not_replayed() -> None:
    bench = await correlating_bench().open()
    bench.say("?a", "?b", "plain", "?c")
    bench.blue.connections[0].acknowledge()
    bench.green.will(Accept(after=1))
    bench.drop()
    await idle()
    bench.say("?d")
    bench.session.send_to_client(as_message("!b"))
    bench.session.send_to_client(as_message("!d"))  # no backend has seen it yet
    connection = await bench.green.connection()
    bench.say("?e")
    assert connection.texts == ["?a", "?c", "?d", "?e"]
    connection.acknowledge()
    connection.reply("!c")
    connection.drop()
    other = await bench.blue.connection(1)
    assert other.texts == ["?a", "?d", "?e"]
    for reply in ("!e", "!a", "!d"):
        other.reply(reply)
    other.acknowledge()
    assert bench.session.unacknowledged == 0
    assert bench.session.view().messages_received == 6
