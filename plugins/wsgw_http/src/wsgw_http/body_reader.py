"""Reads the bodies of answers as they arrive."""

from __future__ import annotations

import asyncio

import aiohttp

from wsgw_core.api import BackendContext


class BodyReader:
    """Reads the body of one answer.

    If data has already arrived, a read takes its turn among all sessions of the gateway, because
    aiohttp then parses what came next. For a body in tiny chunks that takes milliseconds.

    Args:
        content: the body, from aiohttp.
        context: of the backend.
    """

    def __init__(self, content: aiohttp.StreamReader, context: BackendContext) -> None:
        self._content = content
        self._context = context
        self._taken = 0
        self._found = b""

    async def read(self) -> bytes:
        """Returns the bytes that have arrived; empty at the end."""
        content = self._content
        if self._taken and content.total_bytes > self._taken:
            await self._wait_for_turn()
        found, self._found = self._found, b""
        if not found:
            found = await content.readany()
        self._taken += len(found)
        return found

    async def _wait_for_turn(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def take() -> bool:
            if not turn.done():  # cancelled
                if self._content.exception() is None:
                    self._found = self._content.read_nowait()
                turn.set_result(None)
            return False

        self._context.read_batch.call_in_turn(self._context.clock, take)
        await turn
