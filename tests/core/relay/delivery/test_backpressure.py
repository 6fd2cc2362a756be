"""A slow side pauses reading the other side; nothing is dropped, and no buffer grows."""

from __future__ import annotations

import asyncio

import pytest

from wsgw_core.api import Message
from wsgw_core.api import Session as SessionInView
from wsgw_core.config.limit_options import LimitOptions
from wsgw_core.relay.session.session_state import State
from wsgw_core.testing.fakes import FakeBackend
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import PassingValve, RelayBench, valve


class TestSlowClient:
    @on_virtual_clock
    async def test_the_backend_is_not_read(self) -> None:
        bench = await RelayBench().open()
        connection = bench.blue.connections[0]
        bench.session.client_writable(False)
        assert connection.paused
        for reply in "123":
            connection.reply(reply)
        await idle()
        assert bench.client.texts == []
        bench.session.client_writable(True)
        await bench.client.until_received(3)
        assert bench.client.texts == ["1", "2", "3"]
        assert not connection.paused

    @on_virtual_clock
    async def test_the_slow_clients_own_messages_are_still_sent(self) -> None:
        bench = await RelayBench().open()
        bench.session.client_writable(False)
        bench.say("A")
        assert bench.blue.connections[0].texts == ["A"]
        assert bench.is_reading()

    @on_virtual_clock
    async def test_the_next_backend_is_not_read_either(self) -> None:
        bench = await RelayBench().open()
        bench.session.client_writable(False)
        bench.drop()
        connection = await bench.green.connection()
        assert connection.paused
        connection.reply("1")
        await asyncio.sleep(10)
        assert bench.client.texts == []
        bench.session.client_writable(True)
        await bench.client.until_received(1)

    @on_virtual_clock
    async def test_a_client_that_catches_up_during_a_failover_lets_the_next_backend_be_read(
        self,
    ) -> None:
        bench = await RelayBench().open()
        bench.session.client_writable(False)
        bench.blue.go_down()
        bench.green.go_down()
        await asyncio.sleep(1)
        bench.session.client_writable(True)
        bench.green.come_up()
        assert not (await bench.green.connection()).paused


class TestSlowBackend:
    @on_virtual_clock
    async def test_the_client_is_not_read(self) -> None:
        bench = await RelayBench().open()
        connection = bench.blue.connections[0]
        connection.set_writable(False)
        assert not bench.is_reading()
        bench.say("in flight")  # was read already
        assert connection.texts == ["in flight"]
        connection.set_writable(True)
        assert bench.is_reading()
        assert bench.counters.read_pauses.value == 1

    @on_virtual_clock
    async def test_the_slow_backends_replies_are_still_sent(self) -> None:
        bench = await RelayBench().open()
        connection = bench.blue.connections[0]
        connection.set_writable(False)
        connection.reply("1")
        assert bench.client.texts == ["1"]
        assert not connection.paused

    @on_virtual_clock
    async def test_the_loss_of_the_slow_backend_resumes_reading_the_client(self) -> None:
        bench = await RelayBench().open()
        bench.blue.connections[0].set_writable(False)
        bench.say("A")
        bench.drop()
        assert bench.is_reading()
        assert (await bench.green.connection()).texts == ["A"]


