"""A connection for brokers: many messages in flight, acknowledged in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from asyncio import TimerHandle
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from itertools import takewhile
from typing import Any

from .backend import BackendContext, Headers, Sink
from .backend_control import ReplyOutcome
from .close import Close, CloseCause
from .close_codes import CloseCode
from .errors import BackendError
from .message import Message
from .reply_buffers import ReplyBuffers


class WindowedConnection(ABC):
    """A connection with up to `window` messages in flight, without a task for each session.

    A subclass implements `write`, which gives one message to the client library and returns at
    once. When the broker has acknowledged messages, call `acknowledged` with the number of the last
    one, or `confirmed` for each if the broker acknowledges them one by one, in any order. Call
    `refused` if the broker refuses a message, `receive` for each reply, and `end` or `fail` when
    the connection ends. SharedLink calls `fail` when the broker is lost.

    All of these are plain calls on the loop's thread. They do not call the Sink before they return;
    the session gets all reports together in the next turn of the loop.

    Messages beyond the window wait here. They are in the session's ledger too, whose limit
    `limits.ledger_bytes` applies. While more than `limits.write_high_water` bytes wait, wsgw does
    not read the client.

    Args:
        session_id: the session's id, from the request.
        sink: the sink that `Backend.connect` got.
        context: the backend's context.
        replies: buffers the replies that come while the connection is paused; all connections of
            the backend share it.
        window: the maximum number of messages in flight.

    Attributes:
        session_id: see above.
        cause: why the core closed the connection; None: it has not.
        on_over: called once with the connection when it has ended; SharedLink sets it.
        unsent: see NumberedConnection.
    """

    subprotocol: str | None = None
    headers: Headers = ()

    def __init__(
        self,
        session_id: str,
        sink: Sink,
        context: BackendContext,
        replies: ReplyBuffers[Any],
        *,
        window: int = 256,
    ) -> None:
        self.session_id = session_id
        self.cause: CloseCause | None = None
        self.unsent = 0
        self.on_over: Callable[[Any], object] | None = None
        self._sink = sink
        self._clock = context.clock
        self._logger = context.logger
        self._limits = context.limits
        self._replies = replies
        self._window = window
        self._in_flight: deque[int] = deque()  # numbers, in the order of `write`
        self._waiting: deque[tuple[int, Message]] = deque()
        self._waiting_bytes = 0
        self._verdicts: dict[int, Close | None] = {}  # on messages that are not the oldest
        self._not_sent: set[int] = set()  # of those in flight
        self._done = 0  # delivered, and not reported yet
        self._report_is_due = False
        self._writable = True
        self._blocked = False
        self._started = False
        self._flowing = False  # replies may be passed on
        self._closing: Close | None = None  # the core's close
        self._end: Close | None = None  # how it ended
        self._ended = False  # the session knows
        self._is_over = False  # all resources are released
        self._timer: TimerHandle | None = None

    @abstractmethod
    def write(self, number: int, message: Message) -> None:
        """Gives one message to the broker, or to the library's buffer; called once for each.

        Args:
            number: the message's number in its session, greater than all before. 0 for a hydration,
                which has no number and comes before all other messages.
            message: the message.

        Raises:
            BackendError: the broker is lost; the session moves and sends this message again. Any
                other exception is logged as a fault, and the session moves too.
        """

    def release(self) -> None:  # noqa: B027 - optional to implement
        """Releases what belongs to the connection; called once when it is over."""

    # What the subclass and the link call

    def acknowledged(self, up_to: int) -> None:
        """Records that the broker has all messages up to this number.

        Call it for each message or for many at once. Repeated calls have no effect.
        """
        in_flight = self._in_flight
        if not in_flight or in_flight[0] > up_to:
            return
        if self._verdicts:
            for number in takewhile(up_to.__ge__, in_flight):
                self._verdicts.setdefault(number, None)
            self._apply_verdicts()
        else:
            before = len(in_flight)
            while in_flight and in_flight[0] <= up_to:
                in_flight.popleft()
            self._done += before - len(in_flight)
        self._report_soon()

    def confirmed(self, number: int) -> None:
        """Records that the broker has this message; earlier ones may still be in flight."""
        self._judge(number, None)

    def refused(self, number: int, close: Close | None = None) -> None:
        """Records that the broker refuses this message.

        This takes effect when all messages before it are acknowledged.

        Args:
            number: the message's number.
            close: how to end the connection. `Close(1011, reason)`: the session ends.
                `Close(1013, reason, abnormal=True)`: the session moves, and another backend gets
                the message. None: the message is discarded and counts as delivered.
        """
        self._judge(number, close)

    def not_sent(self, number: int) -> None:
        """Records that the broker cannot have seen a message that was written.

        Call it before the connection ends, and never for a message that may have been sent.
        """
        self._not_sent.add(number)

    def receive(self, message: Message, receipt: Any = None) -> ReplyOutcome:
        """Passes a reply on to the session, or buffers it while the session takes none.

        Args:
            message: the reply.
            receipt: see ReplyBuffers.

        Returns:
            TAKEN; HELD: ReplyBuffers reports the outcome later; SLOW_CLIENT: there is no room, and
            the session is closed; UNKNOWN_SESSION: the client is gone, or the connection has ended
            and another backend may serve the session, see BackendContext.deliver; TOO_LARGE.
        """
        if message.size > self._limits.max_message_size:
            return ReplyOutcome.TOO_LARGE
        if self._flowing and self not in self._replies:
            taken = self._sink.message(message)
            return ReplyOutcome.TAKEN if taken else ReplyOutcome.UNKNOWN_SESSION
        if self._end is not None:
            return ReplyOutcome.UNKNOWN_SESSION
        return self._replies.hold(self, message, receipt)

    def end(self, close: Close) -> None:
        """Reports the end of the connection; without effect after the end.

        The session first gets the replies that wait and the reports of delivery. If the end crosses
        the core's `close` while messages are in flight, it is abnormal.

        Args:
            close: how the connection ended.
        """
        if self._end is not None:
            return
        if self._closing is not None and (self._in_flight or self._waiting):
            close = replace(close, abnormal=True)  # see Sink.closed
        self._end = close
        self._flowing = False
        self.unsent = self._count_unsent()
        self._waiting.clear()
        self._in_flight.clear()
        self._verdicts.clear()
        self._waiting_bytes = 0
        if self._started or self._closing is not None:
            self._clock.call_soon(self._finish)
        else:
            self._let_go()  # the core may never start it

    def fail(self, reason: str) -> None:
        """Reports that the broker is lost: the session moves, and no message is suspected."""
        self.end(Close(CloseCode.TRY_AGAIN_LATER, reason, abnormal=True))

    def block(self, blocked: bool) -> None:
        """Stops or resumes writing; SharedLink calls it, see `SharedLink.writable`."""
        self._blocked = blocked
        if not blocked and self._waiting:
            self._report_soon()

    @property
    def held_bytes(self) -> int:
        """See HoldingConnection; the ledger counts the messages that wait to be written."""
        return self._replies.held_bytes(self)

    @property
    def is_in_a_message(self) -> bool:
        """See HoldingConnection; always false, since messages come whole."""
        return False

    # What the core calls

    def start(self) -> None:
        """See BackendConnection."""
        self._started = True
        if self._end is not None:
            self._clock.call_soon(self._finish)
        else:
            self.resume()

    def send(self, message: Message, /) -> None:
        """See BackendConnection; for hydrations only."""
        self.send_numbered(message, 0)

    def send_numbered(self, message: Message, number: int, /) -> None:
        """See NumberedConnection."""
        if self._end is not None or self._closing is not None:
            return
        if self._waiting or self._blocked or len(self._in_flight) >= self._window:
            self._waiting.append((number, message))
            self._waiting_bytes += message.size
            if self._writable and self._waiting_bytes > self._limits.write_high_water:
                self._report_soon()
            return
        self._in_flight.append(number)
        try:
            self.write(number, message)
        except Exception as error:  # noqa: BLE001 - a fault of the plugin must not lose the session
            self._fail_because_of(error)

    def pause(self) -> None:
        """See BackendConnection."""
        self._flowing = False

    def resume(self) -> None:
        """See BackendConnection."""
        if self._started and self._end is None:
            self._flowing = True
            if self in self._replies:
                self._clock.call_soon(self._pass_replies_on)

    def close(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> None:
        """See BackendConnection."""
        if self._closing is not None or self._ended:
            return
        self._closing = Close(code, reason)
        self.cause = cause
        if self._end is not None:  # before the start
            self._clock.call_soon(self._finish)
        elif not (self._started and (self._in_flight or self._waiting)):
            self.end(self._closing)
        else:
            self._timer = self._clock.call_later(self._limits.close_timeout, self._is_overdue)

    # Steps

    def _judge(self, number: int, close: Close | None) -> None:
        in_flight = self._in_flight
        if not in_flight or not in_flight[0] <= number <= in_flight[-1]:
            return
        self._verdicts.setdefault(number, close)
        self._apply_verdicts()
        self._report_soon()

    def _apply_verdicts(self) -> None:
        """Applies the verdicts on the oldest messages in flight."""
        in_flight, verdicts = self._in_flight, self._verdicts
        while in_flight and in_flight[0] in verdicts:
            close = verdicts.pop(in_flight[0])
            if close is not None:
                self.end(close)
                return
            in_flight.popleft()
            self._done += 1
        if not in_flight:
            verdicts.clear()

    def _report_soon(self) -> None:
        if not self._report_is_due:
            self._report_is_due = True
            self._clock.call_soon(self._report)

    def _report(self) -> None:
        """Reports this turn's events to the session, and writes what the window has room for."""
        self._report_is_due = False
        if self._ended or not self._started:
            return
        done, self._done = self._done, 0
        if done:
            self._sink.delivered(done)
        if self._waiting:
            self._write_on()
        if self._end is None:
            self._report_writable()
        if self._closing is not None and not (self._in_flight or self._waiting):
            self.end(self._closing)

    def _report_writable(self) -> None:
        high = self._limits.write_high_water
        bound = high if self._writable else high // 4
        if self._writable != (self._waiting_bytes <= bound):
            self._writable = not self._writable
            self._sink.writable(self._writable)

    def _write_on(self) -> None:
        waiting, in_flight = self._waiting, self._in_flight
        try:
            while waiting and not self._blocked and len(in_flight) < self._window:
                number, message = waiting.popleft()
                self._waiting_bytes -= message.size
                in_flight.append(number)
                self.write(number, message)
        except Exception as error:  # noqa: BLE001 - as in `send_numbered`
            self._fail_because_of(error)

    def _fail_because_of(self, error: Exception) -> None:
        if isinstance(error, BackendError):
            self.fail(str(error))
        else:
            self._logger.error("%s failed", type(self).__name__, exc_info=error)
            self.end(Close(CloseCode.LOST, f"{type(error).__name__}: {error}", abnormal=True))

    def _count_unsent(self) -> int:
        """Returns how many of the last messages the broker cannot have seen."""
        last = takewhile(self._not_sent.__contains__, reversed(self._in_flight))
        numbers = (*last, *(number for number, _ in self._waiting))
        return sum(number > 0 for number in numbers)  # the ledger has no hydrations

    def _is_overdue(self) -> None:
        self.end(Close(CloseCode.LOST, "close timed out", abnormal=True))

    def _pass_replies_on(self) -> None:
        self._replies.pass_on(self, lambda: self._flowing, self._sink.message)

    def _finish(self) -> None:
        """Reports the end to the session; the last step of a connection."""
        if self._ended:
            return
        if self._started:
            done, self._done = self._done, 0
            if done:
                self._sink.delivered(done)
            self._replies.pass_on(self, lambda: True, self._sink.message)
        self._ended = True
        self._let_go()
        assert self._end is not None  # noqa: S101 - for the type checker
        self._sink.closed(self._end)

    def _let_go(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._replies.give_back(self)
        if self._timer is not None:
            self._timer.cancel()
        if self.on_over is not None:
            self.on_over(self)
        try:
            self.release()
        except Exception:
            self._logger.exception("%s failed to release what it holds", type(self).__name__)
