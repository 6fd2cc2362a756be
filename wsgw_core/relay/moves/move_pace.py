"""How many sessions begin their planned moves in which time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..session.session import Session

_SHORTEST_STEP = 0.02  # seconds


class MovePace:
    """Spreads moves evenly: some of them in each step.

    Args:
        rate: sessions each second.

    Attributes:
        step: seconds from one call of `begin_some` to the next.
    """

    __slots__ = ("_at_once", "step")

    def __init__(self, rate: float) -> None:
        self.step = max(1 / rate, _SHORTEST_STEP)
        self._at_once = math.ceil(rate * self.step)

    def begin_some(self, waiting: deque[Session], move: Callable[[Session], bool]) -> None:
        """Have the first sessions move, as many as one step allows.

        Args:
            waiting: those that are asked are taken out, whether they move or not.
            move: returns whether a session has begun to move; those that have not do not count.
        """
        begun = 0
        while waiting and begun < self._at_once:
            begun += move(waiting.popleft())
