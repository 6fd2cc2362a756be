"""Fixtures of the journeys: gateways and backends in this process."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from wsgw_core.testing.for_conftest import (  # noqa: F401 - pytest finds them here
    pytest_asyncio_loop_factories,
)
from wsgw_core.testing.running_gateway import RunningGateway, running_gateway

from .admin_operator import Operator, admin_operator
from .command_shop import FAKE_PLUGIN, Shop
from .raw_backend import Act, RawBackend, raw_backend
from .scripted_backend import ScriptedBackend, scripted_backend
from .tls_ends import TlsFiles

_LOCAL = "127.0.0.1:0"


class StartGateway(Protocol):
    """Starts a gateway in front of these backends, which are URLs, entries or running backends."""

    async def __call__(
        self,
        *backends: str | Mapping[str, Any] | ScriptedBackend,
        plugins: Iterable[object] = (),
        address: str = _LOCAL,
        host: str = "127.0.0.1",
        server: Mapping[str, Any] | None = None,
        **sections: Any,
    ) -> RunningGateway: ...


class StartBackend(Protocol):
    """Starts a backend; the options are those of `websockets.serve`."""

    async def __call__(self, host: str = "127.0.0.1", **options: Any) -> ScriptedBackend: ...


class StartRaw(Protocol):
    """Starts a backend that plays an act on some paths; see `raw_backend`."""

    async def __call__(self, act: Act, *paths: str) -> RawBackend: ...


class StartAdmin(Protocol):
    """Serves the admin API of a gateway; the options are those of `server.admin`."""

    async def __call__(
        self, gateway: RunningGateway, *, context: ssl.SSLContext | None = None, **options: Any
    ) -> Operator: ...


@pytest.fixture(autouse=True)
def gateway_has_no_fault(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Checks that no error is logged, even if the client was served."""
    caplog.set_level(logging.INFO, "wsgw")
    yield
    faults = [
        record
        for record in caplog.get_records("call")
        if record.levelno >= logging.ERROR and record.name.partition(".")[0] in ("wsgw", "asyncio")
    ]
    assert not [record.getMessage() for record in faults]


@pytest.fixture
async def start_backend() -> AsyncIterator[StartBackend]:
    async with AsyncExitStack() as running:

        async def start(host: str = "127.0.0.1", **options: Any) -> ScriptedBackend:
            return await running.enter_async_context(scripted_backend(host, options))

        yield start


@pytest.fixture
async def start_raw() -> AsyncIterator[StartRaw]:
    async with AsyncExitStack() as running:

        async def start(act: Act, *paths: str) -> RawBackend:
            return await running.enter_async_context(raw_backend(act, *paths))

        yield start


@pytest.fixture
async def backend(start_backend: StartBackend) -> ScriptedBackend:
    return await start_backend()


@pytest.fixture
async def blue(start_backend: StartBackend) -> ScriptedBackend:
    return await start_backend()


@pytest.fixture
async def green(start_backend: StartBackend) -> ScriptedBackend:
    return await start_backend()


@pytest.fixture
async def start_gateway(
    start_backend: StartBackend,  # noqa: ARG001 - so that gateways are stopped before backends
) -> AsyncIterator[StartGateway]:
    async with AsyncExitStack() as running:

        async def start(
            *backends: str | Mapping[str, Any] | ScriptedBackend,
            plugins: Iterable[object] = (),
            address: str = _LOCAL,
            host: str = "127.0.0.1",
            server: Mapping[str, Any] | None = None,
            **sections: Any,
        ) -> RunningGateway:
            data = {
                "server": {"frontend": {"address": address}, **(server or {})},
                "upstream": {"backends": [_entry(backend) for backend in backends]},
                **sections,
            }
            return await running.enter_async_context(running_gateway(data, plugins, host))

        yield start


@pytest.fixture
async def start_admin(
    start_gateway: StartGateway,  # noqa: ARG001 - so that it is stopped before the gateway
) -> AsyncIterator[StartAdmin]:
    async with AsyncExitStack() as running:

        async def start(
            gateway: RunningGateway, *, context: ssl.SSLContext | None = None, **options: Any
        ) -> Operator:
            return await running.enter_async_context(admin_operator(gateway, options, context))

        yield start


@pytest.fixture
def tls_files(tmp_path: Path) -> TlsFiles:
    return TlsFiles(tmp_path)


@pytest.fixture
def shop(
    tmp_path: Path,
    log_set_up_anew: None,  # noqa: ARG001 - commands that are called here set it up
) -> Iterator[Shop]:
    with ExitStack() as cleanup:
        yield Shop(tmp_path, cleanup)


@pytest.fixture
def fake(shop: Shop) -> Shop:
    shop.install("acme", "fake", FAKE_PLUGIN)
    return shop


def _entry(backend: str | Mapping[str, Any] | ScriptedBackend) -> dict[str, Any]:
    if isinstance(backend, ScriptedBackend):
        return {"url": backend.url}
    return {"url": backend} if isinstance(backend, str) else dict(backend)


@pytest.fixture
async def gateway(start_gateway: StartGateway, backend: ScriptedBackend) -> RunningGateway:
    """A gateway in front of `backend`, with default settings."""
    return await start_gateway(backend)
