"""Handshakes, dials and sessions are freed at once: they leave no garbage cycles."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
from websockets.asyncio.client import connect

from wsgw_core.api import GateRegistry, Handshake, Options, Refusal, hookimpl
from wsgw_core.testing.running_gateway import RunningGateway

from .conftest import StartAdmin, StartGateway, StartRaw
from .eventually import until
from .leak_check import reset
from .raw_backend import TEXT, RawPeer, frame
from .raw_client import raw_client, request
from .tls_ends import TlsFiles

TIMES = 12
OURS = ("wsgw_core", "wsgw_ws")
ANSWERS = {
    "/403": "HTTP/1.1 403 X\r\nContent-Length: 2\r\n\r\nno",
    "/500": "HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\nno",
    "/garbage": "\0" * 100 + "\r\n\r\n",
    "/large-head": "HTTP/1.1 101 X\r\n" + "X: y\r\n" * 20_000,
    "/cut": "HTTP/1.1 101 Switch",
}
ALONE: dict[str, Any] = {"hedge-after": 0, "hold": "100ms"}

Deed = Callable[[RunningGateway], Awaitable[object]]


async def answer(peer: RawPeer) -> None:
    """Answer as the path says, or never."""
    if peer.path in ANSWERS:
        await peer.write(ANSWERS[peer.path])
    else:
        await peer.until_gone()


def is_ours(thing: object) -> bool:
    """Return whether an object belongs to the gateway or is a frame of its code."""
    kind: type = type(thing)  # isinstance() would follow a weak proxy to an object that is gone
    if kind is FrameType:
        return any(f"/{name}/" in thing.f_code.co_filename for name in OURS)  # type: ignore[attr-defined]  # a frame has it
    return kind.__module__.startswith(OURS)


@contextmanager
def garbage_of_the_block() -> Iterator[list[object]]:
    """Disable the collector; after the block the list has our objects that it would have freed."""
    found: list[object] = []
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        found += [thing for thing in gc.garbage if is_ours(thing)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def check_leaves_no_garbage(gateway: RunningGateway, deed: Deed) -> None:
    """Run the deed several times and check that it leaves no garbage cycle."""
    await deed(gateway)  # warm up: some objects are made once
    tasks = len(asyncio.all_tasks())
    with garbage_of_the_block() as found:
        for _ in range(TIMES):
            await deed(gateway)
        await until(
            lambda: not len(gateway.gateway.sessions) and len(asyncio.all_tasks()) <= tasks,
            "all is over",
        )
        await asyncio.sleep(0.2)  # for the last callbacks
    assert not Counter(type(thing).__qualname__ for thing in found)


def refused(head: str) -> Deed:
    async def ask(gateway: RunningGateway) -> None:
        async with raw_client(gateway.host, gateway.port) as client:
            client.write(head)
            assert b"101 Switching" not in await client.reader.read()

    return ask


def given_up(head: str) -> Deed:
    async def leave(gateway: RunningGateway) -> None:
        before = gateway.count("handshakes_abandoned")
        async with raw_client(gateway.host, gateway.port) as client:
            client.write(head)
            await asyncio.sleep(0.03)
            reset(client.writer)
            await until(lambda: gateway.count("handshakes_abandoned") > before)

    return leave


@pytest.mark.parametrize(
    "deed",
    [
        given_up(request()),
        given_up(request(f"X-Long: {'x' * 50_000}")),
        given_up(request()[:40]),
        refused("GET / HTTP/1.1\r\nHost x\r\n\r\n"),
        refused("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        refused(f"GET / HTTP/1.1\r\nX: {'x' * 70_000}\r\n\r\n"),
        refused(request(*["X: y"] * 200)),
        *(refused(request(target=path)) for path in ANSWERS if path != "/cut"),
    ],
)
async def test_failed_handshakes_leave_no_garbage(
    start_gateway: StartGateway, start_raw: StartRaw, deed: Deed
) -> None:
    backend = await start_raw(answer, "/", *ANSWERS)
    gateway = await start_gateway(backend.entry(breaker_threshold=-1), failover=ALONE)
    await check_leaves_no_garbage(gateway, deed)


@pytest.mark.parametrize(
    ("failover", "deed"),
    [
        ({"hedge-after": "5ms"}, given_up(request())),
        ({"hedge-after": 0, "dial-timeout": "30ms"}, refused(request())),
        ({"hedge-after": "10ms", "dial-timeout": "30ms"}, refused(request())),
        ({"hedge-after": 0, "dial-timeout": "50ms"}, refused(request(target="/cut"))),
    ],
)
async def test_hedged_or_slow_dials_leave_no_garbage(
    start_gateway: StartGateway, start_raw: StartRaw, failover: dict[str, Any], deed: Deed
) -> None:
    backends = [await start_raw(answer, "/", *ANSWERS) for _ in range(2)]
    entries = [each.entry(breaker_threshold=-1) for each in backends]
    await check_leaves_no_garbage(await start_gateway(*entries, failover=failover), deed)


async def test_refused_dials_leave_no_garbage(start_gateway: StartGateway) -> None:
    entry = {"url": "ws://127.0.0.1:1", "breaker-threshold": -1}
    await check_leaves_no_garbage(await start_gateway(entry, failover=ALONE), refused(request()))


async def test_handshake_timeouts_leave_no_garbage(
    start_gateway: StartGateway, start_raw: StartRaw
) -> None:
    backend = await start_raw(answer, "/")
    gateway = await start_gateway(backend.entry(), limits={"handshake-timeout": "50ms"})
    await check_leaves_no_garbage(gateway, refused(request()[:40]))


async def test_failed_tls_handshakes_leave_no_garbage(
    start_gateway: StartGateway, start_raw: StartRaw, tls_files: TlsFiles
) -> None:
    plain = await start_raw(answer, "/")
    entry = {"url": plain.url.replace("ws:", "wss:"), "breaker-threshold": -1}
    gateway = await start_gateway(entry, failover={**ALONE, "dial-timeout": "300ms"})
    await check_leaves_no_garbage(gateway, refused(request()))
    encrypted = await start_gateway(plain.entry(), server=tls_files.frontend())
    await check_leaves_no_garbage(encrypted, refused(request()))


async def test_refusals_of_a_gate_leave_no_garbage(
    start_gateway: StartGateway, start_raw: StartRaw
) -> None:
    @hookimpl
    def wsgw_register_gates(registry: GateRegistry) -> None:
        registry.add("no", Options, lambda _options, _context: gate)

    async def admit(_handshake: Handshake) -> Refusal:
        await asyncio.sleep(0)
        return Refusal(403, (), b"no\n")

    gate = SimpleNamespace(admit=admit)
    plugin = SimpleNamespace(WSGW_API="1.0", wsgw_register_gates=wsgw_register_gates)
    backend = await start_raw(answer)
    gateway = await start_gateway(backend.entry(), plugins=[plugin], gates=[{"kind": "no"}])
    await check_leaves_no_garbage(gateway, refused(request()))


async def talk(gateway: RunningGateway) -> None:
    async with connect(gateway.url) as client:
        await client.send("hello")
        assert await client.recv() == "hello"


async def talk_and_break_off(gateway: RunningGateway) -> None:
    async with connect(gateway.url) as client:
        await client.send("hello")
        assert await client.recv() == "hello"
        client.transport.abort()


async def break_the_protocol(gateway: RunningGateway) -> None:
    async with raw_client(gateway.host, gateway.port) as client:
        client.write(request())
        await client.reader.readuntil(b"\r\n\r\n")
        client.write(frame(TEXT, b"not masked"))
        await client.reader.read()


@pytest.mark.parametrize("deed", [talk, talk_and_break_off, break_the_protocol])
async def test_ended_sessions_leave_no_garbage(
    start_gateway: StartGateway, start_raw: StartRaw, deed: Deed
) -> None:
    backend = await start_raw(answer)
    gateway = await start_gateway(backend.entry())
    await check_leaves_no_garbage(gateway, deed)


async def test_repeated_failovers_leave_no_garbage(
    start_gateway: StartGateway, start_raw: StartRaw
) -> None:
    async def die(peer: RawPeer) -> None:
        await peer.write(peer.switching())
        await peer.read_message()

    async def be_lost(gateway: RunningGateway) -> None:
        async with connect(f"{gateway.url}/die") as client:
            await client.send("hello")
            await client.wait_closed()
        assert client.close_code in (1011, 1013)

    entries = [(await start_raw(die, "/die")).entry(breaker_threshold=-1) for _ in range(2)]
    failover = {"hold": "200ms", "stable": "100ms", "max-replays": 2}
    gateway = await start_gateway(*entries, failover=failover)
    await check_leaves_no_garbage(gateway, be_lost)
    assert gateway.count("failovers") > TIMES


async def test_admin_calls_leave_no_garbage(
    start_gateway: StartGateway, start_raw: StartRaw, start_admin: StartAdmin
) -> None:
    backend = await start_raw(answer)
    gateway = await start_gateway(backend.entry())
    operator = await start_admin(gateway)

    async def call(gateway: RunningGateway) -> None:
        for path in ("/metrics", "/healthz", "/status", "/nothing"):
            await operator.call("GET", path)
        async with raw_client(gateway.host, operator.port) as client:
            client.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            await client.reader.read()

    await check_leaves_no_garbage(gateway, call)
