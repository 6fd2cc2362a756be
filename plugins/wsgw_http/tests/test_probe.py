"""Health checks."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from wsgw_http.backend import HttpBackend
from wsgw_http.settings import HttpSettings

from wsgw_core.api import BackendUnavailable, BackendUnreachable
from wsgw_core.testing.context import make_context

from .application import Application, Recorded


async def probe(**options: Any) -> None:
    """Opens a backend, probes it and closes it."""
    backend = HttpBackend(HttpSettings.model_validate(options), make_context())
    await backend.open()
    try:
        await backend.probe()
    finally:
        await backend.close()


async def test_probe_answer_below_500_is_healthy(application: Application) -> None:
    await probe(url=application.url)
    (asked,) = application.requests
    assert (asked.request.method, asked.request.raw_path) == ("OPTIONS", "/")
    assert asked.event == ""


async def test_probe_uses_configured_method_and_path(application: Application) -> None:
    health = {"method": "HEAD", "path": "/healthz?x=1", "statuses": 204}
    await probe(url=application.url, health=health, headers={"Authorization": "Bearer x"})
    (asked,) = application.requests
    assert (asked.request.method, asked.request.raw_path) == ("HEAD", "/healthz?x=1")
    assert asked.headers["Authorization"] == "Bearer x"


async def test_probe_status_outside_setting_is_unhealthy(application: Application) -> None:
    with pytest.raises(BackendUnavailable, match="status 204"):
        await probe(url=application.url, health={"statuses": [200]})


async def test_probe_with_dropped_connection_is_unhealthy(
    application: Application,
) -> None:
    async def drop(recorded: Recorded) -> web.Response:
        recorded.reset()
        return web.Response()

    application.on_ = drop
    with pytest.raises(BackendUnavailable, match="connection was lost"):
        await probe(url=application.url)


async def test_probe_of_unreachable_application_is_unhealthy(application: Application) -> None:
    await application.stop()
    with pytest.raises(BackendUnreachable):
        await probe(url=application.url)


async def test_probe_with_host_from_template_sends_nothing() -> None:
    await probe(url="http://{header.x-host}/")
