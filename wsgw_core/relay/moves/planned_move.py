"""Decides when a session takes each step of its move from a live backend to another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from .quiet_check import QuietCheck

if TYPE_CHECKING:
    from ...pool.backends.backend_pool import PooledBackend
    from ..failover.replacement import Replacement
    from ..session.session import Session
    from .session_moves import SessionMoves

_READY_FOR = 5.0  # seconds that a new connection may wait; until its start it answers no pings
_LOOKS = 20  # at the quiet check, in the last step


class PlannedMove:
    """One move, from its plan until the old backend has ended or its time is over.

    1. Wait until the session is quiet, at most `drain.patience`.
    2. Dial the next backend. Until then wsgw relays as always, in both directions.
    3. Stop sending to the old backend. It gets up to half of `drain.step` to answer what it has.
    4. Close the old connection. The backend gets the rest of `drain.step` to end.
    5. Go on with the new backend.

    If the client is slow, wsgw still holds replies for it. The move then waits until the client has
    read them; only `limits.slow-client-timeout` bounds that.

    Args:
        moves: takes the steps that concern the backends.
        session: the session that moves.

    Attributes:
        at_once: skip step 1, and in step 3 wait only until the backend has acknowledged everything;
            stop sending already during the dial, for up to half of `drain.step`.
        must_leave: leave the backend even if no other one is found.
        fit: returns whether a backend is worth the move; None: every other backend is. A move
            `at_once` goes to any backend.
    """

    def __init__(
        self,
        moves: SessionMoves,
        session: Session,
        *,
        at_once: bool,
        must_leave: bool,
        fit: Callable[[PooledBackend], bool] | None,
    ) -> None:
        self._moves = moves
        self._session = session
        self._options = session.context.drain
        self._clock = session.context.clock
        self.at_once = at_once
        self.must_leave = must_leave
        self.fit = fit

        now = self._clock.time()
        self._quiet_check = QuietCheck(session.ledger, session.account, self._options.quiet, now)
        self._latest = now + self._options.patience
        self._ready: Replacement | None = None
        self._ready_until = 0.0
        self._step_ends: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.Handle | None = None

    def begin(self) -> None:
        """Begins to wait until the session is quiet, or dials at once."""
        if self.at_once:
            self._stop_sending_and_dial()
        else:
            self._look_in(self._options.quiet / 2)

    def hurry(self) -> None:
        """Waits no longer until the session is quiet."""
        if not self.at_once:
            self.at_once = True
            if self._timer is not None and self._step_ends is None:
                self._timer.cancel()
                if self._ready is None:
                    self._stop_sending_and_dial()
                else:
                    self._begin_last_step(self._clock.time())

    @property
    def has_stopped_sending(self) -> bool:
        """Whether the old backend is sent nothing new."""
        return self._step_ends is not None

    def take_replacement(self) -> Replacement | None:
        """Returns the new connection, if there is one; the caller must use or discard it."""
        ready, self._ready = self._ready, None
        return ready

    def stop(self) -> None:
        """Takes no further step, and discards the new connection."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._drop()

    # Until the session is quiet

    def _look_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.call_later(seconds, self._look)

    def _look(self) -> None:
        now = self._clock.time()
        is_still = self._quiet_check.look(now)
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
        return is_due and (self.at_once or not self._session.client_side.backend_pauses)

    def _stop_sending_and_dial(self) -> None:
        """Dials, and sends nothing new meanwhile, unless the dial takes long."""
        self._stop_sending(self._clock.time())
        self._timer = self._clock.call_later(self._options.step / 2, self._send_rest)
        self._begin_dial()

    def _send_rest(self) -> None:
        self._timer = self._step_ends = None
        self._session.outbox.send_rest()

    def _begin_dial(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._dial())

    async def _dial(self) -> None:
        try:
            ready = await self._moves.dial()
        except Exception as error:  # noqa: BLE001 - whatever it is, the session decides
            self._task = None
            self._moves.stay(error)
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
            ready.dialled.discard()

    # The last step

    def _begin_last_step(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._step_ends is None:
            self._stop_sending(now)
        self._look_at_last()

    def _stop_sending(self, now: float) -> None:
        self._step_ends = now + self._options.step
        self._session.outbox.stop_sending()

    def _look_at_last(self) -> None:
        assert self._step_ends is not None  # noqa: S101 - for the type checker
        now, step = self._clock.time(), self._options.step
        # After the close the application cannot answer, and may not read what its library has.
        quiet_check = self._quiet_check
        is_good = quiet_check.all_is_delivered if self.at_once else quiet_check.look(now)
        if is_good or now >= self._step_ends - step / 2:
            left = max(0.0, self._step_ends - now)
            self._timer = self._clock.call_later(left, self._moves.arrive)
            self._moves.leave()
        else:
            self._timer = self._clock.call_later(step / _LOOKS, self._look_at_last)
