"""A connection whose author writes `async def transmit(message)`."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import replace

from .backend import BackendContext, Headers, Sink
from .close import Close, CloseCause
from .close_codes import CloseCode
from .errors import BackendError
from .message import Message


class OrderedConnection(ABC):
    """A connection that runs one task for its session and transmits one message after another.

    A subclass implements `transmit` and, if necessary, `finish`. It calls `receive` with each
    message from the backend, `end` when the backend closes, and `fail` when it notices a loss. The
    message counts as delivered when `transmit` returns, so `transmit` must not return before the
    backend has the message.

    Both directions are bounded. The session's ledger limits the messages that wait for `transmit`.
    Await `ready` before each read from the backend, so that a slow client slows its backend down; a
    connection that holds more than `limits.ledger_bytes` of received messages fails.

    Args:
        sink: the sink that `Backend.connect` got.
        context: the backend's context; its limits apply.

    Attributes:
        cause: why the core closed the connection; None: it has not.
    """

    subprotocol: str | None = None
    headers: Headers = ()

    def __init__(self, sink: Sink, context: BackendContext) -> None:
        self._sink = sink
        self._limits = context.limits
        self._clock = context.clock
        self._logger = context.logger
        self._outgoing: deque[Message] = deque()
        self._outgoing_bytes = 0
        self._undelivered = 0  # messages, the one that is being transmitted included
        self._incoming: deque[Message] = deque()
        self._incoming_weight = 0
        self._ready = asyncio.Event()
        self._wake = asyncio.Event()
        self.cause: CloseCause | None = None
        self._close: Close | None = None  # why the connection ends; the first reason counts
        self._task: asyncio.Task[None] | None = None
        self._transmitting: asyncio.Timeout | None = None
        self._deadline: float | None = None
        self._writable = True
        self._started = False
        self._paused = False
        self._lost = False  # the backend ended it: nothing is transmitted any more
        self._ended = False  # the session knows

    @abstractmethod
    async def transmit(self, message: Message) -> None:
        """Gives one message to the backend; returns when the backend has it.

        Called for each message, in order. It is cancelled if the connection ends first, or if
        closing takes too long.

        Raises:
            BackendError: the backend is lost; the session moves and sends this message again.
        """

    async def finish(self, close: Close) -> None:  # noqa: B027 - optional to implement
        """Closes the connection to the backend and releases its resources; after all messages.

        Called once, whichever side ended the connection. `limits.close_timeout` limits it together
        with the messages that still had to be transmitted.

        Args:
            close: how the connection ends.
        """

    def receive(self, message: Message) -> bool:
        """Passes a message from the backend on to the session, or keeps it until `ready`.

        Returns:
            False if the client is gone or the connection has ended.
        """
        if self._ended or self._lost:
            return False
        if not (self._paused or not self._started or self._incoming):
            return self._sink.message(message)
        self._incoming.append(message)
        self._incoming_weight += message.size + self._limits.message_share
        if self._incoming_weight > self._limits.ledger_bytes + self._limits.max_message_size:
            self._logger.error("%s does not wait until it is ready", type(self).__name__)
            self.fail("more was received than its session takes")
        return True

    async def ready(self) -> None:
        """Waits until the session takes messages, or the connection has ended.

        Await it before each read from the backend.
        """
        while self._close is None and not self._ended and not self._is_ready:
            self._ready.clear()
            await self._ready.wait()

    @property
    def _is_ready(self) -> bool:
        return self._started and not self._paused and not self._incoming

    @property
    def held_bytes(self) -> int:
        """See HoldingConnection."""
        outgoing = self._outgoing_bytes if self._close is not None else 0
        return outgoing + self._incoming_weight

    @property
    def is_in_a_message(self) -> bool:
        """See HoldingConnection; always false, since messages come whole."""
        return False

    def end(self, close: Close) -> None:
        """Reports that the backend ended the connection; without effect after the end.

        The session gets this report after all received messages, and not before `start`. If the end
        crosses the core's `close` while messages are still to be transmitted, it is abnormal.

        Args:
            close: how the connection ended.
        """
        if self._ended or self._lost:
            return
        if self.cause is not None and self._undelivered:
            close = replace(close, abnormal=True)  # see Sink.closed
        self._lost = True
        self._close = close
        self._ready.set()
        if self._started:
            self._report_end()
            self._limit(0)

    def fail(self, reason: str) -> None:
        """Reports that the backend is lost; without effect after the end."""
        self.end(Close(CloseCode.LOST, reason, abnormal=True))

    # What the core calls

    def start(self) -> None:
        """See BackendConnection."""
        self._started = True
        self._run_once()
        self._clock.call_soon(self._pass_on_incoming)
        self._clock.call_soon(self._report_writable)

    def send(self, message: Message, /) -> None:
        """See BackendConnection."""
        if self._close is not None:
            return
        self._outgoing.append(message)
        self._outgoing_bytes += message.size
        self._undelivered += 1
        if self._writable and self._outgoing_bytes > self._limits.write_high_water:
            self._clock.call_soon(self._report_writable)
        self._wake.set()

    def pause(self) -> None:
        """See BackendConnection."""
        self._paused = self._close is None  # a closing connection reads to its end

    def resume(self) -> None:
        """See BackendConnection."""
        self._paused = False
        self._clock.call_soon(self._pass_on_incoming)

    def close(
        self, code: int, reason: str = "", cause: CloseCause = CloseCause.SESSION_ENDED
    ) -> None:
        """See BackendConnection."""
        if self._close is None:
            self.cause = cause
            self._close = Close(code, reason)
            self._limit(self._limits.close_timeout)
            self._wake.set()
            self._ready.set()
            self.resume()  # an acknowledgement may come behind the messages to be read
        self._run_once()  # a connection that was never started has something to release, too

    # The task

    def _run_once(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            await self._transmit_bounded()
        except Exception as error:  # noqa: BLE001 - a fault of the plugin must not lose the session
            self._fail_because_of(error)
        if self._lost:  # the time for closing begins now
            self._limit(self._limits.close_timeout)
        try:
            async with asyncio.timeout_at(self._deadline):
                await self.finish(self._close or Close(CloseCode.LOST, abnormal=True))
        except Exception as error:  # noqa: BLE001 - as above
            self._fail_because_of(error)
        self._report_end()

    async def _transmit_bounded(self) -> None:
        try:
            async with asyncio.timeout_at(self._deadline) as self._transmitting:
                await self._transmit_in_order()
        finally:
            self._transmitting = None

    async def _transmit_in_order(self) -> None:
        while not self._lost:
            if self._outgoing:
                message = self._outgoing.popleft()
                await self.transmit(message)
                if self._ended:
                    return
                self._outgoing_bytes -= message.size
                self._undelivered -= 1
                if self._started:
                    self._sink.delivered(1)
                    self._report_writable()
            elif self._close is not None:
                return
            else:
                self._wake.clear()
                await self._wake.wait()

    def _limit(self, seconds: float) -> None:
        self._deadline = asyncio.get_running_loop().time() + seconds
        if self._transmitting is not None and not self._transmitting.expired():
            self._transmitting.reschedule(self._deadline)

    def _fail_because_of(self, error: Exception) -> None:
        if isinstance(error, TimeoutError) and self._close is not None:
            self.fail("close timed out")  # or the end has interrupted `transmit`
        elif isinstance(error, BackendError):
            self.fail(str(error))
        else:
            self._logger.error("%s failed", type(self).__name__, exc_info=error)
            self.fail(f"{type(error).__name__}: {error}")

    def _report_end(self) -> None:
        if self._ended:
            return
        self._ready.set()
        self._ended = True  # first: the session may call back during the last messages
        if self._started:
            while self._incoming and self._sink.message(self._incoming.popleft()):
                pass
        self._incoming.clear()
        self._outgoing.clear()
        self._incoming_weight = self._outgoing_bytes = 0
        self._sink.closed(self._close or Close(CloseCode.LOST, abnormal=True))

    def _pass_on_incoming(self) -> None:
        while self._incoming and self._started and not self._paused and not self._ended:
            message = self._incoming.popleft()
            self._incoming_weight -= message.size + self._limits.message_share
            self._sink.message(message)
        if self._is_ready:
            self._ready.set()

    def _report_writable(self) -> None:
        if self._ended or not self._started:
            return
        high = self._limits.write_high_water
        bound = high if self._writable else high // 4
        if self._writable != (self._outgoing_bytes <= bound):
            self._writable = not self._writable
            self._sink.writable(self._writable)
