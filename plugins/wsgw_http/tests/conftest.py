"""Fixtures: both event loops, scripted web applications, and gateways."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest

from wsgw_core.testing.for_conftest import (  # noqa: F401 - pytest finds them here
    no_fault_is_logged,
    pytest_asyncio_loop_factories,
)
from wsgw_core.testing.running_gateway import RunningGateway, running_gateway

from .application import Application
from .raw_application import Answer, RawApplication, raw_application


class Addressed(Protocol):
    """An application with a URL."""

    @property
    def url(self) -> str: ...


class StartGateway(Protocol):
    """Starts a gateway in front of an application; `options` are those of its backend."""

    async def __call__(
        self, application: Addressed, *more: dict[str, Any], **options: Any
    ) -> RunningGateway: ...


@pytest.fixture
async def application() -> AsyncIterator[Application]:
    """A scripted web application."""
    application = Application()
    await application.start()
    yield application
    await application.stop()


class StartRaw(Protocol):
    """Starts an application that writes raw bytes; request it before `start_gateway`."""

    async def __call__(self, answer: Answer) -> RawApplication: ...


@pytest.fixture
async def start_raw() -> AsyncIterator[StartRaw]:
    async with AsyncExitStack() as applications:

        async def start(answer: Answer) -> RawApplication:
            return await applications.enter_async_context(raw_application(answer))

        yield start


@pytest.fixture
async def start_gateway() -> AsyncIterator[StartGateway]:
    async with AsyncExitStack() as gateways:

        async def start(
            application: Addressed, *more: dict[str, Any], **options: Any
        ) -> RunningGateway:
            backend = {"url": application.url, "id": "app", **options}
            data = {"upstream": {"backends": [backend, *more]}}
            return await gateways.enter_async_context(running_gateway(data))

        yield start
