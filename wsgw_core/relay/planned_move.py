"""Waits for the moment in which a session can leave its backend and nobody misses anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..api import Clock
from ..config.drain_options import DrainOptions

if TYPE_CHECKING:
    from .ledger import Ledger


class PlannedMove:
    """Looks every now and then whether all is acknowledged and nothing has come for a while.

    The ledger holds back what the client sends meanwhile. A client that is slow has not been sent
    everything: it is waited for, however long that takes; what bounds it is the timeout for slow
    clients.

    Args:
        ledger: the session's.
        options: how long to wait for what.
        clock: time and timers.
        replies: returns how many messages the client was ever sent.
        client_is_slow: returns whether the backend is not read for the client's sake.
        leave: called once, when it is time, unless `stop` was called before.
    """

    __slots__ = (
        "_client_is_slow",
        "_clock",
        "_latest",
        "_leave",
        "_ledger",
        "_quiet",
        "_replies",
        "_seen",
        "_timer",
    )

    def __init__(
        self,
        ledger: Ledger,
        options: DrainOptions,
        clock: Clock,
        *,
        replies: Callable[[], int],
        client_is_slow: Callable[[], bool],
        leave: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._quiet = options.quiet
        self._latest = clock.time() + options.patience
        self._clock = clock
        self._replies = replies
        self._client_is_slow = client_is_slow
        self._leave = leave
        self._seen = self._activity()
        self._timer = clock.call_later(self._quiet, self._look)

    def stop(self) -> None:
        """Do not leave."""
        self._timer.cancel()

    def _activity(self) -> tuple[int, int]:
        return self._replies(), self._ledger.settled_messages

    def _look(self) -> None:
        now = self._clock.time()
        seen, self._seen = self._seen, self._activity()
        is_quiet = seen == self._seen and not self._ledger.under_way
        if (is_quiet or now >= self._latest) and not self._client_is_slow():
            self._leave()
        else:
            left = self._latest - now
            wait = min(self._quiet, left) if left > 0 else self._quiet
            self._timer = self._clock.call_later(wait, self._look)
