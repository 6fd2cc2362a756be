"""Event streams: answers that go on after a message is delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import aiohttp

from wsgw_core.api import BackendContext, Close, CloseCode, RareWarning

from .answers import pieces_of
from .event_parser import EventParser
from .exchange import Response
from .failures import BadAnswer
from .http_metrics import HttpMetrics
from .piece_turns import PieceTurns, Taker


class Listener(Taker, Protocol):
    """The connection for which a stream is read."""

    async def wait_for_room(self) -> None:
        """Wait until the client takes more."""
        ...

    def end(self, close: Close, /) -> None:
        """End the session."""
        ...


class EventStream:
    """Passes the events of one stream on, until it ends or is ended.

    Args:
        response: its headers have been read.
        listener: gets the messages.
        close: how the session ends with the stream, if it does.
        max_response: bytes of one event.
        turns: of the backend.
        on_over: called once.

    Attributes:
        task: reads the stream.
    """

    __slots__ = (
        "_close",
        "_listener",
        "_on_over",
        "_parser",
        "_response",
        "_turns",
        "_warn",
        "task",
    )

    def __init__(
        self,
        response: Response,
        listener: Listener,
        close: Close | None,
        max_response: int,
        turns: PieceTurns,
        warn: RareWarning,
        on_over: Callable[[EventStream], None],
    ) -> None:
        self._response = response
        self._listener = listener
        self._close = close
        self._parser = EventParser(max_response)
        self._turns = turns
        self._warn = warn
        self._on_over = on_over
        self.task = asyncio.get_running_loop().create_task(self._run())
        self.task.add_done_callback(self._is_over)

    def end(self) -> None:
        """Close the stream; what has not been read is lost."""
        self.task.cancel()

    async def _run(self) -> None:
        try:
            await self._turns.pass_on(
                pieces_of(self._response),
                self._parser.feed,
                self._listener,
                self._listener.wait_for_room,
                self._parser.most,
            )
        except asyncio.CancelledError:
            return  # as a cancelled task, it would keep what it has read
        except (aiohttp.ClientError, OSError):
            pass  # the stream breaks off: so it has ended
        except BadAnswer as error:
            self._warn("a session is closed with 1011, in an event stream: %s", error)
            self._listener.end(
                Close(CloseCode.INTERNAL_ERROR, "an event of the application is unusable")
            )
        if self._close is not None:
            self._listener.end(self._close)

    def _is_over(self, task: asyncio.Task[None]) -> None:
        self._response.close()
        self._on_over(self)
        if not task.cancelled() and task.exception() is not None:
            self._warn("an event stream failed", exc_info=task.exception())
            self._listener.end(Close(CloseCode.INTERNAL_ERROR, "internal error"))


class EventStreams:
    """The event streams of all sessions of one backend.

    Args:
        most: streams at a time; one more ends the oldest.
        context: the backend's.
        max_response: bytes of one event.
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
        context.metrics.gauge("streams", "Event streams under way.", lambda: len(self._open))

    def open(
        self,
        response: Response,
        listener: Listener,
        close: Close | None,
        on_over: Callable[[EventStream], None],
    ) -> EventStream:
        """Read a stream from now on; see EventStream."""
        if len(self._open) >= self._most:
            self.evict(next(iter(self._open)))
            self._warn("an event stream was ended: there are %d, see max-connections", self._most)

        def is_over(stream: EventStream) -> None:
            self._open.pop(stream, None)
            on_over(stream)

        stream = EventStream(
            response, listener, close, self._max_response, self._turns, self._warn, is_over
        )
        self._open[stream] = None
        self._tasks.add(stream.task)
        stream.task.add_done_callback(self._tasks.discard)
        return stream

    def evict(self, stream: EventStream) -> None:
        """End a stream to make room for another."""
        self._metrics.streams_ended.value += 1
        self._open.pop(stream, None)
        stream.end()

    async def close(self) -> None:
        """Wait until the streams, which have been ended, are over."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