class TestFullLedger:
    @pytest.mark.parametrize(
        ("limits", "sizes"),
        [
            (LimitOptions(ledger_messages=4, ledger_bytes=1_000_000), [1] * 4),
            (LimitOptions(ledger_messages=1000, ledger_bytes=1000), [300, 300, 300, 300]),
        ],
    )
    @on_virtual_clock
    async def test_the_client_is_not_read_until_half_is_delivered(
        self, limits: LimitOptions, sizes: list[int]
    ) -> None:
        bench = await RelayBench(limits=limits).open()
        connection = bench.blue.connections[0]
        for size in sizes[:-1]:
            bench.say(b"x" * size)
        assert bench.is_reading()
        bench.say(b"x" * sizes[-1])
        assert not bench.is_reading()
        connection.acknowledge(1)
        assert not bench.is_reading()
        connection.acknowledge(2)
        assert bench.is_reading()
        assert bench.client.pauses == 1

    @on_virtual_clock
    async def test_empty_messages_fill_the_ledger_too(self) -> None:
        bench = await RelayBench(limits=LimitOptions(ledger_messages=10)).open()
        bench.say(*[b""] * 10)
        assert not bench.is_reading()

    @on_virtual_clock
    async def test_messages_already_read_are_kept(self) -> None:
        bench = await RelayBench(limits=LimitOptions(ledger_messages=2)).open()
        bench.say(*"ABCDE")
        assert bench.blue.connections[0].texts == list("ABCDE")
        bench.drop()
        assert (await bench.green.connection()).texts == list("ABCDE")

    @on_virtual_clock
    async def test_the_ledger_stays_full_across_a_failover_until_the_next_backend_acknowledges(
        self,
    ) -> None:
        bench = await RelayBench(limits=LimitOptions(ledger_messages=4)).open()
        bench.say(*"ABCD")
        bench.blue.go_down()
        bench.green.go_down()
        await asyncio.sleep(5)
        assert not bench.is_reading()
        bench.green.come_up()
        connection = await bench.green.connection()
        assert not bench.is_reading()
        connection.acknowledge(3)
        assert bench.is_reading()

    @on_virtual_clock
    async def test_a_hold_fills_the_ledger_and_the_next_backend_empties_it(self) -> None:
        bench = await RelayBench(limits=LimitOptions(ledger_messages=4)).open()
        bench.blue.go_down()
        bench.green.go_down()
        bench.say(*"ABC")
        assert bench.is_reading()
        bench.say("D")
        assert not bench.is_reading()
        bench.blue.come_up()
        connection = await bench.blue.connection(1)
        connection.acknowledge()
        assert bench.is_reading()

    @on_virtual_clock
    async def test_reading_resumes_when_neither_backend_nor_ledger_pauses_it(self) -> None:
        bench = await RelayBench(limits=LimitOptions(ledger_messages=4)).open()
        connection = bench.blue.connections[0]
        bench.say(*"ABCD")
        connection.set_writable(False)
        connection.acknowledge()
        assert not bench.is_reading()
        connection.set_writable(True)
        assert bench.is_reading()
        bench.say(*"EFGH")
        connection.set_writable(False)
        connection.set_writable(True)
        assert not bench.is_reading()
        connection.acknowledge()
        assert bench.is_reading()


class TestBeforeTheClientIsAnswered:
    @on_virtual_clock
    async def test_a_ledger_that_valves_have_filled_pauses_the_client_from_the_start(self) -> None:
        def greet(view: SessionInView) -> PassingValve:
            for text in "ABCD":
                view.send_to_backend(Message.from_text(text))
            return PassingValve(view)

        bench = RelayBench(limits=LimitOptions(ledger_messages=4), valves=[valve(greet)])
        await bench.open()
        assert bench.blue.connections[0].texts == list("ABCD")
        assert not bench.is_reading()
        assert bench.counters.read_pauses.value == 1
        bench.blue.connections[0].acknowledge()
        assert bench.is_reading()

    @on_virtual_clock
    async def test_a_backend_writable_again_before_the_start_does_not_pause_the_client(
        self,
    ) -> None:
        bench = RelayBench()
        session = await bench.dial()
        session.outbox.backend_writable(False)
        session.outbox.backend_writable(True)
        session.start(bench.client)
        assert bench.is_reading()
        assert bench.counters.read_pauses.value == 0


@on_virtual_clock
async def test_a_client_that_left_is_neither_paused_nor_resumed() -> None:
    bench = await RelayBench(FakeBackend(answer_close=False)).open()
    connection = bench.blue.connections[0]
    bench.say("A")
    bench.leave()
    pauses = bench.client.pauses
    connection.set_writable(False)
    assert bench.client.pauses == pauses
    assert bench.is_reading()
    bench.session.client_writable(False)
    assert bench.session.state is State.FLUSHING


class TestPausedForMemory:
    @on_virtual_clock
    async def test_the_backend_is_read_while_the_client_takes_all_replies(self) -> None:
        bench = await RelayBench().open()
        bench.session.pause_for_memory(True)
        assert not bench.is_reading()
        assert not bench.blue.connections[0].paused

    @pytest.mark.parametrize("why", ["replies wait", "one has come in part"])
    @on_virtual_clock
    async def test_the_backend_is_not_read_while_replies_wait_or_are_incomplete(
        self, why: str
    ) -> None:
        bench = await RelayBench().open()
        connection = bench.blue.connections[0]
        bench.client.is_flushed = why != "replies wait"
        connection.is_in_a_message = why == "one has come in part"
        paused = []
        for _ in range(2):  # rounds of the memory watch
            bench.session.pause_for_memory(True)
            paused.append(connection.paused)
            bench.client.is_flushed, connection.is_in_a_message = True, False
        assert paused == [True, False]
        assert not bench.is_reading()

    @on_virtual_clock
    async def test_an_incomplete_message_counts_only_while_its_rest_can_go_on(self) -> None:
        bench = await RelayBench().open()
        client, connection = bench.client, bench.blue.connections[0]
        counts = [bench.session.is_in_a_message]
        connection.is_in_a_message = True
        counts.append(bench.session.is_in_a_message)
        client.is_flushed = False
        counts.append(bench.session.is_in_a_message)
        client.is_in_a_message = True
        counts.append(bench.session.is_in_a_message)
        assert counts == [False, True, False, True]
