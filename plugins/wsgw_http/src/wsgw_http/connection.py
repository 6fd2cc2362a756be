"""One session's messages to its application, and the replies."""

from __future__ import annotations

import asyncio
import re
from functools import partial

from wsgw_core.api import (
    BackendConnection,
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

_LINE_END = re.compile(r"[\r\n\0]")  # no parser should let one through


class Shared:
    """What all connections of one backend use.

    Args:
        settings, context: the backend's.
        deliveries: has messages answered.
        streams: reads event streams.
        metrics: of the backend.

    Attributes:
        replies: what waits for slow clients.
        cancelled: tasks that have still to end.
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
        # Above the first, no further message is sent: what is answered meanwhile has room.
        self.high_water = context.limits.write_high_water
        most = self.high_water + (settings.concurrency + 1) * deliveries.max_response
        self.replies: ReplyBuffers[HttpConnection] = ReplyBuffers(
            context, max(most, 1024 * 1024), passed_on=HttpConnection.reply_passed_on
        )

    def cancel(self, task: asyncio.Task[None]) -> None:
        """End a task; the backend waits for its end."""
        task.cancel()
        self.cancelled.add(task)
        task.add_done_callback(self.cancelled.discard)

    def take_over(self, record: SessionRecord, state: str | None) -> None:
        """Note that this backend serves a session from now on.

        Args:
            record: of the session.
            state: from the answer to the connect event; see Verdict.
        """
        record.served_by = self
        self.keep_state(record, state)

    def keep_state(self, record: SessionRecord, state: str | None) -> None:
        """Keep what the application wants to be told with the session's next requests."""
        if state is None or not self.state_bytes:
            return
        fits = len(state.encode(errors="surrogateescape")) <= self.state_bytes
        if fits and _LINE_END.search(state) is None:
            record.state = state
        else:
            self.metrics.states_ignored.value += 1


class HttpConnection(WindowedConnection):
    """Has each message sent by a task of its own, and puts what comes of it into their order.

    Args:
        shared: of the backend.
        request: the dial.
        sink: the session.
        record: of the session.
        target: where messages go.
        headers: makes those of the requests.
        introduction: what the application said to the session.

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
        self._answered_bytes = 0  # of replies whose turn has not come
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._streams: list[EventStream] = []
        self._is_paused = False
        self._is_closing = False
        self._is_ending = False
        self._is_full = False
        self._holds = 0  # reasons not to send further messages
        self._room: asyncio.Event | None = None  # while somebody waits for it
        self._number = record.introductions - 1  # among the session's connect events
        self._first_state, self._first_stream = introduction.state, introduction.stream
        if introduction.reply is not None:
            self.receive(introduction.reply, self)

    def start(self) -> None:
        """See BackendConnection."""
        # not before: a planned move can be called off after its connect event
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
        self.block(False)  # what was sent before is delivered, whatever the client takes
        self._look_for_room()

    @property
    def held_bytes(self) -> int:
        """See HoldingConnection."""
        return super().held_bytes + self._answered_bytes

    # What deliveries and streams call

    @property
    def has_room(self) -> bool:
        """Whether the client takes more now; one that is to go needs to take nothing."""
        return self._is_closing or not (self._is_paused or super().held_bytes)

    async def wait_for_room(self) -> None:
        """Return when the client takes more."""
        while not self.has_room:
            if self._room is None:
                self._room = asyncio.Event()
            await self._room.wait()

    async def wait_for_turn(self, turn: int) -> None:
        """Return when all messages before this one are answered."""
        await self._order.wait_for(turn)

    def pass_on(self, message: Message) -> None:
        """Send the client a reply."""
        outcome = self.receive(message, self)
        if outcome is not ReplyOutcome.HELD or self._is_full:
            return
        if super().held_bytes > self._shared.high_water:
            self._is_full = True
            self.hold_others(True)

    def reply_passed_on(self) -> None:
        """Note that the client has taken a reply that waited."""
        if self._is_full and super().held_bytes <= self._shared.high_water // 4:
            self._is_full = False
            self.hold_others(False)
        self._look_for_room()

    def hold_others(self, hold: bool, /) -> None:
        """Send no further messages, or go on."""
        self._holds += 1 if hold else -1
        self.block(self._holds > 0 and not self._is_closing)

    # Steps

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
            return  # as a cancelled task, it would keep the message and what has come of its answer
        except Exception:
            self._shared.context.logger.exception("a message could not be delivered")
            verdict = Verdict(failure=Close(CloseCode.INTERNAL_ERROR, "internal error"))
        self._tasks.pop(turn, None)
        self._answered_bytes += verdict.reply.size if verdict.reply is not None else 0
        self._order.finish(turn, partial(self._conclude, number, verdict))

    def _conclude(self, number: int, verdict: Verdict) -> None:
        """Act on what has become of a message, now that its turn has come."""
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
        stream = shared.streams.open(response, self, close, self._forget_stream)
        self._streams.append(stream)

    def _forget_stream(self, stream: EventStream) -> None:
        if stream in self._streams:  # not evicted
            self._streams.remove(stream)

    def _look_for_room(self) -> None:
        if self._room is not None and self.has_room:
            room, self._room = self._room, None
            room.set()


def _is_backend_connection(connection: HttpConnection) -> BackendConnection:
    return connection  # checked by the type checker
