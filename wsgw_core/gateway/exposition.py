"""Converts the counters of a gateway to Prometheus' format."""

from __future__ import annotations

import asyncio
import logging
import platform
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

from prometheus_client import PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric, UnknownMetricFamily
from prometheus_client.registry import Collector

from .. import __version__
from ..api.metrics import MetricFamily
from ..api.rare_warning import RareWarning
from ..metrics import families
from ..metrics.families import Family
from ..metrics.series import Row, buckets, collect, metric
from ..metrics.traffic import Sizes
from ..relay.all_sessions.memory_watch import MemoryWatch
from ..relay.session.session import Session
from ..relay.session.session_state import State

if TYPE_CHECKING:
    from .gateway import Gateway

_AT_ONCE = 500  # sessions that are looked at in one turn of the loop
_SIZES = (128, 512, 2_048, 8_192, 32_768, 131_072, 524_288, 2_097_152)
_WSBALANCERS_SIZES = (128, 256, 512, 1024, 2048, 5120)


class Exposition:
    """The metrics of one gateway.

    Args:
        gateway: the gateway, which listens already.
        memory: the memory that its sessions hold.
        logger: logs errors of plugins.
    """

    def __init__(self, gateway: Gateway, memory: MemoryWatch, logger: logging.Logger) -> None:
        self._gateway = gateway
        self._counters = gateway.counters
        self._pool = gateway.pool
        self._frontends = gateway.frontends
        self._wsbalancers = gateway.generation.config.server.enable_instrumentation
        self._memory = memory
        self._warn = RareWarning(logger)
        self._process = ProcessCollector(registry=None)
        self._platform = PlatformCollector(registry=None)

    async def text(self) -> bytes:
        """Returns all metrics in Prometheus' text format; lets sessions relay meanwhile."""
        now = _Sessions()
        for number, session in enumerate(self._gateway.sessions, 1):
            now.add(session)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        of_process = chain(self._process.collect(), self._platform.collect())
        text = generate_latest(_Collected(chain(self._collect(now), of_process)))
        # The library would append `_total` to the name of a counter.
        name = families.NEW_SESSION.name.encode()
        return text.replace(b"# TYPE %b untyped" % name, b"# TYPE %b counter" % name)

    def collect(self) -> list[Metric]:
        """Returns all metrics except those of the process, without a pause; see HostCollector."""
        now = _Sessions()
        for session in self._gateway.sessions:
            now.add(session)
        return list(self._collect(now))

    def _collect(self, now: _Sessions) -> Iterator[Metric]:
        for family, rows in self._rows(now):
            yield metric(family.name, family, rows)
        yield from collect(self._gateway.metrics, self._gauge_failed)
        if self._wsbalancers:
            yield from self._as_wsbalancer()

    def _rows(self, now: _Sessions) -> Iterator[tuple[Family, Iterable[Row]]]:
        counters, pool, backends = self._counters, self._pool, self._pool.backends
        yield families.BUILD, [((__version__, platform.python_version()), 1)]
        states = [state.value for state in State if state not in (State.DIALLING, State.ENDED)]
        yield families.SESSIONS, [((state,), now.states[state]) for state in states]
        yield families.LEDGER_MESSAGES, [((), now.messages)]
        yield families.LEDGER_BYTES, [((), now.bytes)]
        yield families.MEMORY, [((), self._memory.used)]
        yield families.MEMORY_LIMIT, [((), self._memory.bound or 0)]
        yield families.MEMORY_HELD, [((), self._memory.paused)]
        yield families.UNREAD, [((), now.unread)]
        statuses = {**counters.refusals, 101: counters.sessions.value}
        yield families.HANDSHAKES, [((str(each),), n) for each, n in sorted(statuses.items())]
        yield from self._of_routes(now)
        yield families.DIALS, [((), buckets(counters.dial_durations))]
        yield families.WAITING_DIALS, [((), self._gateway.waiting_dials)]
        yield families.FAILOVERS, [((), buckets(counters.failover_durations))]
        yield families.HYDRATIONS, [((), buckets(counters.hydration_durations))]
        yield families.HYDRATING, [((), now.hydrating)]
        yield families.LOOP_DELAY, [((), buckets(counters.loop_delays))]
        yield from self._traffic()
        yield families.CLOSES, sorted(counters.closes.items())
        yield families.CONNECTIONS, [((each.id,), pool.connections(each)) for each in backends]
        yield families.CONNECTED, [((each.id,), each.total) for each in backends]
        yield families.FAILURES, [((each.id,), each.failures) for each in backends]
        yield families.ENABLED, [((each.id,), each.enabled) for each in backends]
        yield families.HEALTHY, [((each.id,), each.healthy) for each in backends]
        yield families.TRIPPED, [((each.id,), each.breaker.tripped) for each in backends]
        yield families.TRIPS, [((each.id,), each.breaker.trips) for each in backends]
        yield families.AWAY, [((each.id,), each.absence.is_away) for each in backends]
        yield families.DOWN, [((each.id,), bool(each.outage.reason)) for each in backends]
        yield families.BLOCKED, [((each.id,), not each.writable) for each in backends]
        yield families.LOSSES, [((each.id,), each.losses) for each in backends]
        yield families.PAUSED, [((name,), each.paused) for name, each in self._frontends.items()]

    def _gauge_failed(self, family: MetricFamily, error: Exception) -> None:
        self._counters.unread_gauges.value += 1
        self._warn("cannot read gauge wsgw_%s: %r", family.name, error)

    def _of_routes(self, now: _Sessions) -> Iterator[tuple[Family, Iterable[Row]]]:
        routes = [route for route in self._gateway.opener.routes if route.id]
        # Sessions of removed routes may still be open.
        ids = sorted({*(route.id for route in routes), *now.routes} - {""})
        handshakes = self._counters.route_handshakes
        yield families.ROUTE_SESSIONS, [((each,), now.routes[each]) for each in ids]
        yield families.ROUTE_HANDSHAKES, [((each.id,), handshakes[each.id]) for each in routes]
        served = [((each.id,), self._pool.is_usable(each.group)) for each in routes]
        yield families.ROUTE_SERVED, served

    def _traffic(self) -> Iterator[tuple[Family, Iterable[Row]]]:
        total = self._pool.traffic()
        total.add(self._counters.unassigned)
        both = [(("to_backend",), total.to_backend), (("to_client",), total.to_client)]
        yield families.MESSAGES, [(labels, sizes.messages) for labels, sizes in both]
        yield families.MESSAGE_BYTES, [(labels, sizes.bytes) for labels, sizes in both]
        yield families.MESSAGE_SIZES, [(labels, _by_size(sizes)) for labels, sizes in both]

    def _as_wsbalancer(self) -> Iterator[Metric]:
        # wsgw has one frontend, which all backends serve.
        frontend = next(iter(self._frontends), "")
        backends = [((frontend, each.id), each) for each in self._pool.backends]
        new, active, size = families.WSBALANCERS
        new_session = UnknownMetricFamily(new.name, new.help, labels=new.labels)
        for labels, each in backends:
            new_session.add_metric(labels, each.traffic.sessions)
        yield new_session
        connections = [(labels, self._pool.connections(each)) for labels, each in backends]
        yield metric(active.name, active, connections)
        sent = [(("f2b", *labels), each.traffic.to_backend) for labels, each in backends]
        sent += [(("b2f", *labels), each.traffic.to_client) for labels, each in backends]
        rows = [(labels, _by_size(sizes, _WSBALANCERS_SIZES)) for labels, sizes in sent]
        yield metric(size.name, size, rows)


class _Sessions:
    """Totals over all sessions."""

    def __init__(self) -> None:
        self.states: Counter[str] = Counter()
        self.routes: Counter[str] = Counter()
        self.messages = 0
        self.bytes = 0
        self.unread = 0
        self.hydrating = 0

    def add(self, session: Session) -> None:
        session.count_traffic()
        self.states[session.state.value] += 1
        self.routes[session.route] += 1
        self.messages += session.unacknowledged
        self.bytes += session.unacknowledged_bytes
        self.unread += session.client_is_paused
        self.hydrating += session.is_hydrating


class _Collected(Collector):
    """Passes collected metrics to the library."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Returns them."""
        return self._metrics


def _by_size(
    sizes: Sizes, limits: tuple[int, ...] = _SIZES
) -> tuple[list[tuple[str, float]], float]:
    """Returns the cumulative buckets of messages, and the sum of their bytes."""
    cumulated = [*map(sizes.up_to, limits), sizes.messages]
    return list(zip([*map(str, limits), "+Inf"], cumulated, strict=True)), sizes.bytes
