"""Whether a backend lives, whatever becomes of one of its connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from wsgw_core.api import BackendContext, BackendUnavailable, OutOfResources

if TYPE_CHECKING:
    from .connection import WebSocketConnection

_CHECK_SHARE = 0.4  # of the ping timeout: a check is over before silence is
_SHORTEST_PAUSE = 0.25  # of the ping timeout: from one check to the next


class Liveness:
    """What all connections of one backend know of its life.

    A handler that works answers no pings, and its backend lives. So before a connection is given up
    for a late pong, the backend is asked beside it. All connections share one check at a time.

    Args:
        check: asks the backend; calls `lived` when it answers, and raises BackendUnavailable when
            it does not.
        connections: those of the backend.
        context: the backend's.

    Attributes:
        busy_timeouts: counts connections; see its text.
    """

    def __init__(
        self,
        check: Callable[[], Coroutine[Any, Any, None]],
        connections: Iterable[WebSocketConnection],
        context: BackendContext,
    ) -> None:
        self._check = check
        self._connections = connections
        self._clock = context.clock
        self._logger = context.logger
        self._timeout = context.ping_timeout
        self._checks = context.metrics.counter(
            "liveness_checks", "Times a backend was asked whether it lives, since a pong was late."
        )
        self._failed = context.metrics.counter(
            "liveness_checks_failed", "Liveness checks that a backend did not answer."
        )
        self.busy_timeouts = context.metrics.counter(
            "busy_timeouts",
            "Connections silent for `failover.busy-timeout` though their backend lived.",
        )
        self._lived_at = float("-inf")
        self._asked_at: float | None = None  # first, since it was heard last
        self._next = float("-inf")
        self._checking: asyncio.Task[None] | None = None

    def lived(self, when: float) -> None:
        """Note that something came from the backend."""
        if when > self._lived_at:
            self._lived_at = when
            if self._asked_at is not None and when > self._asked_at:
                self._asked_at = None

    def silent_for(self, now: float) -> float:
        """Return for how many seconds nothing has come, as far as that was looked at.

        Beyond half of the ping timeout only those count in which a check had no answer.
        """
        known = self._timeout / 2
        if self._asked_at is not None:
            known += now - self._asked_at
        return min(now - self._lived_at, known)

    def ask(self, now: float) -> None:
        """Have the backend asked, unless it is being asked, or was just now."""
        if self._checking is None and now >= self._next:
            self._next = now + self._timeout * _SHORTEST_PAUSE
            if self._asked_at is None:
                self._asked_at = now
            self._checks.value += 1
            self._checking = asyncio.get_running_loop().create_task(self._ask())

    async def close(self) -> None:
        """Ask no more."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.gather(self._checking, return_exceptions=True)

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(self._timeout * _CHECK_SHARE):
                await self._check()
        except OutOfResources:
            self._asked_at = None  # the fault is ours, and says nothing of the backend
        except (BackendUnavailable, TimeoutError):
            self._failed.value += 1
            self._listen()
        except Exception:
            self._logger.exception("fault in a liveness check")
            self._asked_at = None
        finally:
            self._checking = None

    def _listen(self) -> None:
        """See whether a connection has heard something meanwhile: a message tells nobody here."""
        silences = [connection.silence() for connection in self._connections]
        shortest = min((each for each in silences if each is not None), default=None)
        if shortest is not None:
            self.lived(self._clock.time() - shortest)
