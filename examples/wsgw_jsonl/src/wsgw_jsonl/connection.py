"""One session's messages to and from its application."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from wsgw_core.api import (
    BINARY,
    TEXT,
    BackendConnection,
    BackendContext,
    BackendUnavailable,
    Close,
    CloseCause,
    CloseCode,
    Message,
    OrderedConnection,
    Sink,
)

from .line_stream import LineStream

_GOING_AWAY = (
    CloseCode.GOING_AWAY,
    CloseCode.INTERNAL_ERROR,
    CloseCode.SERVICE_RESTART,
    CloseCode.TRY_AGAIN_LATER,
)


class JsonLinesConnection(OrderedConnection):
    """Sends the messages of one session; the application acknowledges each.

    Args:
        lines: the connection, accepted by the application.
        sink: the session.
        context: the backend's.

    Attributes:
        over: set when the connection has ended completely.
    """

    def __init__(self, lines: LineStream, sink: Sink, context: BackendContext) -> None:
        super().__init__(sink, context)
        self._lines = lines
        self._max_size = context.limits.max_message_size
        self._acknowledged = asyncio.Semaphore(0)
        self._reading: asyncio.Task[None] | None = None
        self._asked_to_close = False
        self.over = asyncio.Event()

    async def transmit(self, message: Message) -> None:
        """Writes one message and waits for its acknowledgement."""
        await self._lines.write(_encoded(message))
        await self._acknowledged.acquire()

    async def finish(self, close: Close) -> None:
        """Sends the close and disconnects; all messages before are acknowledged."""
        if self._reading is not None:
            self._reading.cancel()
        try:
            await self._lines.write({"close": [close.code, close.reason]})
            await self._lines.close()
        finally:  # also if the application is gone or takes too long
            self._lines.abort()
            self.over.set()

    def start(self) -> None:
        """Starts to read."""
        super().start()
        self._reading = asyncio.get_running_loop().create_task(self._read())

    def close(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> None:
        """Ends the connection; acknowledgements of sent messages are still read."""
        super().close(code, reason, cause)
        self._asked_to_close = True

    async def _read(self) -> None:
        try:
            while True:
                await self.ready()  # until then messages wait in the application's socket
                self._take(await self._lines.read())
        except (BackendUnavailable, ValueError) as error:  # such as invalid base64
            self.fail(str(error))

    def _take(self, line: dict[str, Any]) -> None:
        match line:
            case {"ack": True}:
                self._acknowledged.release()
            case {"text": str(text)}:
                self._pass_on(Message(TEXT, text.encode(errors="replace")))
            case {"base64": str(text)}:
                self._pass_on(Message(BINARY, base64.b64decode(text)))
            case {"close": [int(code), str(reason)]}:
                self.end(Close(code, reason, abnormal=code in _GOING_AWAY))
            case _:
                raise BackendUnavailable("the application sent a line that is not in the protocol")

    def _pass_on(self, message: Message) -> None:
        if message.size <= self._max_size:
            self.receive(message)
        else:  # any other application would send the same
            reason = f"the application's message is longer than {self._max_size} bytes"
            self.end(Close(CloseCode.INTERNAL_ERROR, reason, abnormal=self._asked_to_close))


def _encoded(message: Message) -> dict[str, Any]:
    if message.kind is TEXT:
        return {"text": message.text}
    return {"base64": base64.b64encode(message.data).decode()}


def _is_backend_connection(connection: JsonLinesConnection) -> BackendConnection:
    return connection  # checked by the type checker
