"""The order of a session's messages, with several queues and workers."""

from __future__ import annotations

from collections import defaultdict

import aio_pika
import pytest
from wsgw_amqp.broker_node import BrokerNode

from wsgw_core.api import Message

from .stand import standing
from .workers import Names

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])
SESSIONS, EACH = 20, 5


async def test_consistent_hash_keeps_session_in_one_queue(node: BrokerNode) -> None:
    names = Names()
    second = f"{names.queue}.second"
    found: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    async with standing(
        node.url,
        names=names,
        works=False,
        exchange_type="x-consistent-hash",
        routing_key="{session}",
        binding_keys="1",
    ) as stand:
        broker = await aio_pika.connect(node.url)
        async with broker:
            channel = await broker.channel()
            queue = await channel.declare_queue(second, exclusive=True)
            await queue.bind(names.exchange, "1")
            sessions = [await stand.session() for _ in range(SESSIONS)]
            for number in range(EACH):
                for _, _, connection in sessions:
                    connection.send(Message.from_text(str(number)))
            for _, sink, _ in sessions:
                await sink.until_delivered(EACH)
            for each in (queue, await channel.get_queue(names.queue)):
                while (message := await each.get(no_ack=True, fail=False)) is not None:
                    found[message.correlation_id or ""].append((each.name, int(message.body)))

    assert {name for come in found.values() for name, _ in come} == {names.queue, second}
    assert len(found) == SESSIONS
    for come in found.values():
        assert len({name for name, _ in come}) == 1
        assert [number for _, number in come] == [*range(EACH)]
