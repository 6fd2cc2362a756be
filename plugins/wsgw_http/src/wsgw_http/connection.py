"""One session's messages to its application, and the replies to it."""

from __future__ import annotations

import asyncio
import re
from functools import partial

from wsgw_core.api import (
    BackendContext,
    Close,
    CloseCause,
    CloseCode,
    DialRequest,
    Message,
    ReplyBuffers,
    ReplyOutcome,
    Sink,
    WindowedConnection,
)

from .answer_order import AnswerOrder
from .delivery import Deliveries, Outgoing
from .event_streams import EventStream, EventStreams
from .exchange import Response, Target
from .http_metrics import HttpMetrics
from .introduction import Introduction
from .request_headers import RequestHeaders
from .session_record import SessionRecord
from .settings import HttpSettings
from .verdict import Verdict

_LINE_END = re.compile(r"[\r\n\0]")  # parsers should reject these already


class Shared:
    """What all connections of one backend use.

    Args:
        settings, context: the backend's.
        deliveries: delivers messages.
        streams: reads event streams.
        metrics: of the backend.

    Attributes:
        replies: buffers for slow clients.
        cancelled: tasks that have not ended yet.
    """

    def __init__(
        self,
        settings: HttpSettings,
        context: BackendContext,
        deliveries: Deliveries,
        streams: EventStreams,
        metrics: HttpMetrics,
    ) -> None:
        self.context = context
        self.deliveries = deliveries
        self.streams = streams
        self.metrics = metrics
        self.concurrency = settings.concurrency
        self.max_streams = settings.max_streams
        self.state_bytes = settings.state_bytes
        self.cancelled: set[asyncio.Task[None]] = set()
        # Above this no further message is sent; the rest of `most` is for answers in flight.
        self.high_water = context.limits.write_high_water
        most = self.high_water + (settings.concurrency + 1) * deliveries.max_response
        self.replies: ReplyBuffers[HttpConnection] = ReplyBuffers(
            context, max(most, 1024 * 1024), passed_on=HttpConnection.reply_passed_on
        )

    def cancel(self, task: asyncio.Task[None]) -> None:
        """Cancels a task; the backend's `close` waits for its end."""
        task.cancel()
        self.cancelled.add(task)
        task.add_done_callback(self.cancelled.discard)

    def take_over(self, record: SessionRecord, state: str | None) -> None:
        """Records that this backend serves a session from now on.

        Args:
            record: of the session.
            state: from the answer to the connect event; see Verdict.
        """
        record.served_by = self
        self.keep_state(record, state)

    def keep_state(self, record: SessionRecord, state: str | None) -> None:
        """Keeps the state that wsgw sends with the session's next requests; None: no change."""
        if state is None or not self.state_bytes:
            return
        fits = len(state.encode(errors="surrogateescape")) <= self.state_bytes
        if fits and _LINE_END.search(state) is None:
            record.state = state
        else:
            self.metrics.states_ignored.value += 1


