"""When many clients leave in one moment, the event loop serves others in between."""

from __future__ import annotations

import asyncio

from wsgw_core.api import Close, Limits, ReadBatch
from wsgw_core.frontend.admission import Admission
from wsgw_core.frontend.client_socket import ClientSocket
from wsgw_core.frontend.trusted_proxies import TrustedProxies
from wsgw_core.metrics.counters import GatewayCounters
from wsgw_core.relay.session.session import Session
from wsgw_core.relay.session.session_state import State
from wsgw_core.spread_calls import AT_ONCE
from wsgw_core.testing.fakes import FakeClient
from wsgw_core.testing.virtual_clock import idle, on_virtual_clock

from ..relay.relay_bench import RelayBench

MANY = 3 * AT_ONCE
LOST = Close(1006, "connection lost")


class Crowd:
    """Clients with their sessions."""

    def __init__(self) -> None:
        self.relay = RelayBench()
        self.counters: GatewayCounters = self.relay.counters
        clock = asyncio.get_running_loop()
        self.admission = Admission(TrustedProxies(), self.counters, clock, max_sessions=MANY)
        self.sessions: list[Session] = []
        self.sockets: list[ClientSocket] = []
        self.gone: list[ClientSocket] = []

    async def open(self) -> Crowd:
        for number in range(MANY):
            session = Session(f"session-{number}", self.relay.handshake, self.relay.context)
            await session.open()
            session.start(FakeClient())
            self.sessions.append(session)
            ticket = self.admission.arrive(f"192.0.2.{number}")
            clock = asyncio.get_running_loop()
            socket = ClientSocket(
                session,
                self.gone.append,
                ticket,
                Limits(),
                clock,
                ReadBatch(),
                end_to_end=False,
            )
            self.sockets.append(socket)
        await idle()
        return self

    @property
    def flushed(self) -> int:
        """How many sessions know that their client has gone."""
        return sum(session.state is not State.RELAYING for session in self.sessions)


@on_virtual_clock
async def test_few_sessions_learn_of_it_in_each_turn_of_the_loop() -> None:
    crowd = await Crowd().open()
    for socket in crowd.sockets:  # as their transports do
        socket.ended(LOST, violation=False)
        socket.disconnected()
    assert crowd.flushed == len(crowd.gone) == AT_ONCE
    before = AT_ONCE
    while crowd.flushed < MANY:
        await asyncio.sleep(0)  # one turn of the loop
        assert crowd.flushed - before <= AT_ONCE
        before = crowd.flushed
    await idle()
    assert crowd.gone == crowd.sockets


@on_virtual_clock
async def test_a_place_is_free_only_when_the_session_knows_that_its_client_has_gone() -> None:
    crowd = await Crowd().open()
    for socket in crowd.sockets:
        socket.ended(LOST, violation=False)
    for socket in crowd.sockets:
        socket.disconnected()
    while len(crowd.gone) < MANY:
        assert len(crowd.gone) <= crowd.flushed
        await asyncio.sleep(0)  # one turn of the loop
    assert crowd.admission.arrive("192.0.2.1").refusal is None
