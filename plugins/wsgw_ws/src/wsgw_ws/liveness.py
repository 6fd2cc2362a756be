"""Finds out whether a backend lives, from all its connections and by a check."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any

from wsgw_core.api import BackendContext, BackendUnavailable, OutOfResources

if TYPE_CHECKING:
    from .connection import WebSocketConnection

_CHECK_SHARE = 0.4  # of the ping timeout; a check ends before the silence counts
_SHORTEST_PAUSE = 0.25  # of the ping timeout, between two checks
_DELAY = 0.05  # of the ping timeout; if a check ends this late, wsgw itself was delayed


class Liveness:
    """When one backend was last known to live, across all its connections.

    A busy handler answers no pings while its backend lives. So before a late pong counts as a loss,
    wsgw checks the backend on another connection. All connections share one check at a time.

    Args:
        check: checks the backend; calls `lived` if it answers, else raises BackendUnavailable.
        connections: the backend's connections.
        context: the backend's context.

    Attributes:
        busy_timeouts: counts connections; see its help text.
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
        self._asked_at: float | None = None  # the first check since the last sign of life
        self._next = float("-inf")
        self._checking: asyncio.Task[None] | None = None

    def lived(self, when: float) -> None:
        """Records that bytes came from the backend."""
        if when > self._lived_at:
            self._lived_at = when
            if self._asked_at is not None and when > self._asked_at:
                self._asked_at = None

    def silent_for(self, now: float) -> float:
        """Returns the seconds without bytes from the backend, as far as they are certain.

        Beyond half of the ping timeout, only the seconds of unanswered checks count.
        """
        known = self._timeout / 2
        if self._asked_at is not None:
            known += now - self._asked_at
        return min(now - self._lived_at, known)

    def ask(self, now: float) -> None:
        """Starts a check, unless one is running or has just ended."""
        if self._checking is None and now >= self._next:
            self._next = now + self._timeout * _SHORTEST_PAUSE
            self._checks.value += 1
            self._checking = asyncio.get_running_loop().create_task(self._ask())

    async def close(self) -> None:
        """Stops the checks."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.gather(self._checking, return_exceptions=True)

    async def _ask(self) -> None:
        begins = self._clock.time()  # wsgw may have been delayed since it decided to ask
        ends = begins + self._timeout * _CHECK_SHARE
        if self._asked_at is None:
            self._asked_at = begins
        try:
            async with asyncio.timeout(self._timeout * _CHECK_SHARE):
                await self._check()
        except OutOfResources:
            self._asked_at = None  # a fault of this machine says nothing about the backend
        except (BackendUnavailable, TimeoutError):
            if self._clock.time() > ends + self._timeout * _DELAY:
                self._asked_at = None  # as above: the answer may have come in time
            else:
                self._failed.value += 1
            self._listen()
        except Exception:
            self._logger.exception("fault in a liveness check")
            self._asked_at = None
        finally:
            self._checking = None

    def _listen(self) -> None:
        """Asks all connections when bytes last came; they do not report messages here."""
        silences = [connection.silence() for connection in self._connections]
        shortest = min((each for each in silences if each is not None), default=None)
        if shortest is not None:
            self.lived(self._clock.time() - shortest)
