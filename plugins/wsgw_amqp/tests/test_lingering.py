"""A backend that was removed, and the sessions that have left it."""

from __future__ import annotations

import asyncio

import pytest

from wsgw_core.api import Close, CloseCause

from .stand import Stand, standing
from .workers import Names

# Other tests cover both event loops.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

EVENTS = ["connect", "message", "disconnect"]
LEFT = Close(1001, "bye")


async def serve_and_leave(stand: Stand, session_id: str) -> None:
    _, sink, connection = await stand.session(session_id=session_id)
    connection.close(1001, "", CloseCause.SESSION_MOVES)
    await sink.until_closed()


async def test_backend_stays_for_disconnect_event_of_session_that_lives_elsewhere(
    broker_url: str,
) -> None:
    async with standing(broker_url, events=EVENTS) as stand:
        await serve_and_leave(stand, "s1")
        lingering = asyncio.create_task(stand.backend.linger())
        await asyncio.wait([lingering], timeout=0.1)
        assert not lingering.done()
        stand.backend.session_ended("s1", LEFT, CloseCause.CLIENT_LEFT)
        await lingering
        await stand.backend.close()
        assert (await stand.workers.event("s1", 1))["id"] == "s1-d"


async def test_backend_does_not_stay_for_session_of_another_backend_of_the_exchange(
    broker_url: str,
) -> None:
    names = Names()
    async with (
        standing(broker_url, names=names, works=False, events=EVENTS) as removed,
        standing(broker_url, names=names, events=EVENTS) as other,
    ):
        await serve_and_leave(removed, "s1")
        await serve_and_leave(other, "s1")
        async with asyncio.timeout(60):
            await removed.backend.linger()
        for stand in (removed, other):
            stand.backend.session_ended("s1", LEFT, CloseCause.CLIENT_LEFT)
        await removed.backend.close()
        await other.backend.close()
        ids = {(await other.workers.event("s1", index))["id"] for index in range(3)}
    assert ids == {"s1-c0", "s1-c1", "s1-d"}  # in any order: the two have no connection in common


async def test_backend_without_disconnect_events_does_not_stay(broker_url: str) -> None:
    async with standing(broker_url, events=["connect", "message"]) as stand:
        await serve_and_leave(stand, "s1")
        async with asyncio.timeout(60):
            await stand.backend.linger()
