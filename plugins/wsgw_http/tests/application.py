"""A web application that records its requests and answers by script."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import trustme
from aiohttp import web
from multidict import CIMultiDictProxy

TIMEOUT = 60.0
Answer = Callable[["Recorded"], Awaitable[web.StreamResponse | None]]


@dataclass(frozen=True)
class Recorded:
    """One request."""

    request: web.Request
    body: bytes
    at: float

    @property
    def event(self) -> str:
        return self.request.headers.get("X-Wsgw-Event", "")

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        return self.request.headers

    @property
    def number(self) -> int:
        return int(self.headers.get("X-Wsgw-Number", "0"))

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def reset(self) -> None:
        """Drops the connection."""
        assert self.request.transport is not None
        self.request.transport.abort()


class Application:
    """Listens on a free port. Without a script it answers each event with 204.

    Args:
        certificate: for TLS; None: plain HTTP.

    Attributes:
        requests: all requests, in order of arrival.
        on_connect, on_message, on_disconnect: answer the events; None: 204.
        gone: requests that wsgw cancelled.
    """

    def __init__(self, certificate: trustme.LeafCert | None = None) -> None:
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(self._context)
        self.requests: list[Recorded] = []
        self.on_connect: Answer | None = None
        self.on_message: Answer | None = None
        self.on_disconnect: Answer | None = None
        self.on_: Answer | None = None  # answers requests without an event
        self.gone = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.port = 0
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/ws{{path}}"

    async def start(self) -> None:
        """Starts to listen; a second call uses the same port."""
        server = web.Application(client_max_size=64 * 1024 * 1024)
        server.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(server, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, "127.0.0.1", self.port, reuse_address=True, ssl_context=self._context
        )
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Drops all connections and stops listening."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    def of(self, event: str) -> list[Recorded]:
        """Returns the requests of one event."""
        return [each for each in self.requests if each.event == event]

    async def until(self, condition: Callable[[], object]) -> None:
        """Waits until a condition on the requests holds."""
        async with asyncio.timeout(TIMEOUT), self._changed:
            await self._changed.wait_for(condition)

    async def until_messages(self, count: int) -> list[Recorded]:
        """Waits until `count` messages have arrived."""
        await self.until(lambda: len(self.of("message")) >= count)
        return self.of("message")

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            return web.Response(status=400)
        recorded = Recorded(request, body, asyncio.get_running_loop().time())
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.requests.append(recorded)
        await self._notify()
        try:
            script: Answer | None = getattr(self, f"on_{recorded.event}", None)
            answer = await script(recorded) if script is not None else None
        except asyncio.CancelledError:
            self.gone += 1
            await self._notify()
            raise
        finally:
            self.in_flight -= 1
        return answer if answer is not None else web.Response(status=204)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
