"""A backend that was removed, and the sessions that have left it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from wsgw_http.backend import HttpBackend
from wsgw_http.settings import HttpSettings

from wsgw_core.api import Close, CloseCause, DialRequest
from wsgw_core.testing.context import make_context
from wsgw_core.testing.recording_sink import RecordingSink

from .application import TIMEOUT, Application

# Other tests cover both event loops.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

LEFT = Close(1001, "bye")


@asynccontextmanager
async def backend(application: Application, **options: Any) -> AsyncIterator[HttpBackend]:
    settings = HttpSettings.model_validate({"url": application.url, **options})
    made = HttpBackend(settings, make_context())
    await made.open()
    async with asyncio.timeout(TIMEOUT):
        yield made
    await made.close()


async def serve_and_leave(backend: HttpBackend) -> None:
    sink = RecordingSink()
    connection = sink.watch(await backend.connect(DialRequest("s1", "/"), sink))
    connection.start()
    connection.close(1001, "", CloseCause.SESSION_MOVES)
    await sink.until_closed()


async def test_backend_stays_for_disconnect_event_of_session_that_lives_elsewhere(
    application: Application,
) -> None:
    async with backend(application) as removed:
        await serve_and_leave(removed)
        lingering = asyncio.create_task(removed.linger())
        await asyncio.wait([lingering], timeout=0.1)
        assert not lingering.done()
        removed.session_ended("s1", LEFT, CloseCause.CLIENT_LEFT)
        await lingering
    assert len(application.of("disconnect")) == 1


async def test_backend_does_not_stay_for_session_of_another_http_backend(
    application: Application,
) -> None:
    async with backend(application) as removed, backend(application) as other:
        await serve_and_leave(removed)
        await serve_and_leave(other)
        await removed.linger()


async def test_backend_without_disconnect_events_does_not_stay(application: Application) -> None:
    async with backend(application, events={"disconnect": False}) as removed:
        await serve_and_leave(removed)
        await removed.linger()
