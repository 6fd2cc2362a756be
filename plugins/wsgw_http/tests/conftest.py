"""For the tests of the plugin: both event loops, a web application by script, and gateways."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest
import uvloop

from wsgw_core.testing.running_gateway import RunningGateway, running_gateway

from .application import Application


class StartGateway(Protocol):
    """Starts a gateway in front of an application; `options` are those of its backend."""

    async def __call__(
        self, application: Application, *more: dict[str, Any], **options: Any
    ) -> RunningGateway: ...


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return what an asynchronous test is run on, one after the other."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def no_fault_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test in which an event loop or the gateway reports an exception of ours."""
    yield
    reports = [
        record.getMessage()
        for record in caplog.get_records("call")
        if record.name.partition(".")[0] in ("asyncio", "wsgw") and record.levelno >= logging.ERROR
    ]
    assert not reports, "\n".join(reports)


@pytest.fixture
async def application() -> AsyncIterator[Application]:
    """A web application that answers as the test says."""
    application = Application()
    await application.start()
    yield application
    await application.stop()


@pytest.fixture
async def start_gateway() -> AsyncIterator[StartGateway]:
    async with AsyncExitStack() as gateways:

        async def start(
            application: Application, *more: dict[str, Any], **options: Any
        ) -> RunningGateway:
            backend = {"url": application.url, "id": "app", **options}
            data = {"upstream": {"backends": [backend, *more]}}
            return await gateways.enter_async_context(running_gateway(data))

        yield start
