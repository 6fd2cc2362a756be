"""When very many sessions lose their backend at once, all move, and the next one is not overrun."""

from __future__ import annotations

import asyncio

from wsgw_core.api import DialRequest, Sink
from wsgw_core.config.failover_options import FailoverOptions
from wsgw_core.relay.session.session import Session
from wsgw_core.relay.session.session_state import State
from wsgw_core.testing.fakes import Accept, FakeBackend, FakeClient, FakeConnection
from wsgw_core.testing.virtual_clock import on_virtual_clock

from ..relay_bench import RelayBench

SESSIONS, AT_ONCE = 1000, 50


class CrowdedBackend(FakeBackend):
    """Counts simultaneous dials."""

    def __init__(self, backend_id: str) -> None:
        super().__init__(backend_id, acknowledge=True)
        self.in_flight = 0
        self.most = 0

    async def connect(self, request: DialRequest, sink: Sink) -> FakeConnection:
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            return await super().connect(request, sink)
        finally:
            self.in_flight -= 1


@on_virtual_clock
async def test_all_sessions_of_a_killed_backend_move_within_the_dial_limits() -> None:
    blue, green = CrowdedBackend("blue"), CrowdedBackend("green")
    bench = RelayBench(blue, green, failover=FailoverOptions(max_concurrent_dials=AT_ONCE))
    bench.pooled[1].enabled = False
    sessions, clients = [], []
    for number in range(SESSIONS):
        session = Session(f"session-{number}", bench.handshake, bench.context)
        await session.open()
        clients.append(FakeClient())
        session.start(clients[-1])
        sessions.append(session)
    bench.pooled[1].enabled = True
    green.otherwise = Accept(after=0.02)
    blue.go_down()
    await asyncio.sleep(0.01)
    assert green.in_flight <= AT_ONCE
    assert bench.dial_limiters.waiting == SESSIONS - AT_ONCE
    begun = asyncio.get_running_loop().time()
    while bench.pooled[1].active < SESSIONS:
        await asyncio.sleep(0.1)
        assert asyncio.get_running_loop().time() - begun < 20
    assert green.most == AT_ONCE
    assert bench.dial_limiters.waiting == 0
    assert all(session.state is State.RELAYING for session in sessions)
    assert not any(client.closes for client in clients)
    assert bench.counters.failovers.value == SESSIONS
