"""Chooses the next backend of a group."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from ...api import Candidate, DialRequest, Policy
from ...policies import RoundRobin
from ..backends.backend_pool import BackendPool, PooledBackend
from ..backends.turn import Turn
from ..backends.watchers import Watcher

_SELDOM = 2.0  # seconds between two scouts of a backend that is away while another is there
_ANY_CLIENT = DialRequest("", "/")


class BackendGroup:
    """The backends of one group; they can replace each other.

    A backend is used only if none with a lower priority number can be had. Among those with the
    same number the policy decides. Backends with equal costs take turns in proportion to their
    weights, spread evenly: with each turn every candidate gets its weight as credit, and the one
    with the most credit gets the turn and pays the sum. So the remaining backends share fairly,
    whichever others are disabled or have failed. A backend that was not dialled gives its turn
    back.

    Args:
        pool: the backends of all groups.
        name: the group's name; see `RouteOptions.group`.
        policy: ranks the backends; must not raise. None: all take turns.
        fit: returns whether a backend belongs to the group; None: all do.

    Attributes:
        pool, name: see above.
    """

    def __init__(
        self,
        pool: BackendPool,
        name: str = "",
        policy: Policy | None = None,
        *,
        fit: Callable[[PooledBackend], bool] | None = None,
    ) -> None:
        self.pool = pool
        self.name = name
        self._policy: Policy = policy or RoundRobin()
        self._fit = fit

    def limited_to(self, fit: Callable[[PooledBackend], bool]) -> BackendGroup:
        """Returns this group without the backends that do not fit."""
        return BackendGroup(self.pool, self.name, self._policy, fit=fit)

    def watch(self, watcher: Watcher) -> None:
        """Calls `watcher` with each backend of the group that changes; see BackendPool.watch."""
        self.pool.watch(watcher, self.name)

    def unwatch(self, watcher: Watcher) -> None:
        """Stops calling a watcher."""
        self.pool.unwatch(watcher, self.name)

    def _members(self) -> Iterator[PooledBackend]:
        members = self.pool.of_group(self.name)
        return iter(members) if self._fit is None else filter(self._fit, members)

    def has_another(self, *, without: Collection[PooledBackend]) -> bool:
        """Returns whether there is a usable backend other than these."""
        return any(each.usable and each not in without for each in self._members())

    @property
    def is_there(self) -> bool:
        """Whether a backend is neither disabled nor away nor down."""
        return any(each.is_there for each in self._members())

    def to_look_for(self, now: float, apart: float) -> int:
        """Returns how many absent or down backends a scout may dial now; see Lookout."""
        return sum(
            each.enabled
            and not each.is_there
            and not each.outage.is_probed
            and each.outage.allows(now)
            and each.absence.allows(now, apart)
            for each in self._members()
        )

    def rest(self, now: float) -> float:
        """Returns the seconds until the first backend accepts dials again; 0: unknown."""
        rests = [each.outage.rest(now) for each in self._members()]
        return min((rest for rest in rests if rest), default=0.0)

    def choose(
        self,
        now: float,
        client: DialRequest = _ANY_CLIENT,
        *,
        last: PooledBackend | None = None,
        without: Collection[PooledBackend] = (),
        looks_apart: float | None = None,
    ) -> Turn | None:
        """Returns the turn of the backend to try next; None: there is no backend to try.

        Backends that are disabled or down, or whose breaker allows no dial, are not tried. If all
        that are left have tripped, they are tried; the one whose failure is longest ago comes
        first. Unhealthy backends come after all others: the health check may be wrong, and a client
        without another backend is better off with a doubtful one. A backend on trial comes after
        those that are not, because it may listen only for moments, and not all clients should try
        it each time.

        Args:
            now: the clock's time in seconds, for the breakers.
            client: the request of the session that is to be dialled.
            last: the backend that has just failed; tried after all others.
            without: the backends that were tried already.
            looks_apart: for a session that can wait, the seconds between two scouts of a backend
                that is away; other sessions do not dial it. While another backend is there, the
                absent one comes after it, except for a scout every two seconds.
        """
        left = [
            each
            for each in self._members()
            if each.enabled
            and each.outage.allows(now)
            and each not in without
            and (looks_apart is None or each.absence.allows(now, looks_apart))
        ]

        def rank(each: PooledBackend) -> tuple[bool, bool, bool, bool]:
            is_away = looks_apart is not None and not each.absence.allows(now, _SELDOM)
            return not each.healthy, is_away, each.is_on_trial, each is last

        if all(each.breaker.tripped for each in left):
            left.sort(key=lambda each: (*rank(each), each.breaker.failed_at))
            return Turn(left[0]) if left else None
        offered = [each for each in left if each.breaker.allows(now)]
        if not offered:
            return None
        ranks = [(*rank(each), each.priority) for each in offered]
        best = min(ranks)
        equals = [each for each, its in zip(offered, ranks, strict=True) if its == best]
        return self._choose_by_policy(equals, client)

    def _choose_by_policy(self, equals: list[PooledBackend], client: DialRequest) -> Turn:
        loads = self.pool.loads(equals)
        candidates = [Candidate(each.id, each.weight, loads[each]) for each in equals]
        costs = self._policy.costs(client, candidates)
        lowest = min(costs)
        among = [each for each, cost in zip(equals, costs, strict=True) if cost == lowest]
        first = min(among, key=lambda each: (-each.credit - each.weight, each.last_turn))
        return self.pool.take_turn(first, among)
