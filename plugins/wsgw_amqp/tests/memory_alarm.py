"""Raises a memory alarm on a node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from wsgw_amqp.broker_node import BrokerNode

_BEGIN = "vm_memory_monitor:set_vm_memory_high_watermark(0)"
_END = "vm_memory_monitor:set_vm_memory_high_watermark(0.4)"
_ALARMS = "rabbit_alarm:get_alarms()"
_TIMEOUT = 60.0


@asynccontextmanager
async def memory_alarm(node: BrokerNode) -> AsyncIterator[None]:
    """Raises a memory alarm for the duration of the block.

    It waits until a publish is blocked: the node takes its time to raise the alarm, and would store
    a message that comes before.
    """
    await asyncio.to_thread(node.evaluate, _BEGIN)
    try:
        async with asyncio.timeout(_TIMEOUT):
            while "memory" not in await asyncio.to_thread(node.evaluate, _ALARMS):
                pass
        yield
    finally:
        await asyncio.to_thread(node.evaluate, _END)
