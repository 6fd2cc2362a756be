"""Fixtures: an echo backend, and gateways in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest
import uvloop
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response
from wsgw_valves import plugin

from wsgw_core.testing.for_conftest import (  # noqa: F401 - pytest finds it here
    no_fault_is_logged,
)
from wsgw_core.testing.running_gateway import RunningGateway, running_gateway

from .echo import Echo


class StartGateway(Protocol):
    """Starts a gateway in front of the echo; the arguments are sections of the configuration."""

    async def __call__(self, **sections: Any) -> RunningGateway: ...


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Selects the standard event loop only: valves see no sockets."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    """An echo backend that records requests."""
    echo = Echo()
    await echo.start()
    yield echo
    await echo.stop()


@pytest.fixture
async def start_gateway(echo: Echo) -> AsyncIterator[StartGateway]:
    async with AsyncExitStack() as gateways:

        async def start(**sections: Any) -> RunningGateway:
            data = {"upstream": {"backends": [{"url": echo.url, "id": "echo"}]}, **sections}
            return await gateways.enter_async_context(running_gateway(data, [plugin]))

        yield start


@pytest.fixture
def refused() -> Callable[..., Any]:
    """Returns a function that connects, is refused, and returns the answer."""

    async def refused(url: str, **options: Any) -> Response:
        with pytest.raises(InvalidStatus) as caught:
            async with connect(url, **options):
                pass
        return caught.value.response

    return refused
