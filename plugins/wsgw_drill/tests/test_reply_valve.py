"""The drill's valve acknowledges each message by its answer."""

from __future__ import annotations

from wsgw_drill import reply_valve

from wsgw_core.testing.numbered_message import PUSHED, compose
from wsgw_core.testing.valve_bench import ValveBench
from wsgw_core.testing.virtual_clock import on_virtual_clock


@on_virtual_clock
async def test_unanswered_messages_are_sent_again() -> None:
    messages = [compose("c1.0", number, 8) for number in range(3)]
    answer = "c1.0 1 blue 7-x"
    async with ValveBench.of(reply_valve, reply_valve.KIND, {}) as bench:
        assert await bench.to_backend(*messages) == messages
        assert await bench.to_client(PUSHED, answer) == [PUSHED, answer]
        assert await bench.fail_over() == [messages[0], messages[2]]
