"""Passes the messages of one direction through the session's valves."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from ...api import CloseSession, Message
from ...cancellation import is_cancelled
from ...websocket.session_ends import VALVE_FAILED
from ..all_sessions.session_context import SessionContext
from .made_messages import check_made
from .valve_worker import Begun, ValveWorker, begin

Outcome = Message | None


class _Swallowed(Exception):
    """Raised when the function of `look_in` has taken a message out of the chain."""


@dataclass(frozen=True, slots=True)
class ValveStep:
    """One valve's method for one direction.

    Attributes:
        kind: the valve's kind, for the log.
        call: `before_transmit` or `after_receive`.
        on_error: what a fault of the valve ends: the session, or only the message.
    """

    kind: str
    call: Callable[[Message], Outcome | Awaitable[Outcome]]
    on_error: Literal["close", "discard"]


@dataclass(frozen=True, slots=True)
class ChainEnds:
    """The functions that a chain calls.

    Attributes:
        target: takes the messages that have passed all valves.
        close_session: called with code and reason when a valve ends the session.
        pause_source: called with True when too many messages wait, with False when few do.
    """

    target: Callable[[Message], object]
    close_session: Callable[[int, str], None]
    pause_source: Callable[[bool], None]


class ValveChain:
    """Passes messages through the valves of one direction, in order.

    `feed` calls the valves directly, asynchronous ones too. Only when a valve has to wait does a
    task take over; messages that come meanwhile wait in a queue.

    Args:
        session_id: for the log.
        steps: at least one.
        ends: the functions that the chain calls.
        context: limits, counters, logger.

    Attributes:
        waiting_bytes: bytes of the messages that are in an asynchronous valve or wait for it.
    """

    __slots__ = (
        "_busy",
        "_context",
        "_deferred",
        "_ends",
        "_in_hand",
        "_in_step",
        "_is_acting",
        "_is_source_paused",
        "_queue",
        "_session_id",
        "_steps",
        "_stopped",
        "_target",
        "_unfinished",
        "_valves",
        "_worker",
        "waiting_bytes",
    )

    def __init__(
        self,
        session_id: str,
        steps: Sequence[ValveStep],
        ends: ChainEnds,
        context: SessionContext,
    ) -> None:
        self._session_id = session_id
        self._valves = tuple(steps)
        self._steps = self._valves  # with the function of `look_in`, if there is one
        self._ends = ends
        self._target = ends.target
        self._context = context
        self._in_hand = False  # a message is in the valves
        # For when it is through: injected messages, and actions
        self._deferred: deque[tuple[Message, int] | Callable[[], object]] = deque()
        self._is_acting = False  # takes the deferred ones in turn
        self._worker: ValveWorker | None = None
        self._busy = False  # the worker has the message in hand, and the queue
        self._in_step = False  # the worker is calling a valve
        self._queue: deque[tuple[Message, int] | Callable[[], object]] = deque()
        self.waiting_bytes = 0
        self._unfinished = 0  # messages that the worker has in the valves: 0 or 1
        self._is_source_paused = False
        self._stopped = False

    def feed(self, message: Message, start: int = 0) -> None:
        """Passes a message through the valves from position `start` on; called for each message."""
        if self._in_hand:
            self._put_behind(message, start)
            return
        self._in_hand = True
        through: Message | None = message
        try:
            for step in self._steps[start:] if start else self._steps:
                outcome = step.call(through)  # type: ignore[arg-type]  # None ends the loop
                if not isinstance(outcome, Message):
                    through = self._resolved(outcome, step, through)  # type: ignore[arg-type]  # as above
                    if through is None:
                        break
                elif outcome is not through:
                    check_made(outcome)
                    through = outcome
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - _failed tells them apart
            self._failed(error, step)
            through = None
        try:
            if through is not None:
                self._target(through)
        finally:
            self._in_hand = self._busy
        if self._deferred and not self._busy and not self._is_acting:
            self._act_deferred()

    def look_in(self, position: int, swallow: Callable[[Message], bool] | None) -> None:
        """Calls `swallow` with each message that reaches a position, until the next call of this.

        Args:
            position: of the valve before which the messages are; the number of valves stands for
                the end of the chain.
            swallow: returns whether it takes the message out of the chain. None: call nothing.
        """
        if self._stopped:
            return
        steps = list(self._valves)
        if swallow is not None:
            steps[position : position + 1] = [_looked_at(swallow, *steps[position : position + 1])]
        self._steps = tuple(steps)

    def after_current(self, action: Callable[[], object]) -> bool:
        """Calls `action` when the message in hand is through; False: there is none."""
        if not self._in_hand:
            return False
        self._deferred.append(action)
        return True

    def after_waiting(self, action: Callable[[], None]) -> None:
        """Calls `action` when all messages that wait now are through."""
        if self._busy:
            self._queue.append(action)
        else:
            action()

    @property
    def waiting(self) -> int:
        """How many messages have come and are not through yet."""
        in_hand = self._unfinished if self._busy else int(self._in_hand)
        return sum(not callable(item) for item in self._queue) + in_hand

    def stop(self) -> None:
        """Drops all messages that wait; messages that still come go to the target at once."""
        self._stopped = True
        self._steps = ()
        if self._in_hand:  # dropped too, like those that wait
            self._target = self._drop
        self._queue.clear()
        self.waiting_bytes = 0
        self._deferred.clear()
        if self._worker is not None:
            self._worker.stop()

    def _drop(self, _message: Message) -> None:
        """Takes the message that was in hand when the chain was stopped."""
        self._target = self._ends.target

    def _put_behind(self, message: Message, start: int) -> None:
        """Keeps a message until the one in hand is through.

        A message that a valve injects while it is called comes before those that wait, because it
        is often the rest of the message in hand.
        """
        if self._stopped:
            self._ends.target(message)
            return
        if not self._busy or self._in_step:
            self._deferred.append((message, start))
            return
        self._queue.append((message, start))
        self._note_waiting(message)

    def _note_waiting(self, message: Message) -> None:
        self.waiting_bytes += message.size
        if not self._is_source_paused and self._has_reached(1):
            self._is_source_paused = True
            self._ends.pause_source(True)

    def _act_deferred(self) -> None:
        self._is_acting = True  # so that each does not call the next one: there may be thousands
        try:
            while self._deferred:
                item = self._deferred.popleft()
                if callable(item):
                    item()
                else:
                    self.feed(*item)
        finally:
            self._is_acting = False

    def _queue_deferred(self) -> None:
        """Puts the deferred messages and actions at the head of the queue."""
        deferred, self._deferred = self._deferred, deque()
        self._queue.extendleft(reversed(deferred))
        for item in deferred:
            if not callable(item):
                self._note_waiting(item[0])

    # Asynchronous valves

    def _resolved(self, outcome: object, step: ValveStep, message: Message) -> Message | None:
        """Returns the message that a valve's answer stands for; None: none goes on now."""
        if outcome is not None:
            if self._worker is None or self._worker.is_over:
                self._worker = ValveWorker()
            outcome = self._worker.begin(outcome)
            if isinstance(outcome, Begun):
                self._busy = True
                self._unfinished = 1
                self.waiting_bytes = message.size
                position = next(n for n, each in enumerate(self._steps) if each is step)
                self._worker.take(partial(self._work, outcome, position, message.size))
                return None
        return self._checked(outcome, message)

    def _checked(self, outcome: object, given: object) -> Message | None:
        """Checks and returns a valve's answer, which is often the message that it was given."""
        if outcome is None:
            self._context.counters.valve_discards.value += 1
            return None
        if not isinstance(outcome, Message):
            raise TypeError(f"a valve returned {type(outcome).__name__}, not a Message or None")
        if outcome is not given:
            check_made(outcome)
        return outcome

    async def _work(self, begun: Begun, position: int, size: int) -> None:
        """Passes the message in hand through the valves, and then those that wait."""
        try:
            await self._take_through(begun, position, size)
            while self._queue:
                item = self._queue.popleft()
                if callable(item):
                    item()
                else:
                    await self._take_through(*item, item[0].size)
                if self._is_source_paused and not self._has_reached(0.5):
                    self._is_source_paused = False
                    self._ends.pause_source(False)
        except asyncio.CancelledError:
            if not self._stopped:  # a valve has cancelled the task
                self._ends.close_session(VALVE_FAILED.client, "internal error")
            raise
        except Exception:  # in a function of ChainEnds; the task would swallow it
            self._context.logger.exception(
                "session %s: internal error in the relay", self._session_id
            )
            self._ends.close_session(VALVE_FAILED.client, "internal error")
        finally:
            self._busy = self._in_hand = False

    async def _take_through(self, first: Message | Begun, start: int, size: int) -> None:
        """Passes a message through the valves from `start` on.

        Args:
            first: the message, or the coroutine that the valve at `start` has begun for it.
            start: position of the first valve.
            size: the message's bytes when it came.
        """
        answer: object = first
        self._unfinished = 1
        for step in self._steps[start:]:
            try:
                given = answer if isinstance(answer, Message) else None
                if given is not None:
                    answer = self._called(step, given)
                answer = await self._settled(answer, given)
            except (Exception, asyncio.CancelledError) as error:
                if is_cancelled():
                    raise
                self._failed(error, step)
                answer = None
            if answer is None:
                break
        self._unfinished = 0
        self.waiting_bytes -= size
        if isinstance(answer, Message):
            self._target(answer)
        if self._deferred:
            self._queue_deferred()

    def _called(self, step: ValveStep, message: Message) -> Outcome | Awaitable[Outcome]:
        self._in_step = True
        try:
            return step.call(message)
        finally:
            self._in_step = False

    async def _settled(self, answer: object, given: Message | None) -> Message | None:
        """Waits for a valve's answer, and returns the message; None: the valve discards it."""
        if answer is not None and not isinstance(answer, (Message, Begun)):
            answer = begin(answer)
        if isinstance(answer, Begun):
            async with asyncio.timeout(self._context.limits.valve_timeout):
                answer = await answer.rest()
        return self._checked(answer, given)

    def _has_reached(self, part: float) -> bool:
        """Returns whether the messages that wait have reached this part of a limit."""
        limits = self._context.limits
        return (
            len(self._queue) + self._unfinished >= limits.valve_queue * part
            or self.waiting_bytes >= limits.valve_queue_bytes * part
        )

    # Faults

    def _failed(self, error: BaseException, step: ValveStep) -> None:
        """Acts on what a valve has raised; the message is discarded."""
        if isinstance(error, _Swallowed):
            return
        if isinstance(error, CloseSession):
            code, reason = error.code, error.reason
            self._deferred.append(lambda: self._ends.close_session(code, reason))
            return
        self._context.reporter.valve_failed(self._session_id, step.kind, error)
        if step.on_error == "close":
            self._deferred.append(
                lambda: self._ends.close_session(VALVE_FAILED.client, "internal error")
            )


def _looked_at(swallow: Callable[[Message], bool], step: ValveStep | None = None) -> ValveStep:
    """Returns a step that calls `swallow` with each message before `step`, if there is one."""

    def call(message: Message) -> Outcome | Awaitable[Outcome]:
        if swallow(message):
            raise _Swallowed
        return message if step is None else step.call(message)

    return ValveStep("", call, "close") if step is None else replace(step, call=call)
