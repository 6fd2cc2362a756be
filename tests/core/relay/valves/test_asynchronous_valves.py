"""Messages that wait for asynchronous valves: limits, timeouts, and sides that end meanwhile."""

from __future__ import annotations

import asyncio
import logging

import pytest

from wsgw_core.api import Close, Message
from wsgw_core.config.limit_options import LimitOptions
from wsgw_core.relay.session.session_state import State
from wsgw_core.testing.fakes import FakeBackend
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import PassingValve, RelayBench, valve
from .acting_valves import settle, slow


class TestAsynchronous:
    @on_virtual_clock
    async def test_a_clients_close_waits_for_its_messages(self) -> None:
        bench = await RelayBench(FakeBackend(acknowledge=True), valves=(slow(),)).open()
        connection = bench.blue.connections[0]
        bench.say(*"ABC")
        bench.leave(4000, "bye")
        close = await connection.until_close_requested()
        assert connection.texts == ["A", "B", "C"]
        assert close == Close(4000, "bye")
        await idle()
        assert bench.ended
        assert bench.counters.undelivered.value == 0

    @on_virtual_clock
    async def test_messages_not_through_at_the_close_timeout_count_as_undelivered(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        limits = LimitOptions(close_timeout=1.5)
        bench = await RelayBench(
            FakeBackend(acknowledge=True), valves=(slow(),), limits=limits
        ).open()
        bench.say(*"ABCD")
        bench.leave(4000, "bye")
        await settle()
        assert bench.ended
        assert bench.blue.connections[0].texts == ["A"]
        assert bench.counters.undelivered.value == 3
        assert "3 undelivered" in caplog.text

    @on_virtual_clock
    async def test_a_backends_close_waits_for_its_messages(self) -> None:
        bench = await RelayBench(valves=(slow(),)).open()
        connection = bench.blue.connections[0]
        for reply in "123":
            connection.reply(reply)
        connection.hang_up(4000, "bye")
        await idle()
        assert bench.client.closed is None
        await bench.client.until_closed()
        assert bench.client.texts == ["1", "2", "3"]
        assert bench.client.closed == Close(4000, "bye")

    @on_virtual_clock
    async def test_a_client_that_leaves_during_a_backends_close_ends_the_session(self) -> None:
        bench = await RelayBench(valves=(slow(),)).open()
        connection = bench.blue.connections[0]
        connection.reply("1")
        connection.hang_up(4000, "bye")
        bench.leave()
        await settle()
        assert bench.ended
        assert bench.client.closes == []
        assert len(asyncio.all_tasks()) == 1

    @on_virtual_clock
    async def test_a_client_that_leaves_during_a_move_ends_the_session(self) -> None:
        bench = await RelayBench(valves=(slow(),)).open()
        assert bench.session.move()
        connection = bench.blue.connections[0]
        connection.reply("1")
        connection.hang_up(4000, "bye")
        bench.leave()
        await settle()
        assert bench.ended
        assert bench.client.closes == []
        assert len(asyncio.all_tasks()) == 1

    @on_virtual_clock
    async def test_replies_read_before_a_loss_come_before_those_of_the_next_backend(self) -> None:
        bench = await RelayBench(valves=(slow(),)).open()
        first = bench.blue.connections[0]
        first.reply("1")
        first.reply("2")
        first.drop()
        (await bench.green.connection()).reply("3")
        await settle()
        assert bench.client.texts == ["1", "2", "3"]

    @on_virtual_clock
    async def test_messages_of_a_hold_are_sent_when_the_valve_returns_them(self) -> None:
        bench = await RelayBench(valves=(slow(),)).open()
        bench.blue.go_down()
        bench.green.go_down()
        bench.say("A", "B")
        await asyncio.sleep(1.5)
        bench.green.come_up()
        await settle()
        assert (await bench.green.connection()).texts == ["A", "B"]

    @on_virtual_clock
    async def test_a_full_queue_pauses_the_client(self) -> None:
        bench = await RelayBench(valves=(slow(),), limits=LimitOptions(valve_queue=4)).open()
        bench.say(*"ABC")
        assert bench.is_reading()
        bench.say("D")
        assert not bench.is_reading()
        bench.say("E")  # was read already
        begun = asyncio.get_running_loop().time()
        await bench.client.until_reading(True)
        # A second for each: once there are less than half as many as make it full.
        assert asyncio.get_running_loop().time() - begun == pytest.approx(4, abs=0.1)
        await settle()
        assert bench.blue.connections[0].texts == list("ABCDE")

    @on_virtual_clock
    async def test_a_queue_that_is_full_again_pauses_the_client_again(self) -> None:
        bench = await RelayBench(valves=(slow(),), limits=LimitOptions(valve_queue=4)).open()
        for _ in range(3):
            bench.say(*"ABCD")
            assert not bench.is_reading()
            await bench.client.until_reading(True)
            await settle()
            assert bench.is_reading()
        assert bench.blue.connections[0].texts == list("ABCD" * 3)

    @on_virtual_clock
    async def test_a_queue_of_many_bytes_pauses_the_client(self) -> None:
        limits = LimitOptions(valve_queue_bytes=1000)
        bench = await RelayBench(valves=(slow(),), limits=limits).open()
        bench.say("A" * 900)
        assert bench.is_reading()
        bench.say("B" * 100)
        assert not bench.is_reading()
        await bench.client.until_reading(True)
        await settle()
        assert bench.blue.connections[0].texts == ["A" * 900, "B" * 100]

    @on_virtual_clock
    async def test_a_full_queue_pauses_the_backend(self) -> None:
        bench = await RelayBench(valves=(slow(),), limits=LimitOptions(valve_queue=4)).open()
        connection = bench.blue.connections[0]
        for reply in "12345678":
            connection.reply(reply)
        assert connection.paused
        await connection.until_paused(False)
        await settle()
        assert bench.client.texts == list("12345678")

    @on_virtual_clock
    async def test_a_full_queue_pauses_the_next_backend_too(self) -> None:
        bench = await RelayBench(valves=(slow(),), limits=LimitOptions(valve_queue=4)).open()
        connection = bench.blue.connections[0]
        for reply in "1234":
            connection.reply(reply)
        connection.drop()
        following = await bench.green.connection()
        assert following.paused
        await following.until_paused(False)

    @on_virtual_clock
    async def test_a_valve_that_exceeds_the_timeout_is_at_fault(self) -> None:
        class Hanging(PassingValve):
            async def before_transmit(  # type: ignore[override]  # asynchronous on purpose
                self, message: Message
            ) -> Message | None:
                await asyncio.sleep(1000)
                return message

        limits = LimitOptions(valve_timeout=5)
        bench = await RelayBench(valves=(valve(Hanging),), limits=limits).open()
        bench.say("A")
        assert await bench.client.until_closed() == Close(1011, "internal error")
        assert asyncio.get_running_loop().time() == 5
        assert bench.counters.valve_errors.value == 1

        bench = await RelayBench(valves=(valve(Hanging, "discard"),), limits=limits).open()
        bench.say("A", "B")
        await asyncio.sleep(10.1)
        assert bench.client.closed is None
        assert bench.counters.valve_errors.value == 2

    @on_virtual_clock
    async def test_an_operators_close_waits_for_nothing_and_leaves_nothing(self) -> None:
        bench = await RelayBench(valves=(slow(),)).open()
        bench.say(*"ABC")
        for reply in "123":
            bench.blue.connections[0].reply(reply)
        await asyncio.sleep(0.5)
        bench.session.close(1012, "stopping")
        await idle()
        assert bench.client.closed == Close(1012, "stopping")
        assert len(asyncio.all_tasks()) == 1
        await settle()
        assert bench.client.received_late == []
        assert bench.blue.connections[0].received == []

    @pytest.mark.parametrize("dead", [False, True])
    @on_virtual_clock
    async def test_a_client_that_leaves_is_flushed_through_the_queue(self, *, dead: bool) -> None:
        backends = (
            FakeBackend("blue", acknowledge=not dead),
            FakeBackend("green", acknowledge=True),
        )
        bench = await RelayBench(*backends, valves=(slow(),)).open()
        bench.say("A", "B")
        bench.leave()
        if dead:
            await asyncio.sleep(0.5)
            bench.drop()
        await settle()
        connection = (bench.green if dead else bench.blue).connections[-1]
        assert connection.texts == ["A", "B"]
        assert bench.session.state is State.ENDED
        assert bench.counters.undelivered.value == 0

    @on_virtual_clock
    async def test_a_hanging_valve_does_not_keep_the_session_of_a_client_that_has_left(
        self,
    ) -> None:
        class Hanging(PassingValve):
            async def before_transmit(  # type: ignore[override]  # asynchronous on purpose
                self, message: Message
            ) -> Message | None:
                await asyncio.sleep(1000)
                return message

        limits = LimitOptions(valve_timeout=8, close_timeout=10)
        bench = await RelayBench(valves=(valve(Hanging, "discard"),), limits=limits).open()
        bench.say(*"ABCDEFGH")
        bench.leave()
        await asyncio.sleep(10.1)
        assert bench.ended
        assert bench.blue.connections[0].close_request is not None
        await idle()
        assert len(asyncio.all_tasks()) == 1
