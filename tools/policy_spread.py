"""Measures how policies spread sessions, and how many move when a backend comes or goes.

One session arrives for each key. Then all arrive again, with one backend fewer or more; those that
get another backend have moved.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

from wsgw_core.api import DialRequest, HandshakeField, Policy
from wsgw_core.policies import HashOptions, HashPolicy, LeastConnections, RandomTwo, RoundRobin
from wsgw_core.pool.backends.backend_pool import BackendPool, PooledBackend
from wsgw_core.pool.policy.backend_group import BackendGroup

KEYS = 4000
BACKENDS = tuple(f"10.0.0.{number}:8080" for number in range(1, 11))
NEW = "10.0.0.11:8080"
Ids = Sequence[str]

POLICIES: dict[str, Callable[[], Policy]] = {
    "`round-robin`": RoundRobin,
    "`least-connections`": LeastConnections,
    "`random-two`": lambda: RandomTwo(random.Random(1)),  # noqa: S311 - no secret
    "`hash`": lambda: HashPolicy(HashOptions(key=HandshakeField("path.1"))),
    "`hash`, `bound: 1.25`": lambda: HashPolicy(
        HashOptions(key=HandshakeField("path.1"), bound=1.25)
    ),
    "`hash`, `bound: 1.05`": lambda: HashPolicy(
        HashOptions(key=HandshakeField("path.1"), bound=1.05)
    ),
}


@dataclass(frozen=True)
class Spread:
    """The figures of one policy.

    Attributes:
        fewest, most: sessions of a backend, as a part of the mean.
        goes, comes: the part of all keys that get another backend when one goes, or comes.
    """

    fewest: float
    most: float
    goes: float
    comes: float


def homes(policy: Policy, ids: Ids, keys: int = KEYS) -> list[str]:
    """Returns the backend of each key when their sessions arrive one after the other."""
    pool = BackendPool(PooledBackend(each, _NO_BACKEND) for each in ids)
    group = BackendGroup(pool, "", policy)
    found = []
    for number in range(keys):
        if (turn := group.choose(0, DialRequest("s", f"/room-{number}"))) is not None:
            turn.backend.active += 1
            found.append(turn.backend.id)
    return found


def measure(make: Callable[[], Policy], keys: int = KEYS) -> Spread:
    """Measures one policy with ten backends of equal weight."""
    before = homes(make(), BACKENDS, keys)
    mean, taken = keys / len(BACKENDS), Counter(before)
    return Spread(
        min(taken[each] for each in BACKENDS) / mean,
        max(taken.values()) / mean,
        _moved(before, homes(make(), BACKENDS[:-1], keys)),
        _moved(before, homes(make(), (*BACKENDS, NEW), keys)),
    )


def table() -> Iterator[str]:
    """Yields the lines of a table of all policies."""
    yield "| policy | fewest sessions | most sessions | one of 10 goes | an 11th comes |"
    yield "|---|---|---|---|---|"
    for name, make in POLICIES.items():
        found = measure(make)
        cells = (found.fewest, found.most, found.goes, found.comes)
        yield f"| {name} | {' | '.join(f'{cell:.1%}' for cell in cells)} |"


def _moved(before: Ids, after: Ids) -> float:
    return sum(one != other for one, other in zip(before, after, strict=True)) / len(before)


async def _nothing() -> None:
    pass


_NO_BACKEND = SimpleNamespace(open=_nothing, close=_nothing, connect=_nothing)

if __name__ == "__main__":
    print("\n".join(table()))
