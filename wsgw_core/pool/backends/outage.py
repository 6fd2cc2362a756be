"""A backend that its plugin reports as down."""

from __future__ import annotations

import asyncio
import random

_PROBE_PAUSE = 0.15  # seconds between two probes; short for the clients that wait
_FIRST_PAUSE = 0.25  # seconds before the first probe of a backend that has not worked since
_LONGEST_PAUSE = 1.0
_JITTER = 0.25
_LONGEST_REST = 60.0  # the maximum seconds for which a backend can refuse probes


class Outage:
    """Refuses dials except for one at a time, the probe, which finds out if the backend is back.

    Dials that come during a probe wait for its outcome.

    Attributes:
        reason: why the backend is down; empty while it is not.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._next_probe = 0.0
        self._rests_until = 0.0
        self._pause = _FIRST_PAUSE
        self._probe: asyncio.Future[None] | None = None
        self._flapping = False  # it was down before, and no connection has proved itself since

    def begin(self, now: float, reason: str, rest: float = 0.0) -> bool:
        """Records that the backend is down.

        Args:
            now: the clock's time in seconds.
            reason: one line.
            rest: seconds without probes, at most 60.

        Returns:
            Whether it was up before.
        """
        was_up = not self.reason
        self.reason = reason or "no reason given"
        if was_up:
            self._next_probe = now
            if self._flapping:
                self._wait(now, self._pause)
                self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            self._flapping = True
        if rest > 0:
            self._rests_until = now + min(rest, _LONGEST_REST)
            self._next_probe = max(self._next_probe, self._rests_until)
        return was_up

    def rest(self, now: float) -> float:
        """Returns the seconds left without probes."""
        return max(0.0, self._rests_until - now) if self.reason else 0.0

    def end(self) -> bool:
        """Records that the backend is up; returns whether it was down before."""
        was_down = bool(self.reason)
        self.reason = ""
        self._answer()
        return was_down

    def proved(self) -> None:
        """Records that the backend works: the next outage is independent of the last one."""
        if not self.reason:
            self._flapping = False
            self._pause = _FIRST_PAUSE

    def allows(self, now: float) -> bool:
        """Returns whether a dial may begin: normally, as the probe, or to wait for the probe."""
        return not self.reason or self._probe is not None or now >= self._next_probe

    @property
    def is_probed(self) -> bool:
        """Whether a probe is in progress."""
        return self._probe is not None

    async def until_probed(self) -> None:
        """Waits for the end of the present probe, if any."""
        if self._probe is not None:
            await asyncio.wait([self._probe])  # does not cancel the probe together with its waiter

    def begin_dial(self) -> bool:
        """Records the beginning of an allowed dial; returns whether it is the probe."""
        if not self.reason or self._probe is not None:
            return False
        self._probe = asyncio.get_running_loop().create_future()
        return True

    def end_probe(self, now: float, *, failed: bool) -> None:
        """Records that the probe is over; unless it `failed`, the next one may begin at once."""
        if self.reason and failed:
            self._wait(now, _PROBE_PAUSE)
        self._answer()

    def _answer(self) -> None:
        probe, self._probe = self._probe, None
        if probe is not None and not probe.done():
            probe.set_result(None)

    def _wait(self, now: float, pause: float) -> None:
        jittered = pause * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
        self._next_probe = max(self._next_probe, now + jittered)
