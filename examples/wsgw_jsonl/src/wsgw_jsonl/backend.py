"""One application that uses JSON lines: dials sessions."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakSet

from wsgw_core.api import (
    Backend,
    BackendContext,
    BackendDeclined,
    BackendUnavailable,
    DialRequest,
    Sink,
    UnusableAnswer,
)

from .connection import JsonLinesConnection
from .line_stream import LineStream
from .settings import JsonLinesSettings


class JsonLinesBackend:
    """Connects each session with its own TCP connection.

    Args:
        settings: this backend's checked options.
        context: what the core provides.
    """

    def __init__(self, settings: JsonLinesSettings, context: BackendContext) -> None:
        self._settings = settings
        self._context = context
        self._connections: WeakSet[JsonLinesConnection] = WeakSet()

    async def open(self) -> None:
        """Does nothing: each dial makes its own connection."""

    async def connect(self, request: DialRequest, sink: Sink) -> JsonLinesConnection:
        """Dials for a session; raises BackendUnavailable and BackendDeclined."""
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                lines = await self._introduce(request)
        except TimeoutError as error:
            raise BackendUnavailable("the application does not answer") from error
        connection = JsonLinesConnection(lines, sink, self._context)
        self._connections.add(connection)
        return connection

    async def probe(self) -> None:
        """Connects and disconnects."""
        lines = await self._open()
        lines.abort()

    async def close(self) -> None:
        """Waits for the end of the connections, which are already closing."""
        await asyncio.gather(*(each.over.wait() for each in self._connections))

    async def _open(self) -> LineStream:
        context = self._context
        return await LineStream.open(
            context.resolver, *self._settings.host_and_port, context.limits.max_message_size
        )

    async def _introduce(self, request: DialRequest) -> LineStream:
        lines = await self._open()
        try:
            await lines.write({"open": _described(request)})
            _check_acceptance(await lines.read())
        except BaseException:  # also if cancelled: leave no connection open
            lines.abort()
            raise
        return lines


def _described(request: DialRequest) -> dict[str, Any]:
    return {
        "session": request.session_id,
        "path": request.path,
        "headers": request.headers,
        "peer": request.peer,
        "reconnect": request.reconnect,
    }


def _check_acceptance(answer: dict[str, Any]) -> None:
    if answer == {"accept": True}:
        return
    status = answer.get("refuse")
    if isinstance(status, int) and 300 <= status <= 499:
        raise BackendDeclined(status, body=str(answer.get("text", "")).encode())
    raise UnusableAnswer("the application's first line neither accepts nor refuses")


def _is_backend(backend: JsonLinesBackend) -> Backend:
    return backend  # checked by the type checker