class HttpConnection(WindowedConnection):
    """Delivers each message in its own task, and handles the answers in order.

    Args:
        shared: of the backend.
        request: the dial.
        sink: the session.
        record: the session's.
        target: the URL for messages.
        headers: makes the headers of the requests.
        introduction: the answer to the connect event.

    Attributes:
        record: see above.
        delivered_is_answered: see BackendConnection.
    """

    delivered_is_answered = True

    def __init__(
        self,
        shared: Shared,
        request: DialRequest,
        sink: Sink,
        record: SessionRecord,
        target: Target,
        headers: RequestHeaders,
        introduction: Introduction,
    ) -> None:
        super().__init__(
            request.session_id, sink, shared.context, shared.replies, window=shared.concurrency
        )
        self.subprotocol = introduction.subprotocol
        self.headers = introduction.headers
        self._shared = shared
        self.record = record
        self._target = target
        self._request_headers = headers
        self._seen_up_to = request.seen_up_to
        self._order = AnswerOrder()
        self._answered_bytes = 0  # bytes of replies whose turn has not come
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._streams: list[EventStream] = []
        self._is_paused = False
        self._is_closing = False
        self._is_ending = False
        self._is_full = False
        self._blocks = 0  # how many reasons there are not to send further messages
        self._room: asyncio.Event | None = None  # set when the client takes more
        self._number = record.introductions - 1  # of this connection among those of the session
        self._first_state, self._first_stream = introduction.state, introduction.stream
        if introduction.reply is not None:
            self.receive(introduction.reply, self)

    def start(self) -> None:
        """See BackendConnection."""
        # not earlier: wsgw can call off a planned move after the connect event
        self._shared.take_over(self.record, self._first_state)
        super().start()
        first, self._first_stream = self._first_stream, None
        if first is not None:
            self._open_stream(first, None)

    def write(self, number: int, message: Message) -> None:
        """See WindowedConnection."""
        turn = self._order.begin()
        task = asyncio.get_running_loop().create_task(self._deliver(turn, number, message))
        self._tasks[turn] = task

    def release(self) -> None:
        """See WindowedConnection."""
        self._is_ending = True
        for task in self._tasks.values():
            self._shared.cancel(task)
        for stream in self._streams:
            stream.end()
        if self._first_stream is not None:
            self._first_stream.close()

    def end(self, close: Close) -> None:
        """See WindowedConnection."""
        self._is_ending = True
        super().end(close)

    def pause(self) -> None:
        """See BackendConnection."""
        super().pause()
        self._is_paused = True

    def resume(self) -> None:
        """See BackendConnection."""
        super().resume()
        self._is_paused = False
        self._look_for_room()

    def close(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> None:
        """See BackendConnection."""
        super().close(code, reason, cause)
        self._is_closing = True
        self.block(False)  # messages sent before are still delivered
        self._look_for_room()

    @property
    def held_bytes(self) -> int:
        """See HoldingConnection."""
        return super().held_bytes + self._answered_bytes

    # Called by deliveries and event streams

    @property
    def has_room(self) -> bool:
        """Whether the client takes more now; always true while the connection closes."""
        return self._is_closing or not (self._is_paused or super().held_bytes)

    async def wait_for_room(self) -> None:
        """Waits until the client takes more."""
        while not self.has_room:
            if self._room is None:
                self._room = asyncio.Event()
            await self._room.wait()

    async def wait_for_turn(self, turn: int) -> None:
        """Waits until all messages before this one are answered."""
        await self._order.wait_for(turn)

    def pass_on(self, message: Message) -> None:
        """Sends a reply to the client."""
        outcome = self.receive(message, self)
        if outcome is not ReplyOutcome.HELD or self._is_full:
            return
        if super().held_bytes > self._shared.high_water:
            self._is_full = True
            self.block_others(True)

    def reply_passed_on(self) -> None:
        """See ReplyBuffers: the client has taken a buffered reply."""
        if self._is_full and super().held_bytes <= self._shared.high_water // 4:
            self._is_full = False
            self.block_others(False)
        self._look_for_room()

    def block_others(self, is_blocked: bool, /) -> None:
        """Stops sending further messages of the session, or starts again; calls nest."""
        self._blocks += 1 if is_blocked else -1
        self.block(self._blocks > 0 and not self._is_closing)

    def forget_stream(self, stream: EventStream) -> None:
        """Records that a stream is over."""
        if stream in self._streams:  # not evicted
            self._streams.remove(stream)

    async def _deliver(self, turn: int, number: int, message: Message) -> None:
        record = self.record
        event_id = f"{record.session_id}-{number or f'c{self._number}-h{turn + 1}'}"
        outgoing = Outgoing(
            message,
            event_id,
            number,
            self._target,
            self._request_headers,
            number <= self._seen_up_to if number else False,
            turn,
            self,
        )
        try:
            verdict = await self._shared.deliveries.deliver(outgoing)
        except asyncio.CancelledError:
            return  # a cancelled task would keep the message and the answer in memory
        except Exception:
            self._shared.context.logger.exception("a message could not be delivered")
            verdict = Verdict(failure=Close(CloseCode.INTERNAL_ERROR, "internal error"))
        self._tasks.pop(turn, None)
        self._answered_bytes += verdict.reply.size if verdict.reply is not None else 0
        self._order.finish(turn, partial(self._conclude, number, verdict))

    def _conclude(self, number: int, verdict: Verdict) -> None:
        """Handles the verdict on a message when its turn has come."""
        if verdict.reply is not None:
            self._answered_bytes -= verdict.reply.size
            self.pass_on(verdict.reply)
        if self._is_ending:
            if verdict.stream is not None:
                verdict.stream.close()
        elif verdict.failure is not None:
            if not verdict.was_sent:
                self.not_sent(number)
            self.refused(number, verdict.failure)
        else:
            self._shared.keep_state(self.record, verdict.state)
            self.record.messages = max(self.record.messages, number)
            self.confirmed(number)
            if verdict.stream is not None:
                self._open_stream(verdict.stream, verdict.close)
            elif verdict.close is not None:
                self.end(verdict.close)

    def _open_stream(self, response: Response, close: Close | None) -> None:
        shared = self._shared
        if len(self._streams) >= shared.max_streams:
            shared.streams.evict(self._streams.pop(0))
        stream = shared.streams.open(response, self, close)
        self._streams.append(stream)

    def _look_for_room(self) -> None:
        if self._room is not None and self.has_room:
            room, self._room = self._room, None
            room.set()
