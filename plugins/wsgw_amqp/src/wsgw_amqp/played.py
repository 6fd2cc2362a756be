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
    """Reads the queue, writes down what comes, and answers.

    Args:
        recorder: writes it down.
        channel: to the broker, with confirms.
    """

    def __init__(self, recorder: Recorder, channel: aiormq.abc.AbstractChannel) -> None:
        self._recorder = recorder
        self._channel = channel

    async def work(self) -> None:
        """Declares what the gateway will find, and begins."""
        channel = self._channel
        await channel.exchange_declare(_EXCHANGE, exchange_type="topic", durable=True)
        # When a node returns, a quorum queue can give a new consumer what is ready before it takes
        # back what the lost one had; a classic queue has everything in order again.
        arguments: dict[str, FieldValue] = {"x-queue-type": "classic"}
        await channel.queue_declare(QUEUE, durable=True, arguments=arguments)
        await channel.queue_bind(QUEUE, _EXCHANGE, "#")
        await channel.basic_qos(prefetch_count=_PREFETCH)
        await channel.basic_consume(QUEUE, self.take)

    async def take(self, message: DeliveredMessage) -> None:
        """Takes a message, and acknowledges it when its answer is stored."""
        # The library has a task for each message. They begin in order, and before it first waits,
        # each has written its message down and is in the row of those that publish.
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
    """Serves until killed."""
    node = BrokerNode(Path(f"{log}.data"), int(port), own_group=False)
    await asyncio.to_thread(node.start)
    connection = await aiormq.connect(node.url)
    channel = await connection.channel(publisher_confirms=True)
    await Worker(Recorder(place, log), channel).work()
    print(f"listening on {host}:{node.port}", flush=True)  # noqa: T201 - for the drill
    await connection.closing


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
