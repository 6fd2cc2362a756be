"""A node that lacks memory for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from wsgw_amqp.broker_node import BrokerNode

_BEGIN = "vm_memory_monitor:set_vm_memory_high_watermark(0)"
_END = "vm_memory_monitor:set_vm_memory_high_watermark(0.4)"
_ALARMS = "rabbit_alarm:get_alarms()"
_PATIENCE = 60.0


@asynccontextmanager
async def memory_alarm(node: BrokerNode) -> AsyncIterator[None]:
    """Has a node lack memory.

    What is published within waits: the node takes its time to raise the alarm, and would store a
    message that comes before without a word of it.
    """
    await asyncio.to_thread(node.evaluate, _BEGIN)
    try:
        async with asyncio.timeout(_PATIENCE):
            while "memory" not in await asyncio.to_thread(node.evaluate, _ALARMS):
                pass
        yield
    finally:
        await asyncio.to_thread(node.evaluate, _END)
