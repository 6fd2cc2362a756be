"""Messages are counted in the metrics of the backend that serves."""

from __future__ import annotations

import pytest

from wsgw_core.metrics.traffic import Sizes
from wsgw_core.relay.all_sessions.session_context import ConfiguredValve
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay_bench import PassingValve, RelayBench, valve

LENGTHS = (0, 128, 129, 100_000)
BOUNDS = (0, 128, 256, 131_072)


def counted(sizes: Sizes) -> tuple[int, list[int]]:
    return sizes.messages, [*map(sizes.up_to, BOUNDS)]


@pytest.mark.parametrize("valves", [(), (valve(PassingValve),)])
@on_virtual_clock
async def test_each_message_is_counted_once_by_size_for_the_backend_that_serves(
    valves: tuple[ConfiguredValve, ...],
) -> None:
    bench = await RelayBench(valves=valves).open()
    blue, green = (pooled.traffic for pooled in bench.pooled)

    bench.say(*("x" * length for length in LENGTHS))
    assert counted(blue.to_backend) == (4, [1, 2, 3, 4])
    for length in LENGTHS:
        bench.blue.connections[0].reply("x" * length)
    await idle()
    assert counted(blue.to_client) == (4, [1, 2, 3, 4])

    bench.drop()
    await bench.green.connection()
    bench.say("A")
    assert counted(blue.to_backend) == (4, [1, 2, 3, 4])
    assert counted(green.to_backend) == (1, [0, 1, 1, 1])
