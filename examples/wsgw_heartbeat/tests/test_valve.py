"""The valve alone, and in a session in memory."""

from __future__ import annotations

import asyncio

from wsgw_heartbeat import plugin
from wsgw_heartbeat.settings import HeartbeatSettings
from wsgw_heartbeat.valve import HeartbeatValve

from wsgw_core.api import Message
from wsgw_core.testing.fake_session import FakeSession
from wsgw_core.testing.valve_bench import ValveBench


def test_heartbeat_is_answered_and_not_passed_on() -> None:
    session = FakeSession()
    valve = HeartbeatValve(HeartbeatSettings(answer="here"), session)
    assert valve.before_transmit(Message.from_text("ping")) is None
    assert session.sent_to_client == [Message.from_text("here")]


def test_other_messages_pass_both_ways() -> None:
    async def scenario() -> None:
        async with ValveBench.of(plugin, "heartbeat", {"answer": "here"}) as bench:
            assert await bench.to_backend("ping", "pinging", b"ping") == ["pinging", b"ping"]
            assert await bench.to_client("ping") == ["ping"]
            assert bench.client.texts == ["here", "ping"]

    asyncio.run(scenario())
