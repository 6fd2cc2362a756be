"""Passes the messages of one direction through the session's valves."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ..api import CloseSession, Message
from .environment import RelayEnvironment

Outcome = Message | None


@dataclass(frozen=True, slots=True)
class ValveStep:
    """One valve's method for one direction.

    Attributes:
        kind: the valve's, for the log.
        call: `before_transmit` or `after_receive`.
        on_error: what a fault of the valve leads to.
    """

    kind: str
    call: Callable[[Message], Outcome | Awaitable[Outcome]]
    on_error: Literal["close", "discard"]


@dataclass(frozen=True, slots=True)
class ChainEnds:
    """What a chain is connected to.

    Attributes:
        target: where messages go that came through.
        close_session: called with code and reason when a valve ends the session.
        hold_source: called with True when too many messages wait, False when few do.
    """

    target: Callable[[Message], object]
    close_session: Callable[[int, str], None]
    hold_source: Callable[[bool], None]


class ValveChain:
    """The valves of one direction, in their order.

    Plain valves are called from where the message came. As soon as one of them is asynchronous,
    messages wait in a queue for the one task that takes them through, one after the other.

    Args:
        session_id: for the log.
        steps: at least one.
        ends: what the chain is connected to.
        environment: limits, counters, logger.

    Attributes:
        waiting_bytes: bytes of the messages in the queue.
    """

    def __init__(
        self,
        session_id: str,
        steps: Sequence[ValveStep],
        ends: ChainEnds,
        environment: RelayEnvironment,
    ) -> None:
        self._session_id = session_id
        self._steps = tuple(steps)
        self._ends = ends
        self._environment = environment
        self._is_async = any(inspect.iscoroutinefunction(step.call) for step in steps)
        self._queue: deque[tuple[Message, int] | Callable[[], None]] = deque()
        self._task: asyncio.Task[None] | None = None
        self.waiting_bytes = 0
        self._holding = False
        self._depth = 0
        self._deferred: deque[Callable[[], None]] = deque()
        self._stopped = False

    def feed(self, message: Message, start: int = 0) -> None:
        """Take a message through the valves from position `start` on."""
        if self._stopped:
            return
        if self._is_async:
            self.waiting_bytes += message.size
            self._enqueue((message, start))
            if not self._holding and self._has_reached(1):
                self._holding = True
                self._ends.hold_source(True)
            return
        if self._depth:  # injected by a valve: behind the message in hand
            self._deferred.append(lambda: self.feed(message, start))
            return
        self._depth += 1
        outcome: Outcome = message
        try:
            try:
                for step in self._steps[start:]:
                    outcome = step.call(message)  # type: ignore[assignment]  # none is asynchronous
                    if outcome is None:
                        self._environment.counters.valve_discards.value += 1
                        break
                    message = _checked(outcome)
            except Exception as error:  # noqa: BLE001 - its fault is told from its wish below
                self._failed(error, step)
                outcome = None
            if outcome is not None:
                self._ends.target(outcome)
        finally:
            self._depth -= 1
        if self._deferred:
            self._act_deferred()

    def after_current(self, action: Callable[[], None]) -> bool:
        """Have `action` called when the message in hand is through; False if there is none."""
        if not self._depth:
            return False
        self._deferred.append(action)
        return True

    def when_drained(self, action: Callable[[], None]) -> None:
        """Call `action` once all messages that wait now are through."""
        if self._task is None:
            action()
        else:
            self._enqueue(action)

    @property
    def waiting(self) -> int:
        """How many messages have come and are not through."""
        return sum(not callable(item) for item in self._queue) + bool(self._depth)

    def stop(self) -> None:
        """Drop what waits, and whatever still comes."""
        self._stopped = True
        self._queue.clear()
        self.waiting_bytes = 0
        self._deferred.clear()
        if self._task is not None and self._task is not _current_task():
            self._task.cancel()

    def _act_deferred(self) -> None:
        while self._deferred:
            self._deferred.popleft()()

    def _enqueue(self, item: tuple[Message, int] | Callable[[], None]) -> None:
        self._queue.append(item)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        try:
            while self._queue:
                item = self._queue.popleft()
                if callable(item):
                    item()
                else:
                    await self._take_through(*item)
                    self.waiting_bytes -= item[0].size
                if self._holding and not self._has_reached(0.5):
                    self._holding = False
                    self._ends.hold_source(False)
        except Exception:  # in what the chain is connected to: nobody else would hear of it
            self._environment.logger.exception("session %s: fault in the relay", self._session_id)
            self._ends.close_session(1011, "internal error")
        finally:
            self._task = None

    def _has_reached(self, part: float) -> bool:
        """Tell whether so much of what may wait does."""
        limits = self._environment.limits
        return (
            len(self._queue) >= limits.valve_queue * part
            or self.waiting_bytes >= limits.valve_queue_bytes * part
        )

    async def _take_through(self, message: Message, start: int) -> None:
        for step in self._steps[start:]:
            self._depth += 1
            try:
                async with asyncio.timeout(self._environment.limits.valve_timeout):
                    called = step.call(message)
                    outcome = await called if inspect.isawaitable(called) else called
                if outcome is not None:
                    _checked(outcome)
            except Exception as error:  # noqa: BLE001 - as in `feed`
                self._failed(error, step)
                break
            finally:
                self._depth -= 1
            if outcome is None:
                self._environment.counters.valve_discards.value += 1
                break
            message = outcome
        else:
            self._ends.target(message)
        self._act_deferred()

    def _failed(self, error: Exception, step: ValveStep) -> None:
        """Act on what a valve raised; the message is discarded."""
        if isinstance(error, CloseSession):
            code, reason = error.code, error.reason
            self._deferred.append(lambda: self._ends.close_session(code, reason))
            return
        self._environment.counters.valve_errors.value += 1
        self._environment.logger.error(
            "session %s: fault in valve %s: %r", self._session_id, step.kind, error, exc_info=error
        )
        if step.on_error == "close":
            self._deferred.append(lambda: self._ends.close_session(1011, "internal error"))


def _checked(outcome: object) -> Message:
    if not isinstance(outcome, Message):
        raise TypeError(f"a valve returned {type(outcome).__name__}, not a Message or None")
    return outcome


def _current_task() -> asyncio.Task[None] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
