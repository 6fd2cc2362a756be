"""A backend's turn to be dialled."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .backend_pool import PooledBackend


class Turn:
    """Paid for to those that could have had it as well, until it is given back.

    By turns that are given back, nobody comes to owe or to be owed more than a round of all of
    them. So a backend that was passed over for many clients at once, since it had tripped, does
    not get the next ones all alone.

    Args:
        backend: has the turn.
        among: those that could have had it, the backend included; empty: nobody else could.

    Attributes:
        backend: see above.
    """

    __slots__ = ("_before", "_credits", "_round", "backend")

    def __init__(self, backend: PooledBackend, among: Collection[PooledBackend] = ()) -> None:
        self.backend = backend
        self._before = backend.last_turn
        self._credits = [(each, each.credit) for each in among]
        self._round = sum(each.weight for each in among)
        backend.credit -= self._round
        for each in among:
            each.credit += each.weight

    def give_back(self) -> None:
        """Undos it: the backend was not dialled."""
        self.backend.last_turn = self._before
        for each, before in self._credits:
            owed = each.credit - each.weight
            if each is self.backend:
                most = max(before, self._round)
                each.credit = max(each.credit, min(owed + self._round, most))
            else:
                least = min(before, -self._round)
                each.credit = min(each.credit, max(owed, least))
        self._credits.clear()
