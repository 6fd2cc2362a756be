"""The RabbitMQ node for drills and tests."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from wsgw_amqp.broker_node import BrokerNode, NodeError

TIMEOUT = 120.0  # seconds; less than the timeout of a node


@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["asyncio"])  # a thread waits
async def test_node_that_exits_during_start_fails_at_once(tmp_path: Path) -> None:
    node = BrokerNode(tmp_path / "node", settings="no.such.setting = 1\n")

    async with asyncio.timeout(TIMEOUT):
        with pytest.raises(NodeError, match="does not start"):
            await asyncio.to_thread(node.start)
    node.kill()
