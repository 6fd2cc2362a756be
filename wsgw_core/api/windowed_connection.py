"""A connection for brokers: many messages under way, acknowledged in their order."""

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
    """Has up to `window` messages of one session under way, without a task for the session.

    A subclass implements `write`, which gives one message to the client library and returns at
    once. When the broker has acknowledged messages, call `acknowledged` with the number of the
    last; `confirmed` where each is acknowledged on its own, in any order. `refused` says that the
    broker does not want a message. Replies come in by `receive`. `fail` and `end` report the end of
    the connection; SharedLink calls `fail` when the broker is lost.

    All of these are plain calls, from the loop's thread, that never call the Sink before they
    return: what they say reaches the session in the next turn of the loop, all at once.

    What is beyond the window waits here, and in the session's ledger anyway, which bounds it:
    `limits.ledger_bytes`. The client is not read while more than `limits.write_high_water` bytes
    wait.

    Args:
        session_id: of the request.
        sink: the session, as given to `Backend.connect`.
        context: the backend's.
        replies: shared by all connections of the backend; keeps what comes while this one is
            paused.
        window: messages under way at most.

    Attributes:
        session_id: see above.
        cause: why the core has closed it; None: it has not.
        on_over: called once with the connection when it has ended; SharedLink sets it.
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
        self.on_over: Callable[[Any], object] | None = None
        self._sink = sink
        self._clock = context.clock
        self._logger = context.logger
        self._limits = context.limits
        self._replies = replies
        self._window = window
        self._under_way: deque[int] = deque()  # numbers, as they were written
        self._waiting: deque[tuple[int, Message]] = deque()
        self._waiting_bytes = 0
        self._verdicts: dict[int, Close | None] = {}  # on messages whose turn has not come
        self._not_sent: set[int] = set()  # of those under way
        self._unsent = 0
        self._done = 0  # delivered, and not reported yet
        self._report_is_due = False
        self._writable = True
        self._blocked = False
        self._started = False
        self._flowing = False  # replies may be passed on
        self._closing: Close | None = None  # as the core wants it
        self._end: Close | None = None  # why it is over
        self._ended = False  # the session knows
        self._is_over = False  # nothing is held any more
        self._timer: TimerHandle | None = None

    @abstractmethod
    def write(self, number: int, message: Message) -> None:
        """Give one message to the broker, or to the library's buffer; called once for each.

        Args:
            number: of the message in its session: greater than all before. 0 for a hydration: it
                has none, and comes before all others.
            message: the message.

        Raises:
            BackendError: the broker is lost; the session moves, this message included. Anything
                else is logged as a fault, and the session moves too.
        """

    def release(self) -> None:  # noqa: B027 - optional to implement
        """Let go of what belongs to the connection; called once when it is over."""

    # What the subclass and the link call

    def acknowledged(self, up_to: int) -> None:
        """Note that the broker has all messages up to this number.

        Call it as often as you like, for each message or for many; what was acknowledged before is
        passed over.
        """
        under_way = self._under_way
        if not under_way or under_way[0] > up_to:
            return
        if self._verdicts:
            for number in takewhile(up_to.__ge__, under_way):
                self._verdicts.setdefault(number, None)
            self._apply_verdicts()
        else:
            before = len(under_way)
            while under_way and under_way[0] <= up_to:
                under_way.popleft()
            self._done += before - len(under_way)
        self._report_soon()

    def confirmed(self, number: int) -> None:
        """Note that the broker has this message; those before it may still be under way."""
        self._judge(number, None)

    def refused(self, number: int, close: Close | None = None) -> None:
        """Note that the broker does not want this message.

        It takes effect when all messages before it are acknowledged.

        Args:
            number: of the message.
            close: ends the connection. `Close(1011, reason)`: the session is over;
                `Close(1013, reason, abnormal=True)`: it moves, and another backend gets the
                message. None: the message is discarded, which counts as delivered.
        """
        self._judge(number, close)

    def not_sent(self, number: int) -> None:
        """Note that the broker cannot have seen a message, though it was written.

        Call it before the connection ends, and never for one that may have been sent.
        """
        self._not_sent.add(number)

    def receive(self, message: Message, receipt: Any = None) -> ReplyOutcome:
        """Pass on a reply, or keep it while the session takes none.

        Args:
            message: the reply.
            receipt: see ReplyBuffers.

        Returns:
            TAKEN; HELD: ReplyBuffers tells later what became of it; SLOW_CLIENT: there is no room,
            and the session is closed; UNKNOWN_SESSION: the client is gone, or the connection has
            ended, and the session may be served elsewhere: see BackendContext.deliver; TOO_LARGE.
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
        """Report the end of the connection; without effect after the end.

        Replies that wait are passed on first, and what was acknowledged is delivered. An end that
        crosses the core's `close` is abnormal while messages are under way.
        """
        if self._end is not None:
            return
        if self._closing is not None and (self._under_way or self._waiting):
            close = replace(close, abnormal=True)  # see Sink.closed
        self._end = close
        self._flowing = False
        self._unsent = self._count_unsent()
        self._waiting.clear()
        self._under_way.clear()
        self._verdicts.clear()
        self._waiting_bytes = 0
        if self._started or self._closing is not None:
            self._clock.call_soon(self._finish)
        else:
            self._let_go()  # nobody may ever start it

    def fail(self, reason: str) -> None:
        """Report that the broker is lost; the session moves, and no message is suspected."""
        self.end(Close(CloseCode.TRY_AGAIN_LATER, reason, abnormal=True))

    def block(self, blocked: bool) -> None:
        """Write nothing for now, or go on; see SharedLink.writable."""
        self._blocked = blocked
        if not blocked and self._waiting:
            self._report_soon()

    @property
    def unsent(self) -> int:
        """See NumberedConnection."""
        return self._unsent

    @property
    def held_bytes(self) -> int:
        """See HoldingConnection; what waits to be written is in the ledger, and counted there."""
        return self._replies.held_bytes(self)

    @property
    def is_in_a_message(self) -> bool:
        """See HoldingConnection; messages come whole."""
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
        if self._waiting or self._blocked or len(self._under_way) >= self._window:
            self._waiting.append((number, message))
            self._waiting_bytes += message.size
            if self._writable and self._waiting_bytes > self._limits.write_high_water:
                self._report_soon()
            return
        self._under_way.append(number)
        try:
            self.write(number, message)
        except Exception as error:  # noqa: BLE001 - an author's fault must not lose the session
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
        elif not (self._started and (self._under_way or self._waiting)):
            self.end(self._closing)
        else:
            self._timer = self._clock.call_later(self._limits.close_timeout, self._is_overdue)

    # Steps

    def _judge(self, number: int, close: Close | None) -> None:
        under_way = self._under_way
        if not under_way or not under_way[0] <= number <= under_way[-1]:
            return
        self._verdicts.setdefault(number, close)
        self._apply_verdicts()
        self._report_soon()

    def _apply_verdicts(self) -> None:
        """Act on the verdicts on the oldest messages under way."""
        under_way, verdicts = self._under_way, self._verdicts
        while under_way and under_way[0] in verdicts:
            close = verdicts.pop(under_way[0])
            if close is not None:
                self.end(close)
                return
            under_way.popleft()
            self._done += 1
        if not under_way:
            verdicts.clear()

    def _report_soon(self) -> None:
        if not self._report_is_due:
            self._report_is_due = True
            self._clock.call_soon(self._report)

    def _report(self) -> None:
        """Tell the session what has happened in this turn, and write what there is room for."""
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
        if self._closing is not None and not (self._under_way or self._waiting):
            self.end(self._closing)

    def _report_writable(self) -> None:
        high = self._limits.write_high_water
        bound = high if self._writable else high // 4
        if self._writable != (self._waiting_bytes <= bound):
            self._writable = not self._writable
            self._sink.writable(self._writable)

    def _write_on(self) -> None:
        waiting, under_way = self._waiting, self._under_way
        try:
            while waiting and not self._blocked and len(under_way) < self._window:
                number, message = waiting.popleft()
                self._waiting_bytes -= message.size
                under_way.append(number)
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
        """Return how many of the last messages the broker cannot have seen."""
        last = takewhile(self._not_sent.__contains__, reversed(self._under_way))
        numbers = (*last, *(number for number, _ in self._waiting))
        return sum(number > 0 for number in numbers)  # hydrations are not in the ledger

    def _is_overdue(self) -> None:
        self.end(Close(CloseCode.LOST, "closing took too long", abnormal=True))

    def _pass_replies_on(self) -> None:
        self._replies.pass_on(self, lambda: self._flowing, self._sink.message)

    def _finish(self) -> None:
        """Tell the session; the last thing that a connection does."""
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
