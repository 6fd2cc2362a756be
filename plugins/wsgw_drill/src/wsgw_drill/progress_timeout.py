"""How long the drill waits for something that has to happen."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

_LONGEST = 10  # times as long, while there is progress


class ProgressTimeout:
    """Is over after a while; with `progress`, after a while without any.

    Args:
        seconds: how long that is.
        progress: returns a number that grows while a backend works off what is in store.
    """

    def __init__(self, seconds: float, progress: Callable[[], int] | None = None) -> None:
        self._seconds = seconds
        self._progress = progress
        self._begun = self._since = monotonic()
        self._reached = -1

    @property
    def waited(self) -> float:
        """Seconds from the beginning to now."""
        return monotonic() - self._begun

    def is_over(self) -> bool:
        """Returns whether it is no use to wait any longer."""
        if self._progress is not None and self.waited < _LONGEST * self._seconds:
            reached = self._progress()
            if reached != self._reached:
                self._reached, self._since = reached, monotonic()
        return monotonic() - self._since > self._seconds
