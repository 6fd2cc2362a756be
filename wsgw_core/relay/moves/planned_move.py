"""Takes a session from a backend that lives to another one, and nobody misses anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from .stillness import Stillness

if TYPE_CHECKING:
    from ...api import Clock
    from ...config.drain_options import DrainOptions
    from ...pool.backends.backend_pool import PooledBackend
    from ..failover.replacement import Replacement

_READY_FOR = 5.0  # seconds that a new connection waits; one that nobody reads answers no pings
_LOOKS = 20  # in the last step


class MoveSteps(Protocol):
    """What the session does for its move, in this order."""

    async def dial(self) -> Replacement:
        """Dial the backend that is to be next; again when the connection got too old."""
        ...

    def hold_back(self) -> None:
        """Give the old backend nothing new."""
        ...

    def relay_on(self) -> None:
        """Undo that."""
        ...

    def leave(self) -> None:
        """Tell the old backend that the session moves."""
        ...

    def arrive(self) -> None:
        """Go on with the new connection, since the old one has had its time."""
        ...

    def stay(self, error: Exception, /) -> None:
        """Give the move up: there is no other backend, or it does not want this client."""
        ...


class PlannedMove:
    """From the plan to move until the old backend has ended, or has had the time for it.

    Both ways are relayed as always while a good moment is waited for, and while the next backend is
    dialled. Only then, for the last step, what the client says is held back: the old backend gets
    up to half of `drain.step` to answer what it has, is told, and has the rest to end.

    A client that is slow has not been sent everything: it is waited for, however long that takes;
    what bounds it is the timeout for slow clients.

    Args:
        steps: the session's; see SessionMoves.
        stillness: of the session.
        options: how long to wait for what.
        clock: time and timers.
        client_is_slow: returns whether the backend is not read for the client's sake.

    Attributes:
        at_once: no good moment is waited for, in the last step only until everything is delivered;
            what the client says is held back during the dial too, for up to half of `drain.step`.
        must_leave: the session does not stay when no other backend is found.
        fit: tells which backends are worth the move; None: all others. A move that is `at_once`
            leads to any.
        when_arrived: called behind `arrive`, if anything.
    """

    __slots__ = (
        "_client_is_slow",
        "_clock",
        "_latest",
        "_options",
        "_ready",
        "_ready_until",
        "_step_ends",
        "_steps",
        "_stillness",
        "_task",
        "_timer",
        "at_once",
        "fit",
        "must_leave",
        "when_arrived",
    )

    def __init__(
        self,
        steps: MoveSteps,
        stillness: Stillness,
        options: DrainOptions,
        clock: Clock,
        *,
        client_is_slow: Callable[[], bool],
    ) -> None:
        self._steps = steps
        self._stillness = stillness
        self._options = options
        self._clock = clock
        self._client_is_slow = client_is_slow
        self.at_once = self.must_leave = False
        self.fit: Callable[[PooledBackend], bool] | None = None
        self.when_arrived: Callable[[], None] | None = None
        self._latest = clock.time() + options.patience
        self._ready: Replacement | None = None
        self._ready_until = 0.0
        self._step_ends: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.Handle | None = None

    def begin(self) -> None:
        """Begin to wait for a good moment, or to dial at once."""
        if self.at_once:
            self._hold_and_dial()
        else:
            self._look_in(self._options.quiet / 2)

    def hurry(self) -> None:
        """Wait no longer for a good moment."""
        if not self.at_once:
            self.at_once = True
            if self._timer is not None and self._step_ends is None:
                self._timer.cancel()
                if self._ready is None:
                    self._hold_and_dial()
                else:
                    self._begin_last_step(self._clock.time())

    @property
    def is_holding_back(self) -> bool:
        """Whether what the client says is held back."""
        return self._step_ends is not None

    def take_replacement(self) -> Replacement | None:
        """Return the new connection, which is the caller's from now on."""
        ready, self._ready = self._ready, None
        return ready

    def stop(self) -> None:
        """Do nothing more, and drop the new connection."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._drop()

    # The good moment

    def _look_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.call_later(seconds, self._look)

    def _look(self) -> None:
        now = self._clock.time()
        is_still = self._stillness.look(now)
        is_due = self.at_once or is_still or now >= self._latest
        if self._ready is not None and now >= self._ready_until and not self._is_good(is_due):
            self._drop()
        if not self._is_good(is_due):
            left = self._latest - now
            wait = self._options.quiet / 2
            self._look_in(min(wait, left) if left > 0 else wait)
        elif self._ready is None:
            self._timer = None
            self._begin_dial()
        else:
            self._begin_last_step(now)

    def _is_good(self, is_due: bool) -> bool:
        return is_due and (self.at_once or not self._client_is_slow())

    def _hold_and_dial(self) -> None:
        """Hold back what comes behind the wish to move, unless the dial takes too long for that."""
        self._begin_to_hold(self._clock.time())
        self._timer = self._clock.call_later(self._options.step / 2, self._relay_on)
        self._begin_dial()

    def _relay_on(self) -> None:
        self._timer = self._step_ends = None
        self._steps.relay_on()

    def _begin_dial(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._dial())

    async def _dial(self) -> None:
        try:
            ready = await self._steps.dial()
        except Exception as error:  # noqa: BLE001 - whatever it is, the session decides
            self._task = None
            self._steps.stay(error)
            return
        self._task = None
        self._ready = ready
        now = self._clock.time()
        self._ready_until = now + _READY_FOR
        if self.at_once:
            self._begin_last_step(now)
        else:
            self._look()

    def _drop(self) -> None:
        if (ready := self.take_replacement()) is not None:
            ready.discard()

    # The last step

    def _begin_last_step(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._step_ends is None:
            self._begin_to_hold(now)
        self._look_at_last()

    def _begin_to_hold(self, now: float) -> None:
        self._step_ends = now + self._options.step
        self._steps.hold_back()

    def _look_at_last(self) -> None:
        assert self._step_ends is not None  # noqa: S101 - for the type checker
        now, step = self._clock.time(), self._options.step
        # An application that cannot answer any more may read no more of what its library has.
        stillness = self._stillness
        is_good = stillness.all_is_delivered if self.at_once else stillness.look(now)
        if is_good or now >= self._step_ends - step / 2:
            left = max(0.0, self._step_ends - now)
            self._timer = self._clock.call_later(left, self._steps.arrive)
            self._steps.leave()
        else:
            self._timer = self._clock.call_later(step / _LOOKS, self._look_at_last)
