"""Which backend of a group next."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ..config.upstream_options import Policy
from .backend_pool import BackendPool, PooledBackend


class BackendGroup:
    """The backends of one group: they can stand in for each other, and no others can.

    They are offered in the order in which to try them.

    Backends of a higher priority number are for when none of a lower one can be had. Among those of
    one number the policy decides:

    round-robin         each has as many turns as its weight says, spread evenly: with each turn
                        those that could have it are credited their weights, and the one with the
                        most gets it and pays for all. So those that are left share fairly whatever
                        is disabled or has failed
    least-connections   the one with the fewest connections for its weight, dials under way
                        included, and those of before a reload that its address still has; of equal
                        ones, as above

    Args:
        pool: the backends of all groups.
        name: of the group; see `RouteOptions.group`.
        policy: see above.
    """

    def __init__(self, pool: BackendPool, name: str = "", policy: Policy = "round-robin") -> None:
        self._pool = pool
        self._name = name
        self._by_load = policy == "least-connections"

    @property
    def name(self) -> str:
        """See above."""
        return self._name

    def has_another(self, *, without: Collection[PooledBackend]) -> bool:
        """Tell whether there is a backend that takes part as it should and is none of these."""
        return any(each.usable and each not in without for each in self._pool.of_group(self._name))

    def rest(self, now: float) -> float:
        """Return the seconds after which the first backend wants to be dialled; 0: none says."""
        rests = [each.outage.rest(now) for each in self._pool.of_group(self._name)]
        return min((rest for rest in rests if rest), default=0.0)

    def watch(self, watcher: Callable[[PooledBackend], None]) -> None:
        """Have a function called with each backend that changes; see BackendPool.watch."""
        self._pool.watch(watcher)

    def unwatch(self, watcher: Callable[[PooledBackend], None]) -> None:
        """Have it called no more."""
        self._pool.unwatch(watcher)

    def candidates(
        self,
        now: float,
        *,
        last: PooledBackend | None = None,
        without: Collection[PooledBackend] = (),
    ) -> list[PooledBackend]:
        """Return the backends in the order in which to try them, each once.

        Disabled ones and those that are down are not among them, nor those whose breaker allows no
        dial. When all that are left have tripped, they are: the one whose failure is longest ago
        comes first. Those that a health check has found wanting come behind all others: the check
        may be wrong, and a client that has no other backend is better off with a doubtful one.

        Args:
            now: the clock's time in seconds, for the breakers.
            last: the one that has just failed; offered after all others.
            without: those that have been tried.
        """
        left = [
            each
            for each in self._pool.of_group(self._name)
            if each.enabled and each.outage.allows(now) and each not in without
        ]
        if all(each.breaker.tripped for each in left):
            left.sort(key=lambda each: (not each.healthy, each is last, each.breaker.failed_at))
            return left
        offered = [each for each in left if each.breaker.allows(now)]
        loads = self._pool.loads(offered) if self._by_load else dict.fromkeys(offered, 0)

        def rank(each: PooledBackend) -> tuple[bool, bool, int, float]:
            load = loads[each] / each.weight
            return not each.healthy, each is last, each.priority, load

        offered.sort(key=lambda each: (rank(each), -each.credit - each.weight, each.last_turn))
        first = rank(offered[0])
        self._pool.take_turn(offered[0], among=[each for each in offered if rank(each) == first])
        return offered
