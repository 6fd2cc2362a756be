"""Event streams: answers that continue after their message is delivered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp

from wsgw_core.api import BackendContext, Close, CloseCode, RareWarning

from .answers import pieces_of
from .event_parser import EventParser
from .exchange import Response
from .failures import BadAnswer
from .http_metrics import HttpMetrics
from .piece_turns import PieceTurns

if TYPE_CHECKING:
    from .connection import HttpConnection


class EventStream:
    """Passes on the events of one stream until it ends or wsgw ends it.

    Args:
        streams: the backend's.
        response: the answer, of which only the head has been read.
        receiver: gets the messages, and hears of the end of the stream.
        close: how the session ends at the end of the stream; None: it does not.

    Attributes:
        task: the task that reads the stream.
    """

    __slots__ = ("_close", "_parser", "_receiver", "_response", "_streams", "task")

    def __init__(
        self,
        streams: EventStreams,
        response: Response,
        receiver: HttpConnection,
        close: Close | None,
    ) -> None:
        self._streams = streams
        self._response = response
        self._receiver = receiver
        self._close = close
        self._parser = EventParser(streams.max_response)
        self.task = asyncio.get_running_loop().create_task(self._run())
        self.task.add_done_callback(self._is_over)

    def end(self) -> None:
        """Closes the stream; unread events are lost."""
        self.task.cancel()

    async def _run(self) -> None:
        try:
            await self._streams.turns.pass_on(
                pieces_of(self._response),
                self._parser.feed,
                self._receiver,
                self._receiver.wait_for_room,
                self._parser.most,
            )
        except asyncio.CancelledError:
            return  # a cancelled task would keep its last piece in memory
        except (aiohttp.ClientError, OSError):
            pass  # a stream that breaks off has ended
        except BadAnswer as error:
            self._streams.warn(
                "a session is closed with 1011; its event stream is unusable: %s", error
            )
            self._receiver.end(
                Close(CloseCode.INTERNAL_ERROR, "the application sent an unusable event")
            )
        if self._close is not None:
            self._receiver.end(self._close)

    def _is_over(self, task: asyncio.Task[None]) -> None:
        self._response.close()
        self._streams.forget(self)
        self._receiver.forget_stream(self)
        if not task.cancelled() and task.exception() is not None:
            self._streams.warn("an event stream failed", exc_info=task.exception())
            self._receiver.end(Close(CloseCode.INTERNAL_ERROR, "internal error"))


class EventStreams:
    """The event streams of all sessions of one backend.

    Args:
        most: maximum number of open streams; one more ends the oldest.
        context: the backend's.
        max_response: maximum bytes of one event.
        metrics: of the backend.

    Attributes:
        max_response: see above.
        turns, warn: shared by the streams.
    """

    def __init__(
        self, most: int, context: BackendContext, max_response: int, metrics: HttpMetrics
    ) -> None:
        self._most = most
        self.max_response = max_response
        self._metrics = metrics
        self.turns = PieceTurns(context)
        self.warn = RareWarning(context.logger)
        self._open: dict[EventStream, None] = {}  # the oldest first
        self._tasks: set[asyncio.Task[None]] = set()
        context.metrics.gauge("streams", "Open event streams.", lambda: len(self._open))

    def open(
        self, response: Response, receiver: HttpConnection, close: Close | None
    ) -> EventStream:
        """Starts to read a stream; see EventStream for the arguments."""
        if len(self._open) >= self._most:
            self.evict(next(iter(self._open)))
            self.warn(
                "the oldest event stream was ended because %d are open; see 'max-connections'",
                self._most,
            )

        stream = EventStream(self, response, receiver, close)
        self._open[stream] = None
        self._tasks.add(stream.task)
        stream.task.add_done_callback(self._tasks.discard)
        return stream

    def evict(self, stream: EventStream) -> None:
        """Ends a stream to make room for another."""
        self._metrics.streams_ended.value += 1
        self.forget(stream)
        stream.end()

    def forget(self, stream: EventStream) -> None:
        """Records that a stream is over, or about to be."""
        self._open.pop(stream, None)

    async def close(self) -> None:
        """Waits for the end of streams that are already ending."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
