"""Event streams: answers that continue after their message is delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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
        response: the answer, of which only the head has been read.
        receiver: gets the messages.
        close: how the session ends at the end of the stream; None: it does not.
        max_response: maximum bytes of one event.
        turns: the backend's.
        warn: the backend's.
        on_over: called once, at the end of the stream.

    Attributes:
        task: the task that reads the stream.
    """

    __slots__ = (
        "_close",
        "_on_over",
        "_parser",
        "_receiver",
        "_response",
        "_turns",
        "_warn",
        "task",
    )

    def __init__(
        self,
        response: Response,
        receiver: HttpConnection,
        close: Close | None,
        max_response: int,
        turns: PieceTurns,
        warn: RareWarning,
        on_over: Callable[[EventStream], None],
    ) -> None:
        self._response = response
        self._receiver = receiver
        self._close = close
        self._parser = EventParser(max_response)
        self._turns = turns
        self._warn = warn
        self._on_over = on_over
        self.task = asyncio.get_running_loop().create_task(self._run())
        self.task.add_done_callback(self._is_over)

    def end(self) -> None:
        """Closes the stream; unread events are lost."""
        self.task.cancel()

    async def _run(self) -> None:
        try:
            await self._turns.pass_on(
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
            self._warn("a session is closed with 1011; its event stream is unusable: %s", error)
            self._receiver.end(
                Close(CloseCode.INTERNAL_ERROR, "the application sent an unusable event")
            )
        if self._close is not None:
            self._receiver.end(self._close)

    def _is_over(self, task: asyncio.Task[None]) -> None:
        self._response.close()
        self._on_over(self)
        if not task.cancelled() and task.exception() is not None:
            self._warn("an event stream failed", exc_info=task.exception())
            self._receiver.end(Close(CloseCode.INTERNAL_ERROR, "internal error"))


class EventStreams:
    """The event streams of all sessions of one backend.

    Args:
        most: maximum number of open streams; one more ends the oldest.
        context: the backend's.
        max_response: maximum bytes of one event.
        metrics: of the backend.
    """

    def __init__(
        self, most: int, context: BackendContext, max_response: int, metrics: HttpMetrics
    ) -> None:
        self._most = most
        self._max_response = max_response
        self._metrics = metrics
        self._turns = PieceTurns(context)
        self._warn = RareWarning(context.logger)
        self._open: dict[EventStream, None] = {}  # the oldest first
        self._tasks: set[asyncio.Task[None]] = set()
        context.metrics.gauge("streams", "Open event streams.", lambda: len(self._open))

    def open(
        self,
        response: Response,
        receiver: HttpConnection,
        close: Close | None,
        on_over: Callable[[EventStream], None],
    ) -> EventStream:
        """Starts to read a stream; see EventStream for the arguments."""
        if len(self._open) >= self._most:
            self.evict(next(iter(self._open)))
            self._warn(
                "the oldest event stream was ended because %d are open; see 'max-connections'",
                self._most,
            )

        def is_over(stream: EventStream) -> None:
            self._open.pop(stream, None)
            on_over(stream)

        stream = EventStream(
            response, receiver, close, self._max_response, self._turns, self._warn, is_over
        )
        self._open[stream] = None
        self._tasks.add(stream.task)
        stream.task.add_done_callback(self._tasks.discard)
        return stream

    def evict(self, stream: EventStream) -> None:
        """Ends a stream to make room for another."""
        self._metrics.streams_ended.value += 1
        self._open.pop(stream, None)
        stream.end()

    async def close(self) -> None:
        """Waits for the end of streams that are already ending."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
