"""Failover: a backend is lost and its sessions go on without the clients noticing."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response

from wsgw_core.testing.running_gateway import RunningGateway

from .conftest import StartBackend, StartGateway
from .eventually import until
from .scripted_backend import ScriptedBackend


async def wait_until_acknowledged(gateway: RunningGateway) -> None:
    """Wait until the only session has no unacknowledged messages."""
    [session] = gateway.gateway.sessions
    await until(lambda: not session.unacknowledged)


async def receive_numbers_until(connection: ServerConnection, last: int) -> list[int]:
    """Receive numbers until this one, and return them."""
    received: list[int] = []
    while not received or received[-1] < last:
        received.append(int(await connection.recv()))
    return received


async def send_numbers(client: ClientConnection, count: int) -> None:
    for number in range(count):
        await client.send(str(number))


@pytest.mark.parametrize("code", [1001, 1011, 1012, 1013, 1014, 1006])
async def test_abnormal_close_moves_the_session_to_the_other_backend(
    start_gateway: StartGateway, start_backend: StartBackend, code: int
) -> None:
    blue, green = await start_backend(), await start_backend()
    gateway = await start_gateway(blue, green)
    async with connect(gateway.url) as client:
        served = await blue.connection()
        await served.send("from blue")
        if code == 1006:
            served.transport.abort()
        else:
            await served.close(code, "going")
        moved = await green.connection()
        await moved.send("from green")
        await client.send("to green")

        assert await client.recv() == "from blue"
        assert await client.recv() == "from green"
        assert await moved.recv() == "to green"
        assert client.close_code is None

    assert gateway.count("failovers") == 1


async def test_only_configured_close_codes_cause_a_failover(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway({"url": backend.url, "abnormal-close-codes": [4000]})
    async with connect(gateway.url) as client:
        await (await backend.connection()).close(4000, "elsewhere, please")
        moved = await backend.connection()
        await moved.close(1011, "the client's to know")
        with pytest.raises(ConnectionClosed):
            await client.recv()

    assert (client.close_code, client.close_reason) == (1011, "the client's to know")


async def test_failover_request_has_session_headers_and_replay_count(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend, failover={"stable": "0s"})
    async with connect(
        gateway.url + "/path?q=1",
        additional_headers={"Cookie": "a=1"},
        subprotocols=["a", "b"],  # type: ignore[list-item]  # plain strings do
    ) as client:
        first = await backend.connection()
        assert first.request is not None
        await client.send("settled")
        assert await first.recv() == "settled"
        await wait_until_acknowledged(gateway)
        first.transport.abort()
        second = await backend.connection()
        second.transport.pause_reading()
        await send_numbers(client, 3)
        [session] = gateway.gateway.sessions
        await until(lambda: session.unacknowledged == 3)
        second.transport.abort()
        third = await backend.connection()
        assert await receive_numbers_until(third, 2) == [0, 1, 2]

    heads = [one.request.headers for one in (first, second, third) if one.request is not None]
    assert len({head["X-Wsgw-Session"] for head in heads}) == 1
    assert [head.get("X-Balancer-Reconnect") for head in heads] == [None, "1", "1"]
    assert [head.get("X-Wsgw-Replayed") for head in heads] == [None, "0", "3"]
    assert [head["Cookie"] for head in heads] == ["a=1"] * 3
    assert [one.request.path for one in (first, second, third) if one.request] == ["/path?q=1"] * 3
    assert gateway.count("replayed_messages") == 3


async def test_reconnect_header_name_is_configurable(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend, server={"reconnect-header": "X-Again"})
    async with connect(gateway.url):
        (await backend.connection()).transport.abort()
        moved = await backend.connection()

    assert moved.request is not None
    assert moved.request.headers["X-Again"] == "1"
    assert "X-Balancer-Reconnect" not in moved.request.headers


async def test_failover_offers_only_the_agreed_subprotocol(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    offers = []

    def choose(_connection: ServerConnection, offered: list[str]) -> str | None:
        offers.append(list(offered))
        return "b" if "b" in offered else None

    backend = await start_backend(select_subprotocol=choose)
    gateway = await start_gateway(backend)
    async with connect(gateway.url, subprotocols=["a", "b"]) as client:  # type: ignore[list-item]  # plain strings do
        (await backend.connection()).transport.abort()
        moved = await backend.connection()
        assert moved.subprotocol == "b"
        assert client.subprotocol == "b"

    assert offers == [["a", "b"], ["b"]]


async def test_failover_skips_a_backend_with_another_subprotocol(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    first = await start_backend(subprotocols=["b"])
    ignorant = await start_backend()
    good = await start_backend(subprotocols=["a", "b"])
    gateway = await start_gateway(first, ignorant, good)
    async with connect(gateway.url, subprotocols=["b"]) as client:  # type: ignore[list-item]  # plain strings do
        served = await first.connection()
        await client.send("x")
        assert await served.recv() == "x"
        await first.down()
        moved = await good.connection()
        assert await moved.recv() == "x"
        await moved.send("y")
        assert await client.recv() == "y"

    assert moved.subprotocol == "b"


async def test_failover_of_a_session_without_subprotocol_offers_none(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    first = await start_backend()
    pushy = await start_backend(select_subprotocol=lambda _connection, _offered: None)
    gateway = await start_gateway(first, pushy)
    async with connect(gateway.url, subprotocols=["a"]) as client:  # type: ignore[list-item]  # plain strings do
        (await first.connection()).transport.abort()
        moved = await pushy.connection()
        assert moved.request is not None
        assert "Sec-WebSocket-Protocol" not in moved.request.headers
        assert client.subprotocol is None


async def test_messages_are_kept_while_all_backends_are_down(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    blue, green = await start_backend(), await start_backend()
    gateway = await start_gateway(blue, green)
    async with connect(gateway.url) as client:
        served = await blue.connection()
        await send_numbers(client, 5)
        await receive_numbers_until(served, 4)
        await wait_until_acknowledged(gateway)
        await blue.down()
        await green.down()
        for number in range(5, 300):
            await client.send(str(number))
            await asyncio.sleep(0.003)
        assert client.close_code is None
        await green.up()
        moved = await green.connection()

        assert await receive_numbers_until(moved, 299) == list(range(5, 300))
        await moved.send("all there")
        assert await client.recv() == "all there"

    assert gateway.count("sessions") == 1
    assert gateway.count("undelivered_messages") == 0


async def test_single_backend_is_used_again_after_each_restart(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend)
    async with connect(gateway.url) as client:
        for number in range(4):
            served = await backend.connection()
            await client.send(str(number))
            assert await receive_numbers_until(served, number)
            await wait_until_acknowledged(gateway)
            await backend.down()
            await backend.up()
        await backend.connection()

    assert gateway.count("failovers") == 4


async def test_client_is_closed_with_1013_when_the_hold_time_ends(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend, failover={"hold": "300ms"})
    async with connect(gateway.url) as client:
        served = await backend.connection()
        await client.send("never acknowledged")
        assert await served.recv() == "never acknowledged"
        await backend.down()
        with pytest.raises(ConnectionClosed):
            await client.recv()

    assert client.close_code == 1013
    assert gateway.count("holds_expired") == 1


async def test_hold_time_of_zero_still_tries_each_backend_once(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    blue, green = await start_backend(), await start_backend()
    gateway = await start_gateway(blue, green, failover={"hold": 0})
    async with connect(gateway.url) as client:
        await blue.connection()
        await blue.down()
        await green.connection()
        await green.down()
        with pytest.raises(ConnectionClosed):
            await client.recv()

    assert client.close_code == 1013


async def test_backend_that_accepts_and_drops_does_not_extend_the_hold_time(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    backend = await start_backend()

    async def drop() -> None:
        while True:
            (await backend.connection()).transport.abort()

    dropping = asyncio.create_task(drop())
    gateway = await start_gateway(backend, failover={"hold": "500ms"})
    async with connect(gateway.url) as client:
        await client.send("x")
        with pytest.raises(ConnectionClosed):
            await client.recv()
    dropping.cancel()

    assert client.close_code == 1013
    assert backend.accepted < 20  # it does not spin


@pytest.mark.parametrize(("status", "code"), [(403, 1008), (404, 1008)])
async def test_declined_failover_closes_the_client_with_1008(
    start_gateway: StartGateway, start_backend: StartBackend, status: int, code: int
) -> None:
    def decline_the_moved(connection: ServerConnection, request: Request) -> Response | None:
        moved = "X-Balancer-Reconnect" in request.headers
        return connection.respond(status, "no\n") if moved else None

    backend = await start_backend(process_request=decline_the_moved)
    gateway = await start_gateway(backend)
    async with connect(gateway.url) as client:
        (await backend.connection()).transport.abort()
        with pytest.raises(ConnectionClosed):
            await client.recv()

    assert client.close_code == code
    assert str(status) in (client.close_reason or "")


@pytest.mark.parametrize("status", [408, 421, 425, 429])
async def test_failover_tries_another_backend_after_a_temporary_decline(
    start_gateway: StartGateway, start_backend: StartBackend, status: int
) -> None:
    def not_now(connection: ServerConnection, request: Request) -> Response | None:
        moved = "X-Balancer-Reconnect" in request.headers
        return connection.respond(status, "not now\n") if moved else None

    first, busy, good = (
        await start_backend(),
        await start_backend(process_request=not_now),
        await start_backend(),
    )
    gateway = await start_gateway(first, busy, good)
    async with connect(gateway.url) as client:
        await first.connection()
        await first.down()
        moved = await good.connection()
        await moved.send("here")
        assert await client.recv() == "here"


async def test_messages_and_close_of_a_leaving_client_survive_a_failover(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    blue, green = await start_backend(), await start_backend()
    gateway = await start_gateway(blue, green)
    async with connect(gateway.url) as client:
        served = await blue.connection()
        served.transport.pause_reading()
        await send_numbers(client, 500)
        await client.close(4000, "that was all")
    await blue.down()
    moved = await green.connection()

    assert await receive_numbers_until(moved, 499) == list(range(500))
    await moved.wait_closed()
    assert (moved.close_code, moved.close_reason) == (4000, "that was all")
    assert gateway.count("undelivered_messages") == 0


async def test_busy_backend_that_sends_but_answers_no_ping_is_kept(
    start_gateway: StartGateway, start_backend: StartBackend
) -> None:
    backend = await start_backend()
    impatient = {"ping-timeout": "300ms"}
    gateway = await start_gateway(backend, failover=impatient, limits={"close-timeout": "1s"})
    async with connect(gateway.url) as client:
        served = await backend.connection()
        await client.send("before")  # so that it is known to answer pings
        [session] = gateway.gateway.sessions
        await until(lambda: session.messages_received and not session.unacknowledged)
        protocol = served.protocol
        answer_ping = protocol.send_frame

        def hold_pongs_back(frame: Frame) -> None:
            if frame.opcode is not Opcode.PONG:
                answer_ping(frame)

        protocol.send_frame = hold_pongs_back  # type: ignore[method-assign]  # as slow stacks do
        await client.send("x")
        for _ in range(20):
            await served.send("busy")
            assert await client.recv() == "busy"
            await asyncio.sleep(0.05)

    assert gateway.count("failovers") == 0
