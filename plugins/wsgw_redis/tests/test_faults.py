"""A fault of one session harms no other session on the shared connection."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

import pytest
from wsgw_redis.connection import RedisConnection
from wsgw_redis.dead_letters import DeadLetters
from wsgw_redis.line import Line, Reply, Take
from wsgw_redis.metrics import RedisMetrics
from wsgw_redis.publisher import Publisher
from wsgw_redis.refusal import Refusal, RefusalLog
from wsgw_redis.reply_delivery import ReplyDelivery
from wsgw_redis.settings import RedisSettings
from wsgw_redis.subscriber import Subscriber, Subscription

from wsgw_core.api import Close, Message, ReplyOutcome
from wsgw_core.testing.context import make_context
from wsgw_core.testing.virtual_clock import on_virtual_clock

LOGGER = logging.getLogger("wsgw.test")


class FakeLine:
    """A line that records commands."""

    is_lost = False

    def __init__(self) -> None:
        self.takes: list[Take] = []

    def send(self, _packed: bytes, _count: int, take: Take, *, extra_timeout: float = 0.0) -> None:
        self.takes.append(take)

    def lose(self, _reason: str) -> None:
        self.is_lost = True


class Served:
    """A session, which may raise on each call."""

    def __init__(self, *, at_fault: bool) -> None:
        self.heard: list[Any] = []
        self._at_fault = at_fault

    def _hear(self, what: Any) -> None:
        if self._at_fault:
            raise RuntimeError("a fault")
        self.heard.append(what)

    def stored(self, number: int, _reply: Reply) -> None:
        self._hear(number)

    def rejected(self, _number: int, _refusal: Refusal) -> bool:
        return False

    def receive(self, message: Message, _receipt: Any = None) -> ReplyOutcome:
        self._hear(message.data)
        return ReplyOutcome.TAKEN

    def end(self, close: Close) -> None:
        self._hear(close)


def test_fault_in_acknowledgement_harms_no_other_session(caplog: pytest.LogCaptureFixture) -> None:
    @on_virtual_clock
    async def scenario() -> None:
        context, line = make_context(), FakeLine()
        metrics = RedisMetrics(context)
        publisher = Publisher(
            cast("Line", line),
            RedisSettings.model_validate({"url": "redis://h", "max-batch": 3}),
            context.clock,
            metrics,
            RefusalLog(LOGGER, metrics),
        )
        sessions = [Served(at_fault=number == 1) for number in range(3)]
        for session in sessions:
            publisher.add(session, 7, b"")
        publisher._write()  # noqa: SLF001 - the loop's next turn calls it
        line.takes[0]([b"1-1", b"1-2", b"1-3"])
        assert [session.heard for session in sessions] == [[7], [], [7]]
        assert (line.is_lost, metrics.in_flight, metrics.added.value) == (False, 0, 3)

    scenario()
    assert "cannot be acknowledged" in caplog.text


def test_fault_in_reply_harms_no_other_session(caplog: pytest.LogCaptureFixture) -> None:
    @on_virtual_clock
    async def scenario() -> None:
        context = make_context()
        metrics = RedisMetrics(context)
        settings = RedisSettings.model_validate({"url": "redis://h"})
        letters = DeadLetters(settings, "queue", metrics, 1000)
        sessions = {"a": Served(at_fault=False), "b": Served(at_fault=True)}
        delivery = ReplyDelivery(
            context,
            lambda session_id: cast("RedisConnection", sessions[session_id]),
            letters,
            metrics,
        )
        delivery.take(
            [
                (b"%d-0" % number, [b"session", name, b"data", b"x"])
                for number, name in enumerate((b"b", b"a", b"b", b"a"))
            ]
        )
        assert sessions["a"].heard == [b"x", b"x"]
        whys = [command[command.index("detail") + 1] for command in letters.commands()]
        assert whys == ["fault: RuntimeError"] * 2

    scenario()
    assert caplog.text.count("a reply cannot be delivered") == 1


def test_fault_in_channel_message_harms_no_other_session(caplog: pytest.LogCaptureFixture) -> None:
    @on_virtual_clock
    async def scenario() -> None:
        context, line = make_context(), FakeLine()
        metrics = RedisMetrics(context)
        subscriber = Subscriber(
            cast("Line", line),
            "auto",
            context.read_batch,
            metrics,
            RefusalLog(LOGGER, metrics),
        )
        sessions = [Served(at_fault=number == 1) for number in range(3)]
        for session in sessions:
            wanted = (Subscription(False, b"c"),)
            joining = subscriber.join(cast("RedisConnection", session), wanted)
            task = asyncio.create_task(joining)
            await asyncio.sleep(0)
            while line.takes:
                line.takes.pop()([b""])
            await task
        cast("Any", line).on_pushed([b"message", b"c", b"x"])
        assert [session.heard for session in sessions] == [[b"x"], [], [b"x"]]

    scenario()
    assert "a message of a channel cannot be delivered" in caplog.text
