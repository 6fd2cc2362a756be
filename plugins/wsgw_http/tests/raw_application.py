"""A web application that writes raw bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


class RawApplication:
    """Answers connect and disconnect events with 204, and messages with the test's function.

    Args:
        answer: gets the body of a message, and a writer.

    Attributes:
        url: template for a backend.
        heads: of the requests with messages.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.url = ""
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError), closing(writer.transport):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                body = await reader.readexactly(length)
                if b"X-Wsgw-Event: message" in head:
                    self.heads.append(head)
                    await self._answer(body, writer)
                else:
                    writer.write(NO_CONTENT)
                await writer.drain()


def plain(text: bytes) -> bytes:
    """Returns a plain-text answer."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (
        *(len(text), text),
    )


async def flood(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Writes the same data until the peer closes the connection."""
    while not writer.is_closing():
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def raw_application(answer: Answer) -> AsyncIterator[RawApplication]:
    """Runs the application on a free port."""
    application = RawApplication(answer)
    tasks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks[asyncio.ensure_future(application.serve(reader, writer))] = writer

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    application.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws{{path}}"
    yield application
    server.close()
    for task, writer in tasks.items():
        task.cancel()  # the task may not have started yet
        writer.transport.abort()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)  # the transports close in the next turn
