"""A backend for `wsgw drill --backend amqp`: a RabbitMQ node, and a worker behind its queue.

usage: python -m wsgw_amqp.played PLACE HOST PORT LOG
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import aiormq
from aiormq.abc import DeliveredMessage
from pamqp import commands
from pamqp.common import FieldValue

from wsgw_core.testing.recorder import Recorder

from .broker_node import BrokerNode

QUEUE = "drill"
_EXCHANGE = "wsgw"
_PREFETCH = 500
_CONNECT, _DISCONNECT = "wsgw.connect", "wsgw.disconnect"


class Worker:
    """Reads the queue, records the messages, and answers.

    Args:
        recorder: records the messages.
        channel: to the broker, with confirms.
    """

    def __init__(self, recorder: Recorder, channel: aiormq.abc.AbstractChannel) -> None:
        self._recorder = recorder
        self._channel = channel

    async def work(self) -> None:
        """Declares the exchange and the queue, and starts to consume."""
        channel = self._channel
        await channel.exchange_declare(_EXCHANGE, exchange_type="topic", durable=True)
        # After a restart of the node, a quorum queue can deliver ready messages before those that
        # the lost consumer had; a classic queue restores the order.
        arguments: dict[str, FieldValue] = {"x-queue-type": "classic"}
        await channel.queue_declare(QUEUE, durable=True, arguments=arguments)
        await channel.queue_bind(QUEUE, _EXCHANGE, "#")
        await channel.basic_qos(prefetch_count=_PREFETCH)
        await channel.basic_consume(QUEUE, self.take)

    async def take(self, message: DeliveredMessage) -> None:
        """Handles a message, and acknowledges it when its answer is stored."""
        # aiormq makes a task for each message. The tasks start in order, and before its first wait
        # each task has recorded its message and queued its publish.
        properties = message.header.properties
        session = properties.correlation_id or ""
        headers = properties.headers or {}
        if properties.message_type == _CONNECT:
            told = json.loads(message.body)
            self._recorder.opened(session, told["replayed"] if told["reconnect"] else -1)
        elif properties.message_type == _DISCONNECT:
            self._recorder.closed(session)
        else:
            is_text = (properties.content_type or "").startswith("text/")
            content = message.body.decode() if is_text else message.body
            again = bool(message.redelivered or headers.get("wsgw-replayed"))
            answer = self._recorder.read(session, content, again=again)
            await self._answer(session, properties.reply_to or "", answer or "not of the drill")
        await self._channel.basic_ack(message.delivery_tag or 0, wait=False)

    async def _answer(self, session: str, reply_to: str, answer: str) -> None:
        properties = commands.Basic.Properties(
            correlation_id=session, content_type="text/plain", delivery_mode=2
        )
        await self._channel.basic_publish(
            answer.encode(), routing_key=reply_to, properties=properties
        )


async def main(place: str, host: str, port: str, log: str) -> None:
    """Serves until the drill kills the process."""
    node = BrokerNode(Path(f"{log}.data"), int(port), own_group=False)
    await asyncio.to_thread(node.start)
    connection = await aiormq.connect(node.url)
    channel = await connection.channel(publisher_confirms=True)
    await Worker(Recorder(place, log), channel).work()
    print(f"listening on {host}:{node.port}", flush=True)  # noqa: T201 - for the drill
    await connection.closing


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
