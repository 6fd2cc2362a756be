"""The valve `rate-limit`: alone on a virtual clock, and in a gateway."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from wsgw_valves import plugin
from wsgw_valves.rate_limit.meter import Bucket, Meter
from wsgw_valves.rate_limit.settings import RateLimitSettings
from wsgw_valves.rate_limit.shared_meters import SharedMeters

from wsgw_core.api import ConfigurationError, Handshake, Limits, Message
from wsgw_core.testing.samples import samples
from wsgw_core.testing.valve_bench import ValveBench
from wsgw_core.testing.virtual_clock import on_virtual_clock

from .conftest import StartGateway
from .echo import Echo


def bench_of(**options: Any) -> ValveBench:
    return ValveBench.of(
        plugin, "rate-limit", {key.replace("_", "-"): value for key, value in options.items()}
    )


def now() -> float:
    return asyncio.get_running_loop().time()


@on_virtual_clock
async def test_messages_beyond_burst_wait() -> None:
    async with bench_of(messages=10, messages_burst=5) as bench:
        begin = now()
        assert await bench.to_backend(*"abcde") == [*"abcde"]
        assert now() - begin < 0.05
        begin = now()
        assert await bench.to_backend(*"fghijklmno") == [*"fghijklmno"]
        assert 0.9 < now() - begin < 1.1
        assert (
            samples(bench.context.metrics)['wsgw_rate_limit_exceeded_total{action="pause"}'] == 10
        )


@on_virtual_clock
async def test_bytes_are_limited() -> None:
    async with bench_of(bytes="1kB", bytes_burst=500, messages=1000) as bench:
        begin = now()
        await bench.to_backend(b"x" * 500)
        assert now() - begin < 0.05
        await bench.to_backend(b"x" * 2000)
        assert 1.9 < now() - begin < 2.1


@on_virtual_clock
async def test_room_comes_back_up_to_burst() -> None:
    async with bench_of(messages=1, messages_burst=3, action="discard") as bench:
        assert await bench.to_backend(*"abcde") == [*"abc"]
        await asyncio.sleep(2.1)
        assert await bench.to_backend(*"abcde") == [*"ab"]
        await asyncio.sleep(1000)
        assert await bench.to_backend(*"abcde") == [*"abc"]
        assert (
            samples(bench.context.metrics)['wsgw_rate_limit_exceeded_total{action="discard"}'] == 7
        )


@on_virtual_clock
async def test_rate_below_one_passes_single_messages() -> None:
    async with bench_of(messages=0.5, action="discard") as bench:
        assert await bench.to_backend("a", "b") == ["a"]
        await asyncio.sleep(1)
        assert await bench.to_backend("c") == []
        await asyncio.sleep(1.1)
        assert await bench.to_backend("d") == ["d"]


@on_virtual_clock
async def test_action_close_ends_session_with_1008() -> None:
    async with bench_of(messages=2, action="close") as bench:
        assert await bench.to_backend(*"abc") == [*"ab"]
        assert bench.closed is not None
        assert (bench.closed.code, bench.closed.reason) == (1008, "too many messages")


@on_virtual_clock
async def test_wait_above_max_pause_ends_session() -> None:
    async with bench_of(bytes=100, max_pause="2s") as bench:
        assert len(await bench.to_backend(b"x" * 250)) == 1
        before = bench.closed
        assert before is None
        await bench.to_backend(b"x" * 300)
        assert bench.closed is not None
        assert bench.closed.code == 1008


@on_virtual_clock
async def test_directions_have_separate_rates() -> None:
    async with bench_of(messages=2, action="discard", directions="both") as bench:
        assert await bench.to_backend(*"abc") == [*"ab"]
        assert await bench.to_client(*"abc") == [*"ab"]
    async with bench_of(messages=2, action="discard", directions="to-client") as bench:
        assert await bench.to_backend(*"abc") == [*"abc"]
        assert await bench.to_client(*"abc") == [*"ab"]
    async with bench_of(messages=2, action="discard") as bench:
        assert await bench.to_client(*"abc") == [*"abc"]


@on_virtual_clock
async def test_sessions_with_same_key_share_rate() -> None:
    def session(user: str) -> Any:
        headers = (("X-User", user),)
        return Bench(Handshake("/", headers, (), "192.0.2.1:1"))

    class Bench:
        id, route = "x", ""

        def __init__(self, handshake: Handshake) -> None:
            self.path, self.headers, self.peer = handshake.path, handshake.headers, handshake.peer

    async with bench_of(messages=2, action="discard", per="header.X-User") as bench:
        valves: Any = bench.valve
        one, other = valves.for_session(session("ann")), valves.for_session(session("ann"))
        third = valves.for_session(session("bob"))
        message = Message.from_text("a")
        assert one.before_transmit(message) is message
        assert other.before_transmit(message) is message
        assert one.before_transmit(message) is None
        assert third.before_transmit(message) is message
        del one, other
        gc.collect()
        again = valves.for_session(session("ann"))
        assert again.before_transmit(message) is None


def test_number_of_unused_meters_is_bounded() -> None:
    shared = SharedMeters(lambda: Meter(Bucket(1, 1, lambda: 0.0), None))
    used = shared.get("used")
    used.take(0, 0.0)
    for number in range(20_000):
        shared.get(str(number))
    gc.collect()
    assert len(shared) <= 10_001
    assert shared.get("used") is used
    assert shared.get("x" * 9000) is not shared.get("x" * 9001)
    assert all(len(key) <= 64 for key in shared.keys)
    assert used.take(0, 0.0) > 0


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "needs 'messages' or 'bytes'"),
        ({"messages": 0}, "messages: "),
        ({"messages": "fast"}, "messages: "),
        ({"bytes": 1, "messages-burst": 2}, "'messages-burst' needs 'messages'"),
        ({"messages": 1, "bytes-burst": 2}, "'bytes-burst' needs 'bytes'"),
        ({"messages": 1, "action": "stop"}, "action: .*'pause', 'discard' or 'close'"),
        ({"messages": 1, "per": "user"}, "per: .*unknown field user"),
        ({"messages": 1, "max-pause": "2m"}, "max-pause: "),
        ({"messages": 1, "action": "close", "max-pause": "1s"}, "needs 'action: pause'"),
    ],
)
async def test_invalid_options_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        ValveBench.of(plugin, "rate-limit", options)


def test_limit_below_message_size_gives_warning() -> None:
    def warnings(**options: Any) -> list[tuple[str, str]]:
        settings = RateLimitSettings.model_validate(options)
        return list(settings.warnings(Limits(max_message_size=1000)))

    assert not warnings(messages=1)
    assert not warnings(bytes=200)
    assert not warnings(bytes=1000, action="close")
    [(key, text)] = warnings(bytes=100)
    assert (key, text.split(",")[0]) == ("bytes", "a message of more than 600 bytes never passes")
    [(key, _)] = warnings(bytes=2000, **{"bytes-burst": 500}, action="discard")
    assert key == "bytes-burst"


async def test_fast_client_is_delayed_and_loses_nothing(
    start_gateway: StartGateway, echo: Echo
) -> None:
    gateway = await start_gateway(
        valves=[{"kind": "rate-limit", "messages": 400, "messages-burst": 1}],
        limits={"valve-queue": 4},
    )
    sent = [f"{number} {'x' * 2000}" for number in range(300)]
    async with connect(gateway.url) as client:
        begin = now()
        for text in sent:
            await client.send(text)
        assert [await client.recv() for _ in sent] == sent
        assert now() - begin > 0.7
    assert gateway.count("rate_limit_exceeded") > 100
    assert echo.heard == sent


async def test_flooding_client_is_not_read(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(
        valves=[{"kind": "rate-limit", "messages": 0.1, "messages-burst": 5, "max-pause": "1m"}],
        limits={"valve-queue": 4, "valve-timeout": "2m", "close-timeout": "200ms"},
    )

    async def flood(client: ClientConnection) -> None:
        for _ in range(8000):
            await client.send("x" * 4000)

    async with connect(gateway.url) as client:
        flooding = asyncio.create_task(flood(client))
        async with asyncio.timeout(60):
            while gateway.count("rate_limit_exceeded") == 0:  # noqa: ASYNC110 - no event to await
                await asyncio.sleep(0.01)
        done, _ = await asyncio.wait([flooding], timeout=1)
        assert not done
        [session] = gateway.gateway.sessions
        assert session.messages_received < 500
        flooding.cancel()
        client.transport.abort()
        await asyncio.wait([flooding])


async def keep_sending(client: ClientConnection) -> None:
    for _ in range(1000):
        await client.send("x")
        await client.recv()


async def test_flooding_client_is_closed(start_gateway: StartGateway) -> None:
    gateway = await start_gateway(valves=[{"kind": "rate-limit", "messages": 5, "action": "close"}])
    async with connect(gateway.url) as client:
        with pytest.raises(ConnectionClosed) as caught:
            await keep_sending(client)
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1008, "too many messages")
