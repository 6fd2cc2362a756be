"""Hydrates a new backend: sends it the valves' messages, and waits for its answers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from ...api import Clock, Close, CloseCode, HydrationRefused, Message
from .session_sink import SessionSink

_LONGEST_REASON = 200  # characters; a valve may quote what a backend says

Swallow = Callable[[Message], bool]
Refusal = Callable[[Close], bool]


@dataclass(frozen=True, slots=True)
class HydrationStep:
    """One step of a hydration.

    Attributes:
        message: the message to send; None: the backend sends a message first by itself.
        is_answer: recognises the answer; None: there is none, and the next step follows at once.
        position: in the inward chain: where messages are as the step's valve has returned them.
        is_refusal: returns whether a normal end of the connection refuses the step; None: each
            normal end does.
    """

    message: Message | None
    is_answer: Swallow | None
    position: int
    is_refusal: Refusal | None = None


class InwardChain(Protocol):
    """What a hydration needs of the valves that the backend's messages pass."""

    def look_in(self, position: int, swallow: Swallow | None) -> None:
        """Calls `swallow` with each message at a position; True takes it out of the chain."""

    def after_current(self, action: Callable[[], object]) -> bool:
        """Calls `action` when the message in hand is through; False: there is none."""

    def after_waiting(self, action: Callable[[], None]) -> None:
        """Calls `action` when all messages that wait now are through."""


class HydrationRun:
    """The hydration of one connection: takes its steps in order.

    Each step may take `timeout` seconds. The time stands still while the backend is not read, or
    takes nothing from any session.

    Args:
        steps: in their order; may be empty.
        sink: the sink of the connection.
        inward: the valves through which the answers come. No message of an earlier backend may
            wait in them.
        clock: time and timers.
        timeout: in seconds.
        done: called after the last step.
        failed: called when the backend refuses a step, or does not take or answer it in time.

    Attributes:
        is_over: whether nothing more is sent: all steps were taken, or the hydration was stopped.
        refusal: the end of the connection if the backend has refused a step; None: it has not.
    """

    __slots__ = (
        "_clock",
        "_done",
        "_due",
        "_failed",
        "_inward",
        "_is_answered",
        "_is_going",
        "_is_paused",
        "_is_sent",
        "_is_started",
        "_is_writable",
        "_left",
        "_sink",
        "_steps",
        "_timeout",
        "_timer",
        "is_over",
        "refusal",
    )

    def __init__(
        self,
        steps: Sequence[HydrationStep],
        sink: SessionSink,
        inward: InwardChain,
        clock: Clock,
        timeout: float,
        *,
        done: Callable[[], None],
        failed: Callable[[Close], None],
    ) -> None:
        self._steps = deque(steps)
        self._sink = sink
        self._inward = inward
        self._clock = clock
        self._timeout = timeout
        self._done = done
        self._failed = failed
        self._is_sent = False  # the message of the present step
        self._is_answered = False
        self._is_started = self._is_going = self.is_over = False
        self.refusal: Close | None = None
        self._is_paused = False  # the backend is not read
        self._is_writable = True
        self._left: float | None = None  # of this step's time; None: the step does not wait
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._look_out()

    def start(self) -> None:
        """Sends the first step's message: the connection was started."""
        self._is_started = True
        self._go_on()

    def stop(self) -> None:
        """Sends nothing more; an answer that has already come still does not reach the client."""
        if not self.is_over:
            self.is_over = True
            self._stop_timer()
            self._inward.after_waiting(self._look_away)

    def judged(self, close: Close) -> Close:
        """Returns how the end of the connection counts: as it is, or as a refusal."""
        if close.abnormal:
            return close
        if not self.is_over and self._steps:
            is_refusal = self._steps[0].is_refusal
            if is_refusal is None or is_refusal(close):
                return self._refused(f"closed with {close}")
        return self.refusal or close

    @property
    def has_steps(self) -> bool:
        """Whether steps are left."""
        return bool(self._steps)

    # What the sink calls

    def writable(self, writable: bool) -> None:
        """Goes on sending, or stops sending for now."""
        self._is_writable = writable
        if writable:
            self._go_on()

    def pause(self, *, paused: bool) -> None:
        """Stops the clock while the backend is not read."""
        self._is_paused = paused
        if not paused:
            self._run_timer()
        elif self._timer is not None:
            self._left = max(0.0, self._due - self._clock.time())
            self._stop_timer()

    # The steps

    def _go_on(self) -> None:
        """Takes steps until one has to wait."""
        if self._is_going or not self._is_started:
            return
        self._is_going = True
        while self._steps and not self.is_over and self._is_taken(self._steps[0]):
            self._steps.popleft()
            self._is_sent = self._is_answered = False
            self._look_out()
        self._is_going = False
        if not self._steps and not self.is_over:
            self.is_over = True
            self._stop_timer()
            self._done()

    def _is_taken(self, step: HydrationStep) -> bool:
        """Sends a step's message; returns whether the step is over, otherwise begins to wait."""
        if not self._is_sent and (self._is_writable or step.message is None):
            self._is_sent = True
            if step.message is not None:
                self._sink.hydrate(step.message)
        if self._is_sent and (step.is_answer is None or self._is_answered):
            return True
        if self._left is None:
            self._left = self._timeout
        self._run_timer()
        return False

    def _look_out(self) -> None:
        """Begins to look for the answer of the next step."""
        if self.is_over:  # the connection has ended in `hydrate`
            return
        self._left = None
        self._stop_timer()
        step = self._steps[0] if self._steps else None
        if step is None or step.is_answer is None:
            self._look_away()
        else:
            self._inward.look_in(step.position, partial(self._swallow, step))

    def _look_away(self) -> None:
        self._inward.look_in(0, None)

    def _swallow(self, step: HydrationStep, message: Message) -> bool:
        if self._is_answered or step.is_answer is None:
            return False
        if not self._steps or step is not self._steps[0]:
            return False  # the message was in an asynchronous valve when the step was over
        if not self._is_sent and step.message is not None:
            return False  # nothing was asked yet
        try:
            self._is_answered = step.is_answer(message)
        except HydrationRefused as refusal:
            self._is_answered = True  # so that later messages are not shown to the valve
            if not self.is_over:
                self.stop()
                close = self._refused(str(refusal))
                self._inward.after_current(lambda: self._failed(close))
            return True
        if not self._is_answered:
            return False
        self._go_on()
        return True

    def _refused(self, why: str) -> Close:
        reason = f"hydration refused: {why}"[:_LONGEST_REASON]
        self.refusal = Close(CloseCode.TRY_AGAIN_LATER, reason, abnormal=True)
        return self.refusal

    # The time

    def _run_timer(self) -> None:
        if self._left is None or self._is_paused or self.is_over:
            return
        if self._timer is None:
            self._due = self._clock.time() + self._left
            self._timer = self._clock.call_later(self._left, self._timed_out)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timed_out(self) -> None:
        self._timer = None
        if not self._sink.backend.writable:
            self._left = self._timeout
            self._run_timer()
            return
        self.stop()
        lacks = "no answer to" if self._is_sent else "no room for"
        reason = f"{lacks} a hydration within {self._timeout:g} s"
        self._failed(Close(CloseCode.LOST, reason, abnormal=True))
