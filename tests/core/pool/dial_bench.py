"""A dialler with some backends, for tests of dials."""

from __future__ import annotations

import asyncio
import logging

from wsgw_core.api import DialRequest, Metrics, Policy
from wsgw_core.metrics.counters import GatewayCounters
from wsgw_core.pool.backends.backend_pool import BackendPool, PooledBackend
from wsgw_core.pool.dialling.dial import Dialled, DialTerms
from wsgw_core.pool.dialling.dial_limiter import DialLimiters
from wsgw_core.pool.dialling.dialler import Dialler
from wsgw_core.pool.policy.backend_group import BackendGroup
from wsgw_core.testing.fakes import FakeBackend, Hang
from wsgw_core.testing.recording_sink import RecordingSink

FIRST = DialRequest("s1", "/chat", subprotocols=("chat", "soap"))
AGAIN = DialRequest("s1", "/chat", subprotocols=("chat",), reconnect=True)


class Bench:
    """A dialler with some backends."""

    def __init__(self, *names: str, policy: Policy | None = None) -> None:
        self.backends = [FakeBackend(name) for name in names]
        self.pooled = [PooledBackend(each.backend_id, each) for each in self.backends]
        self.pool = BackendPool(self.pooled)
        self.counters = GatewayCounters(Metrics())
        self.group = BackendGroup(self.pool, policy=policy)
        self.limiters = DialLimiters(3)
        self.dialler = self.another_dialler()
        self.sinks: list[RecordingSink] = []

    def another_dialler(self) -> Dialler:
        return Dialler(
            self.group, self.limiters, (408, 429), self.counters, logging.getLogger("wsgw.test")
        )

    def _make_sink(self) -> RecordingSink:
        self.sinks.append(RecordingSink())
        return self.sinks[-1]

    async def dial(
        self,
        request: DialRequest = FIRST,
        *,
        timeout: float = 10,  # noqa: ASYNC109 - of each attempt, not of the call
        deadline: float | None = None,
        last: PooledBackend | None = None,
        hedge_after: float = 0,
    ) -> Dialled[RecordingSink]:
        terms = DialTerms(
            request,
            self._make_sink,
            timeout=timeout,
            deadline=deadline,
            can_wait=deadline is not None,
            last=last,
            hedge_after=hedge_after,
        )
        return await self.dialler.dial(terms)

    async def hang(self, count: int) -> list[asyncio.Task[Dialled[RecordingSink]]]:
        """Starts `count` dials of the first backend, which then answers only by its script."""
        self.backends[0].otherwise = Hang()
        before = len(self.backends[0].requests)
        dials = [asyncio.create_task(self.dial(last=self.pooled[-1])) for _ in range(count)]
        await self.backends[0].until_dialled(before + count)
        return dials


def trip(backend: PooledBackend) -> None:
    """Trips a backend's breaker with failures to connect."""
    for _ in range(100):  # more than any threshold
        if backend.breaker.tripped:
            return
        backend.failed(now(), "down", unreachable=True)
    raise AssertionError("the breaker does not trip")


def set_(backend: PooledBackend, **values: bool) -> None:
    for name, value in values.items():
        setattr(backend, name, value)


def now() -> float:
    return asyncio.get_running_loop().time()
