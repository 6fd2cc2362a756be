"""The API conforms to its OpenAPI description, for calls generated from it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from wsgw_core.admin.openapi import openapi
from wsgw_core.testing.running_gateway import running_gateway

from .admin_operator import admin_operator

SCHEMA = schemathesis.openapi.from_dict(openapi())
CHECKS = [content_type_conformance, response_schema_conformance, status_code_conformance]
DATA = {
    "server": {"frontend": {"address": "127.0.0.1:0"}},
    "upstream": {"backends": [{"id": "blue", "url": "ws://127.0.0.1:1"}]},
    "routes": [
        {"id": "0", "paths": ["/0"], "backends": [{"id": "green", "url": "ws://127.0.0.1:2"}]},
        {"id": "rest"},
    ],
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Serve the API from a thread, since the client waits for its answers."""
    found: list[str] = []
    ready, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with running_gateway(DATA) as running, admin_operator(running, {}) as operator:
            found.append(operator.url)
            ready.set()
            await asyncio.to_thread(done.wait)

    server = threading.Thread(target=lambda: asyncio.run(serve()))
    server.start()
    assert ready.wait(30)
    yield found[0]
    done.set()
    server.join(30)
    assert not server.is_alive()


@SCHEMA.parametrize()
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_conform_to_the_openapi_description(case: Any, url: str) -> None:
    response = case.call(base_url=url)
    case.validate_response(response, checks=CHECKS)
    assert response.status_code != 500
