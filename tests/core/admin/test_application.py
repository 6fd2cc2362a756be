"""The answers to calls that take too long, that fail, or whose caller has gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientConnectionError, ClientSession, web

from wsgw_core.admin.application import Respond, make_application
from wsgw_core.admin.calls import CALLS
from wsgw_core.api import Metrics
from wsgw_core.config.server_options import AdminOptions


@asynccontextmanager
async def serving(respond: Respond, within: str = "50ms") -> AsyncIterator[ClientSession]:
    """Answers every call with this function; yields a client."""
    application = make_application(
        AdminOptions.model_validate({"write-timeout": within}),
        {call.name: respond for call in CALLS},
        logging.getLogger("wsgw.test"),
        lambda _: contextlib.nullcontext(),
        Metrics().counter("denied", ""),
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as client:
            yield client
    finally:
        await runner.cleanup()


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


async def test_caller_that_has_gone_is_no_fault_of_wsgw(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "wsgw")
    answered = asyncio.Event()

    async def respond(request: web.Request) -> web.Response:
        if (transport := request.transport) is not None:
            transport.abort()
        while request.transport is not None:  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.001)
        answered.set()
        raise ConnectionResetError

    async with serving(respond, "10s") as client:
        with pytest.raises(ClientConnectionError):
            await client.post("/backend/enable/blue")
        await asyncio.wait_for(answered.wait(), 60)
    (record,) = caplog.records
    assert record.getMessage().startswith(
        "POST /backend/enable/blue from 127.0.0.1 by anybody: 400"
    )
