"""A backend's turn to be dialled."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .backend_pool import PooledBackend


class Turn:
    """One backend's turn: it pays credit to the other candidates, until the turn is given back.

    However many turns are given back, no backend's credit or debt exceeds one round of all
    candidates. So a backend that was passed over for many clients at once, because it had tripped,
    does not get all the next clients.

    Args:
        backend: the backend that has the turn.
        among: the candidates for the turn, including the backend; empty: there were no others.

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
        """Undoes the turn, because the backend was not dialled."""
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
