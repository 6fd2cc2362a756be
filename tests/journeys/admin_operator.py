"""An operator with an independent HTTP client, at the admin API of a gateway in this process."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from wsgw_core.admin.server import AdminServer
from wsgw_core.config.server_options import AdminOptions
from wsgw_core.gateway.local_control import LocalControl
from wsgw_core.testing.running_gateway import RunningGateway

SUCCESS = {"result": "success"}
NO_ACTION = {"result": "success", "reason": "NoActionRequired"}
FAILED = {"result": "failed"}


class Answer:
    """An answer of the admin API, read to its end."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        assert self.headers["Content-Type"].startswith("application/json"), self.body
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class Operator:
    """Calls the API."""

    def __init__(self, client: aiohttp.ClientSession, server: AdminServer, scheme: str) -> None:
        self._client = client
        self.port = server.addresses[0].port
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    async def call(self, method: str, path: str, **options: Any) -> Answer:
        async with self._client.request(method, self.url + path, **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **options: Any) -> Any:
        """Return the JSON of an answer that must have status 200."""
        answer = await self.call("GET", path, **options)
        assert answer.status == 200, answer.body
        return answer.json

    async def post(self, path: str, **options: Any) -> Any:
        """Return the JSON of an answer that must have status 200."""
        answer = await self.call("POST", path, **options)
        assert answer.status == 200, answer.body
        return answer.json


@asynccontextmanager
async def admin_operator(
    running: RunningGateway, options: Mapping[str, Any], context: ssl.SSLContext | None = None
) -> AsyncIterator[Operator]:
    """Serve the admin API until the end of the block."""
    checked = AdminOptions.model_validate({"address": "127.0.0.1:0", **options})
    gateway = running.gateway
    server = AdminServer(LocalControl(gateway), checked, gateway.metrics, gateway.counters)
    await server.start()
    try:
        connector = aiohttp.TCPConnector(ssl=context if context is not None else True)
        async with aiohttp.ClientSession(connector=connector) as client:
            yield Operator(client, server, "http" if checked.tls is None else "https")
    finally:
        await server.stop()
