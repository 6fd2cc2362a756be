"""Which backend of a group next."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from ...api import Candidate, DialRequest, Policy
from ...policies import RoundRobin
from ..backends.backend_pool import BackendPool, PooledBackend
from ..backends.turn import Turn

_SELDOM = 2.0  # seconds between two scouts that come before those who are there
_ANY_CLIENT = DialRequest("", "/")


class BackendGroup:
    """The backends of one group: they can stand in for each other, and no others can.

    Backends of a higher priority number are for when none of a lower one can be had. Among those of
    one number the policy decides. Those of equal cost take turns: each has as many as its weight
    says, spread evenly. With each turn those that could have it are credited their weights, and the
    one with the most gets it and pays for all. So those that are left share fairly whatever is
    disabled or has failed. One that is passed over gives its turn back.

    Args:
        pool: the backends of all groups.
        name: of the group; see `RouteOptions.group`.
        policy: weighs them; must not raise. None: all take turns.
        fit: tells which of them are meant; None: all.
    """

    def __init__(
        self,
        pool: BackendPool,
        name: str = "",
        policy: Policy | None = None,
        *,
        fit: Callable[[PooledBackend], bool] | None = None,
    ) -> None:
        self._pool = pool
        self._name = name
        self._policy: Policy = policy or RoundRobin()
        self._fit = fit

    @property
    def name(self) -> str:
        """See above."""
        return self._name

    def limited_to(self, fit: Callable[[PooledBackend], bool]) -> BackendGroup:
        """Returns the group without the backends that do not fit."""
        return BackendGroup(self._pool, self._name, self._policy, fit=fit)

    def _members(self) -> Iterator[PooledBackend]:
        members = self._pool.of_group(self._name)
        return iter(members) if self._fit is None else filter(self._fit, members)

    def has_another(self, *, without: Collection[PooledBackend]) -> bool:
        """Returns whether there is a backend that takes part as it should and is none of these."""
        return any(each.usable and each not in without for each in self._members())

    @property
    def is_there(self) -> bool:
        """Whether one of them is neither disabled nor away nor down."""
        return any(each.is_there for each in self._members())

    def to_look_for(self, now: float, apart: float) -> int:
        """Returns how many are away or down, and may be looked for now; see Lookout."""
        return sum(
            each.enabled
            and not each.is_there
            and not each.outage.is_probed
            and each.outage.allows(now)
            and each.absence.allows(now, apart)
            for each in self._members()
        )

    def rest(self, now: float) -> float:
        """Returns the seconds after which the first backend wants to be dialled; 0: none says."""
        rests = [each.outage.rest(now) for each in self._members()]
        return min((rest for rest in rests if rest), default=0.0)

    def watch(self, watcher: Callable[[PooledBackend], None]) -> None:
        """Has a function called with each backend that changes; see BackendPool.watch."""
        self._pool.watch(watcher)

    def unwatch(self, watcher: Callable[[PooledBackend], None]) -> None:
        """Has it called no more."""
        self._pool.unwatch(watcher)

    def choose(
        self,
        now: float,
        client: DialRequest = _ANY_CLIENT,
        *,
        last: PooledBackend | None = None,
        without: Collection[PooledBackend] = (),
        looks_apart: float | None = None,
    ) -> Turn | None:
        """Gives the backend its turn that is to be tried next; None: there is none.

        Disabled ones and those that are down are not tried, nor those whose breaker allows no
        dial. When all that are left have tripped, they are: the one whose failure is longest ago
        comes first. Those that a health check has found wanting come behind all others: the check
        may be wrong, and a client that has no other backend is better off with a doubtful one. One
        that is on trial comes behind those that are not: it may listen for a moment only, again
        and again, and not all clients shall be there each time.

        Args:
            now: the clock's time in seconds, for the breakers.
            client: for whom one is dialled.
            last: the one that has just failed; tried after all others.
            without: those that have been tried.
            looks_apart: for a session that can wait, seconds between two scouts of a backend that
                is away: others leave it alone. Where another is there, it comes behind that one,
                but for a scout every now and then.
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
        loads = self._pool.loads(equals)
        candidates = [Candidate(each.id, each.weight, loads[each]) for each in equals]
        costs = self._policy.costs(client, candidates)
        lowest = min(costs)
        among = [each for each, cost in zip(equals, costs, strict=True) if cost == lowest]
        first = min(among, key=lambda each: (-each.credit - each.weight, each.last_turn))
        return self._pool.take_turn(first, among)
