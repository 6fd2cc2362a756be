"""The delay of the event loop."""

from __future__ import annotations

import asyncio
import time

from wsgw_core.api import Histogram
from wsgw_core.metrics.loop_delay import LoopDelay
from wsgw_core.testing.virtual_clock import on_virtual_clock


@on_virtual_clock
async def test_idle_loop_has_no_delay() -> None:
    delays = Histogram((0.001,))
    measuring = LoopDelay(asyncio.get_running_loop(), delays)
    measuring.start()
    await asyncio.sleep(10)
    measuring.stop()
    counted = sum(delays.counts)
    assert counted >= 39
    assert delays.counts[-1] == 0
    await asyncio.sleep(10)
    assert sum(delays.counts) == counted


async def test_busy_loop_has_a_delay() -> None:
    delays = Histogram((0.1,))
    measuring = LoopDelay(asyncio.get_running_loop(), delays)
    measuring.start()
    time.sleep(0.5)  # noqa: ASYNC251 - what is tested
    while not sum(delays.counts):  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.01)
    measuring.stop()
    assert delays.counts[-1] == 1
    assert delays.sum > 0.2
