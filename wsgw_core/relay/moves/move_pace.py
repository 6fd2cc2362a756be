"""Spreads the planned moves of many sessions over time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import TypeVar

SessionT = TypeVar("SessionT")
_SHORTEST_STEP = 0.02  # seconds


class MovePace:
    """Lets a few sessions begin to move in each step, so that moves keep to a rate.

    Args:
        rate: sessions per second.

    Attributes:
        step: seconds from one call of `begin_some` to the next.
    """

    def __init__(self, rate: float) -> None:
        self.step = max(1 / rate, _SHORTEST_STEP)
        self._at_once = math.ceil(rate * self.step)

    def begin_some(self, waiting: deque[SessionT], move: Callable[[SessionT], bool]) -> None:
        """Has sessions move, as many as one step allows.

        Args:
            waiting: the sessions; each one tried is removed from the left, whether it moves or not.
            move: makes a session move; returns whether it has begun. Only these count.
        """
        begun = 0
        while waiting and begun < self._at_once:
            begun += move(waiting.popleft())
