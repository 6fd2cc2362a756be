"""A removed backend may linger before it is closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from wsgw_core.api import BackendContext, Options
from wsgw_core.api.registry import Registration
from wsgw_core.config.upstream_options import BackendEntry
from wsgw_core.plugins.plugin_specs import BackendSpec
from wsgw_core.pool.backends.backend_pool import BackendPool
from wsgw_core.pool.membership.open_backends import OpenBackends
from wsgw_core.testing.context import make_context
from wsgw_core.testing.fakes import FakeBackend
from wsgw_core.testing.virtual_clock import on_virtual_clock

Linger = Callable[[], Awaitable[None]]


class Lingering(FakeBackend):
    """Lingers until the test ends it; records its close."""

    def __init__(self, linger: Linger) -> None:
        super().__init__("a")
        self._linger = linger
        self.closed_at: float | None = None

    async def linger(self) -> None:
        await self._linger()

    async def close(self) -> None:
        self.closed_at = asyncio.get_running_loop().time()
        await super().close()


async def removed(linger: Linger) -> tuple[OpenBackends, Lingering]:
    """Returns a backend that was just removed, without connections."""
    backend = Lingering(linger)

    def make(_options: Options, _context: BackendContext) -> Any:
        return backend

    backends = OpenBackends(
        BackendPool(),
        lambda each: make_context(each.id),
        lambda _: False,
        logging.getLogger("test"),
    )
    registration: Registration[Any] = Registration("backend", "lingering", Options, make, ())
    entry = BackendEntry(kind="lingering", id="a")
    pooled = await backends.add(BackendSpec(entry, registration, Options()))
    backends.retire(pooled)
    return backends, backend


async def five_seconds() -> None:
    await asyncio.sleep(5)


async def for_ever() -> None:
    await asyncio.Event().wait()


async def despite_a_cancellation() -> None:
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(1000)
    await asyncio.sleep(1000)


async def fail() -> None:
    raise LookupError("nothing comes")


@on_virtual_clock
async def test_a_lingering_backend_is_closed_when_it_has_finished(
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, backend = await removed(five_seconds)
    await asyncio.sleep(100)
    assert backend.closed_at == pytest.approx(5, abs=0.1)
    assert not caplog.records


@on_virtual_clock
async def test_a_stopping_gateway_cancels_the_lingering(caplog: pytest.LogCaptureFixture) -> None:
    backends, backend = await removed(for_ever)
    await asyncio.sleep(7)
    await backends.close()
    assert backend.closed_at == pytest.approx(7, abs=0.1)
    assert not caplog.records


@on_virtual_clock
async def test_a_backend_that_ignores_the_cancellation_does_not_stop_the_stop() -> None:
    backends, backend = await removed(despite_a_cancellation)
    await asyncio.sleep(7)
    await backends.close()
    timeout = make_context("a").limits.close_timeout
    assert backend.closed_at == pytest.approx(7 + timeout, abs=0.1)


@on_virtual_clock
async def test_a_fault_while_lingering_is_logged_and_the_backend_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, backend = await removed(fail)
    await asyncio.sleep(1)
    assert backend.closed_at == pytest.approx(0, abs=0.1)
    [record] = caplog.records
    assert record.getMessage() == "backend a: its plugin raised an error"
    assert record.exc_info is not None
    assert record.exc_info[0] is LookupError
