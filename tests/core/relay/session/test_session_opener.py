"""How the opener answers a client for which it finds no backend."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from websockets.datastructures import Headers as RequestHeaders

from wsgw_core.api import Headers, OutOfResources
from wsgw_core.relay.all_sessions.routes import Route, Routes
from wsgw_core.relay.session.session_opener import Refused, SessionOpener
from wsgw_core.testing.fakes import Unavailable
from wsgw_core.testing.virtual_clock import on_virtual_clock

from ..relay_bench import RelayBench


@on_virtual_clock
async def test_a_gateway_out_of_resources_answers_503_and_says_when_to_try_again() -> None:
    bench = RelayBench()
    for backend in bench.backends:
        backend.otherwise = Unavailable("too many open files", error=OutOfResources)
    route = Route(None, (), bench.context)
    opener = SessionOpener(Routes([route]), bench.counters, logging.getLogger("wsgw.test"))
    with pytest.raises(Refused) as refused:
        await opener.open(bench.handshake, RequestHeaders())
    refusal = refused.value.refusal
    assert (refusal.status, refusal.body) == (503, b"gateway is out of resources\n")
    assert dict(refusal.headers) == {"Retry-After": "5"}
    assert [pooled.failures for pooled in bench.pooled] == [0, 0]


@pytest.mark.parametrize(
    ("rest", "headers"), [(0, ()), (0.2, (("Retry-After", "1"),)), (7, (("Retry-After", "7"),))]
)
@on_virtual_clock
async def test_without_a_backend_the_502_says_when_to_try_again_if_a_backend_did(
    rest: float, headers: Headers
) -> None:
    bench = RelayBench()
    for backend in bench.backends:
        backend.otherwise = Unavailable("too busy", retry_after=rest)
    route = Route(None, (), bench.context)
    opener = SessionOpener(Routes([route]), bench.counters, logging.getLogger("wsgw.test"))
    with pytest.raises(Refused) as refused:
        await opener.open(bench.handshake, RequestHeaders())
    refusal = refused.value.refusal
    assert (refusal.status, refusal.body) == (502, b"no backend available\n")
    assert refusal.headers == headers


@on_virtual_clock
async def test_the_handshakes_of_a_route_that_is_gone_are_forgotten() -> None:
    bench = RelayBench()
    old, new = (Route(None, (), replace(bench.context, route=name)) for name in ("old", "new"))
    opener = SessionOpener(Routes([old]), bench.counters, logging.getLogger("wsgw.test"))
    for route in (old, new):
        opener.serve_by(Routes([route]))
        session, _ = await opener.open(bench.handshake, RequestHeaders())
        assert bench.counters.route_handshakes == {route.id: 1}
        session.close(1000)
