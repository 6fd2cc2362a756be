"""Passes the messages of one direction through the session's valves."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from ..api import CloseSession, Message
from .environment import RelayEnvironment
from .valve_worker import Begun, ValveWorker, begin

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

    Each valve is called from where the message came, an asynchronous one as well. Only when it has
    to wait for something does a task take over; what comes meanwhile waits in a queue.

    Args:
        session_id: for the log.
        steps: at least one.
        ends: what the chain is connected to.
        environment: limits, counters, logger.

    Attributes:
        waiting_bytes: bytes of the messages that wait for an asynchronous valve, or are in one.
    """

    __slots__ = (
        "_busy",
        "_deferred",
        "_ends",
        "_environment",
        "_holding",
        "_in_hand",
        "_queue",
        "_session_id",
        "_steps",
        "_stopped",
        "_target",
        "_unfinished",
        "_worker",
        "waiting_bytes",
    )

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
        self._target = ends.target
        self._environment = environment
        self._in_hand = False  # a message is in the valves
        self._deferred: deque[Callable[[], None]] = deque()  # until it is through
        self._worker: ValveWorker | None = None
        self._busy = False  # the worker has what is in hand, and the queue
        self._queue: deque[tuple[Message, int] | Callable[[], None]] = deque()
        self.waiting_bytes = 0
        self._unfinished = 0  # messages that the worker has in the valves
        self._holding = False
        self._stopped = False

    def feed(self, message: Message, start: int = 0) -> None:
        """Take a message through the valves from position `start` on; called for each message."""
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
                else:
                    through = outcome
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - told apart below
            self._failed(error, step)
            through = None
        try:
            if through is not None:
                self._target(through)
        finally:
            self._in_hand = self._busy
        if self._deferred and not self._busy:
            self._act_deferred()

    def after_current(self, action: Callable[[], None]) -> bool:
        """Have `action` called when the message in hand is through; False if there is none."""
        if not self._in_hand:
            return False
        self._deferred.append(action)
        return True

    def when_drained(self, action: Callable[[], None]) -> None:
        """Call `action` once all messages that wait now are through."""
        if self._busy:
            self._queue.append(action)
        else:
            action()

    @property
    def waiting(self) -> int:
        """How many messages have come and are not through."""
        in_hand = self._unfinished if self._busy else int(self._in_hand)
        return sum(not callable(item) for item in self._queue) + in_hand

    def stop(self) -> None:
        """Drop what waits, and whatever still comes."""
        self._stopped = True
        self._steps, self._target = (), _ignore
        self._queue.clear()
        self.waiting_bytes = 0
        self._deferred.clear()
        if self._worker is not None:
            self._worker.stop()

    def _put_behind(self, message: Message, start: int) -> None:
        """Keep a message until the one in hand is through: it was injected, or came meanwhile."""
        if self._stopped:
            return
        if not self._busy:
            self._deferred.append(lambda: self.feed(message, start))
            return
        self._queue.append((message, start))
        self.waiting_bytes += message.size
        if not self._holding and self._has_reached(1):
            self._holding = True
            self._ends.hold_source(True)

    def _act_deferred(self) -> None:
        while self._deferred:
            self._deferred.popleft()()

    # Asynchronous valves

    def _resolved(self, outcome: object, step: ValveStep, message: Message) -> Message | None:
        """Return what a valve's answer to a message stands for; None: nothing goes on now."""
        if outcome is not None:
            if self._worker is None or self._worker.is_over:
                self._worker = ValveWorker()
            outcome = self._worker.begin(outcome)
            if isinstance(outcome, Begun):
                self._busy = True
                self._unfinished = 1
                self.waiting_bytes = message.size
                self._worker.take(partial(self._work, outcome, step, message.size))
                return None
        return self._checked(outcome)

    def _checked(self, outcome: object) -> Message | None:
        if outcome is None:
            self._environment.counters.valve_discards.value += 1
            return None
        if not isinstance(outcome, Message):
            raise TypeError(f"a valve returned {type(outcome).__name__}, not a Message or None")
        return outcome

    async def _work(self, begun: Begun, step: ValveStep, size: int) -> None:
        """Take the message in hand through, and then all that wait behind it."""
        try:
            position = next(n for n, each in enumerate(self._steps) if each is step)
            await self._take_through(begun, position, size)
            while self._queue:
                item = self._queue.popleft()
                if callable(item):
                    item()
                else:
                    await self._take_through(*item, item[0].size)
                if self._holding and not self._has_reached(0.5):
                    self._holding = False
                    self._ends.hold_source(False)
        except asyncio.CancelledError:
            if not self._stopped:  # a valve has done it
                self._ends.close_session(1011, "internal error")
            raise
        except Exception:  # in what the chain is connected to: nobody else would hear of it
            self._environment.logger.exception("session %s: fault in the relay", self._session_id)
            self._ends.close_session(1011, "internal error")
        finally:
            self._busy = self._in_hand = False

    async def _take_through(self, first: Message | Begun, start: int, size: int) -> None:
        """Take a message, or what the valve at `start` has begun to make of it, to the end."""
        answer: object = first
        self._unfinished = 1
        for step in self._steps[start:]:
            try:
                if isinstance(answer, Message):
                    answer = step.call(answer)
                answer = await self._settled(answer)
            except (Exception, asyncio.CancelledError) as error:
                if _is_cancelled():
                    raise
                self._failed(error, step)
                answer = None
            if answer is None:
                break
        self._unfinished = 0
        self.waiting_bytes -= size
        if isinstance(answer, Message):
            self._target(answer)
        self._act_deferred()

    async def _settled(self, answer: object) -> Message | None:
        """Return the message that a valve's answer stands for; None: it was discarded."""
        if answer is not None and not isinstance(answer, (Message, Begun)):
            answer = begin(answer)
        if isinstance(answer, Begun):
            async with asyncio.timeout(self._environment.limits.valve_timeout):
                answer = await answer.rest()
        return self._checked(answer)

    def _has_reached(self, part: float) -> bool:
        """Tell whether so much of what may wait does."""
        limits = self._environment.limits
        return (
            len(self._queue) + self._unfinished >= limits.valve_queue * part
            or self.waiting_bytes >= limits.valve_queue_bytes * part
        )

    # Faults

    def _failed(self, error: BaseException, step: ValveStep) -> None:
        """Act on what a valve raised; the message is discarded."""
        if isinstance(error, CloseSession):
            code, reason = error.code, error.reason
            self._deferred.append(lambda: self._ends.close_session(code, reason))
            return
        self._environment.announcements.valve_failed(self._session_id, step.kind, error)
        if step.on_error == "close":
            self._deferred.append(lambda: self._ends.close_session(1011, "internal error"))


def _is_cancelled() -> bool:
    """Tell whether the task is to end, not only what a valve waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _ignore(_message: Message) -> None:
    pass
