"""The answers to calls that take too long or that fail."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from wsgw_core.admin.application import Respond, make_application
from wsgw_core.admin.calls import CALLS
from wsgw_core.api import Metrics
from wsgw_core.config.server_options import AdminOptions

Client = TestClient[web.Request, web.Application]


@asynccontextmanager
async def serving(respond: Respond) -> AsyncIterator[Client]:
    """Answers every call with this function, within 50 ms."""
    application = make_application(
        AdminOptions.model_validate({"write-timeout": "50ms"}),
        {call.name: respond for call in CALLS},
        logging.getLogger("wsgw.test"),
        lambda _: contextlib.nullcontext(),
        Metrics().counter("denied", ""),
    )
    async with TestClient(TestServer(application)) as client:
        yield client


async def test_call_that_takes_too_long_is_answered_503_and_its_connection_closed() -> None:
    async def respond(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(respond) as client, client.get("/healthz") as answer:
        assert answer.status == 503
        assert await answer.json() == {"result": "failed", "reason": "TookTooLong"}
        assert answer.headers["Connection"] == "close"


@pytest.mark.parametrize("fault", [LookupError("a bug of ours"), ConnectionError("of a part")])
async def test_fault_of_wsgw_is_answered_500_and_logged(
    fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def respond(_request: web.Request) -> web.Response:
        raise fault

    async with serving(respond) as client, client.get("/healthz") as answer:
        assert answer.status == 500
        assert await answer.json() == {"result": "failed", "reason": "InternalError"}
    assert "GET /healthz from 127.0.0.1: internal error in the admin API" in caplog.text
    assert str(fault) in caplog.text
