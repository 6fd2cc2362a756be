"""A worker of the tests, which knows only the fields of entries."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

TIMEOUT = 30.0


class Entry(dict[str, str]):
    """The fields of an entry, as strings; `data` may be bytes."""

    data: bytes

    @classmethod
    def of(cls, fields: dict[bytes, bytes]) -> Entry:
        """Returns the entry for Redis's fields."""
        entry = cls({name.decode(): value.decode("latin-1") for name, value in fields.items()})
        entry.data = fields.get(b"data", b"")
        return entry


class Worker:
    """Reads the event stream from its beginning, and answers.

    Args:
        client: of the server.
        stream: the event stream.
    """

    def __init__(self, client: Any, stream: str = "wsgw:events") -> None:
        self._client = client
        self._stream = stream
        self._last = "0-0"
        self._waiting: list[Entry] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    async def entries(self, count: int) -> list[Entry]:
        """Waits for the next entries and returns them."""
        async with asyncio.timeout(TIMEOUT):
            while len(self._waiting) < count:
                answer = await self._client.xread({self._stream: self._last}, block=1000)
                for entry_id, fields in answer[0][1] if answer else ():
                    self._last = entry_id
                    self._waiting.append(Entry.of(fields))
        found, self._waiting = self._waiting[:count], self._waiting[count:]
        return found

    async def reply(self, entry: Entry, **fields: str | bytes) -> None:
        """Replies to the session of an entry."""
        await self._client.xadd(
            entry["reply"], {"session": entry["session"], **fields}, nomkstream=True
        )

    async def dead_letters(self, count: int) -> list[Entry]:
        """Waits for so many dead letters and returns them."""
        async with asyncio.timeout(TIMEOUT):
            while await self._client.xlen("wsgw:dead-letters") < count:  # noqa: ASYNC110 - no event to await
                await asyncio.sleep(0.01)
        found = await self._client.xrange("wsgw:dead-letters")
        return [Entry.of(fields) for _, fields in found]
