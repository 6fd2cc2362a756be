"""A worker that answers each message with itself, once.

usage: echo_worker.py URL QUEUE

The gateway declares the queue: start it first.
"""

from __future__ import annotations

import asyncio
import sys

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from wsgw_amqp.worker import MemoryStore, seen


async def answer(channel: AbstractChannel, message: AbstractIncomingMessage) -> None:
    """Sends a message back to its client."""
    reply = aio_pika.Message(
        message.body,
        content_type=message.content_type,
        correlation_id=message.correlation_id,
        message_id=f"re-{message.message_id}",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
    )
    await channel.default_exchange.publish(reply, message.reply_to or "")


async def main(url: str, name: str) -> None:
    """Handles messages until the process ends or the connection is lost."""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=100)
        queue = await channel.get_queue(name)

        @seen(MemoryStore())
        async def handle(message: AbstractIncomingMessage) -> None:
            if message.type == "wsgw.message":
                await answer(channel, message)
            await message.ack()

        print(f"reads {name}", flush=True)
        async with queue.iterator() as messages:
            async for message in messages:
                await handle(message)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
