"""The worker that `wsgw drill --backend amqp` runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import aiormq
from aiormq.abc import DeliveredMessage
from pamqp import commands
from pamqp.header import ContentHeader
from wsgw_amqp.played import Worker

from wsgw_core.testing.numbered_message import compose
from wsgw_core.testing.recorder import Recorder


class ConfirmingChannel:
    """A channel whose broker confirms when the test allows it."""

    def __init__(self) -> None:
        self.published: asyncio.Queue[bytes] = asyncio.Queue()
        self.stored = asyncio.Event()
        self.acknowledged: list[int] = []

    async def basic_publish(self, body: bytes, **_details: Any) -> None:
        self.published.put_nowait(body)
        await self.stored.wait()

    async def basic_ack(self, tag: int, **_details: Any) -> None:
        self.acknowledged.append(tag)


async def test_message_is_acknowledged_after_its_answer_is_stored(tmp_path: Path) -> None:
    # Otherwise a killed broker could keep the acknowledgement and lose the answer.
    channel = ConfirmingChannel()
    worker = Worker(
        Recorder("here", str(tmp_path / "log")),
        cast("aiormq.abc.AbstractChannel", channel),
    )
    properties = commands.Basic.Properties(correlation_id="s", reply_to="q")
    message = DeliveredMessage(
        delivery=commands.Basic.Deliver(delivery_tag=7),
        header=ContentHeader(properties=properties),
        body=compose("c", 0, 10),
        channel=cast("aiormq.abc.AbstractChannel", channel),
    )
    taking = asyncio.create_task(worker.take(message))
    assert (await channel.published.get()).startswith(b"c 0 here ")
    assert not channel.acknowledged

    channel.stored.set()
    await taking
    assert channel.acknowledged == [7]
