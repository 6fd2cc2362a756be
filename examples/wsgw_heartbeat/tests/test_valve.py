"""The valve alone, and in a session whose ends are in memory."""

from __future__ import annotations

import asyncio

from wsgw_heartbeat.settings import HeartbeatSettings
from wsgw_heartbeat.valve import HeartbeatValve

from wsgw_core.api import Message, per_session
from wsgw_core.testing.fake_session import FakeSession
from wsgw_core.testing.valve_bench import ValveBench

SETTINGS = HeartbeatSettings(answer="here")


def test_a_heartbeat_is_answered_and_goes_no_further() -> None:
    session = FakeSession()
    valve = HeartbeatValve(SETTINGS, session)
    assert valve.before_transmit(Message.from_text("ping")) is None
    assert session.sent_to_client == [Message.from_text("here")]


def test_other_messages_pass_both_ways() -> None:
    async def scenario() -> None:
        async with ValveBench(per_session(HeartbeatValve), SETTINGS) as bench:
            assert await bench.to_backend("ping", "pinging", b"ping") == ["pinging", b"ping"]
            assert await bench.to_client("ping") == ["ping"]
            assert bench.client.texts == ["here", "ping"]

    asyncio.run(scenario())
