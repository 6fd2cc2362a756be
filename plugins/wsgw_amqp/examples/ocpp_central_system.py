"""A central system for OCPP 1.6 behind a queue. Start it twice: one works, the other takes over.

usage: ocpp_central_system.py URL QUEUE FILE

It needs the package `ocpp`. The last part of a charge point's path is its name. Each meter value
becomes a line `NAME VALUE` of the file before the answer. A message that is not OCPP is
rejected; the dead-letter policy of the queue decides where it goes. The gateway declares the queue:

    queue: ocpp
    queue-arguments: {x-single-active-consumer: true}
    subprotocols: [ocpp1.6]

The broker gives all messages to one worker, and to the next one when that is gone. So the messages
are handled in order, whichever worker does it.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from ocpp.routing import on  # type: ignore[import-untyped]  # has no type hints
from ocpp.v16 import ChargePoint, call_result  # type: ignore[import-untyped]  # has no type hints
from ocpp.v16.enums import (  # type: ignore[import-untyped]  # has no type hints
    Action,
    RegistrationStatus,
)
from wsgw_amqp.worker import seen


def now() -> str:
    """Returns the time in OCPP's format."""
    return datetime.now(UTC).isoformat()


class FileStore:
    """Remembers handled messages for all workers that use the file.

    Args:
        path: the file, with a line for each message.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def contains(self, message_id: str) -> bool:
        """See wsgw_amqp.worker.SeenStore."""
        return self._path.exists() and message_id in self._path.read_text().splitlines()

    async def add(self, message_id: str) -> None:
        """See wsgw_amqp.worker.SeenStore."""
        with self._path.open("a") as file:
            file.write(f"{message_id}\n")


class Answers:
    """A stand-in for the websocket of the package `ocpp`: sends the answer to one message."""

    def __init__(self, channel: AbstractChannel, message: AbstractIncomingMessage) -> None:
        self._channel = channel
        self._message = message

    async def send(self, text: str) -> None:
        """Sends the answer."""
        reply = aio_pika.Message(
            text.encode(),
            content_type="text/plain",
            correlation_id=self._message.correlation_id,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await self._channel.default_exchange.publish(reply, self._message.reply_to or "")


class ServedChargePoint(ChargePoint):  # type: ignore[misc]  # the package has no type hints
    """Handles a message of one charge point.

    Args:
        name: of the charge point.
        answers: sends the answer.
        file: the file for meter values.
    """

    def __init__(self, name: str, answers: Answers, file: Path) -> None:
        super().__init__(name, answers)
        self._file = file

    @on(Action.boot_notification)  # type: ignore[untyped-decorator]  # as above
    def boot(self, **_details: Any) -> Any:
        """Accepts the charge point."""
        return call_result.BootNotification(
            current_time=now(), interval=300, status=RegistrationStatus.accepted
        )

    @on(Action.heartbeat)  # type: ignore[untyped-decorator]  # as above
    def heartbeat(self) -> Any:
        """Returns the time."""
        return call_result.Heartbeat(current_time=now())

    @on(Action.meter_values)  # type: ignore[untyped-decorator]  # as above
    def meter_values(self, meter_value: list[dict[str, Any]], **_rest: Any) -> Any:
        """Stores the value."""
        value = Decimal(meter_value[0]["sampled_value"][0]["value"])  # fails if it is not a number
        with self._file.open("a") as file:
            file.write(f"{self.id} {value}\n")
        return call_result.MeterValues()


async def serve(channel: AbstractChannel, message: AbstractIncomingMessage, file: Path) -> bool:
    """Answers a message; returns False if the message is not OCPP."""
    try:
        charge_point = str(message.headers["wsgw-path"]).rpartition("/")[2]
        served = ServedChargePoint(charge_point, Answers(channel, message), file)
        await served.route_message(message.body.decode())
    except (LookupError, RecursionError, TypeError, ValueError):
        return False
    return True


async def main(url: str, name: str, path: str) -> None:
    """Handles messages until the process ends or the connection is lost."""
    file = Path(path)
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=100)
        queue = await channel.get_queue(name)

        @seen(FileStore(file.with_suffix(".handled")))
        async def handle(message: AbstractIncomingMessage) -> None:
            if message.type != "wsgw.message" or await serve(channel, message, file):
                await message.ack()
            else:
                await message.reject()

        print(f"reads {name}", flush=True)
        async with queue.iterator() as messages:
            async for message in messages:
                await handle(message)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
