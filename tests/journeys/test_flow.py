"""Flow control: a slow client or backend loses no message, and memory stays bounded."""

from __future__ import annotations

import asyncio

from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection

from wsgw_core.testing.running_gateway import RunningGateway

from .conftest import StartGateway
from .eventually import until
from .raw_client import raw_websocket
from .scripted_backend import ScriptedBackend

MESSAGE = b"x" * 16 * 1024
MUCH = 4000  # messages: 64 MB, more than all socket buffers on the path hold
LEDGER = 8 * 1024 * 1024  # bytes: its limit plus what one read may add


class Sender:
    """Sends numbered messages."""

    def __init__(self, count: int) -> None:
        self.sent = 0
        self._count = count

    async def send_to(self, connection: Connection) -> None:
        for number in range(self._count):
            await connection.send(number.to_bytes(4, "big") + MESSAGE)
            self.sent += 1

    async def wait_until_blocked(self) -> None:
        """Wait until no further message can be sent."""
        before = -1
        while before != self.sent:
            before = self.sent
            await asyncio.sleep(0.3)


async def receive_all(connection: Connection) -> list[int]:
    return [int.from_bytes((await connection.recv(decode=False))[:4], "big") for _ in range(MUCH)]


async def test_slow_backend_pauses_reading_of_its_client_and_loses_nothing(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend, failover={"ping-timeout": "60s"})
    async with connect(gateway.url, compression=None, ping_interval=None) as client:
        served = await backend.connection()
        served.transport.pause_reading()
        sender = Sender(MUCH)
        sending = asyncio.create_task(sender.send_to(client))
        await until(lambda: gateway.count("read_pauses"))
        await sender.wait_until_blocked()
        [session] = gateway.gateway.sessions

        assert sender.sent < MUCH
        assert session.unacknowledged * len(MESSAGE) < LEDGER

        served.transport.resume_reading()
        assert await receive_all(served) == list(range(MUCH))
        await sending
    assert gateway.count("failovers") == 0


async def test_slow_client_pauses_reading_of_its_backend_and_loses_nothing(
    gateway: RunningGateway, backend: ScriptedBackend
) -> None:
    async with connect(gateway.url, compression=None, ping_interval=None) as client:
        served = await backend.connection()
        client.transport.pause_reading()
        sender = Sender(MUCH)
        sending = asyncio.create_task(sender.send_to(served))
        await sender.wait_until_blocked()
        [session] = gateway.gateway.sessions

        assert sender.sent < MUCH
        assert session.messages_sent - sender.sent < 10

        client.transport.resume_reading()
        assert await receive_all(client) == list(range(MUCH))
        await sending
    assert gateway.count("failovers") == 0


async def test_backend_that_waits_for_a_slow_client_is_not_failed_over(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    # Longer than the stalls of a busy machine, and shorter than the wait for the client.
    gateway = await start_gateway(backend, failover={"ping-timeout": "1s"})
    async with connect(gateway.url, compression=None, ping_interval=None) as client:
        served = await backend.connection()
        client.transport.pause_reading()
        await client.send("to be acknowledged")
        sender = Sender(MUCH)
        sending = asyncio.create_task(sender.send_to(served))
        await sender.wait_until_blocked()
        await client.send("while it waits")
        await asyncio.sleep(2.5)

        client.transport.resume_reading()
        assert await receive_all(client) == list(range(MUCH))
        await sending
    assert gateway.count("failovers") == 0


async def test_ledger_of_a_held_session_stays_bounded_and_the_client_waits(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(
        backend, limits={"ledger-bytes": "256KiB", "ledger-messages": 1000}
    )
    async with connect(gateway.url, compression=None, ping_interval=None) as client:
        await backend.connection()
        await backend.down()
        sender = Sender(MUCH)
        sending = asyncio.create_task(sender.send_to(client))
        await sender.wait_until_blocked()
        [session] = gateway.gateway.sessions

        assert sender.sent < MUCH
        assert session.unacknowledged * len(MESSAGE) < LEDGER

        await backend.up()
        assert await receive_all(await backend.connection()) == list(range(MUCH))
        await sending
    assert gateway.count("undelivered_messages") == 0


async def test_ledger_message_limit_holds_for_many_messages_in_one_read(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    count, bound = 21_162, 4096
    gateway = await start_gateway(backend, limits={"ledger-messages": bound})
    async with raw_websocket(gateway.url) as client:
        await backend.connection()
        await backend.down()
        client.client.write(bytes.fromhex("8180 00000000") * count)
        [session] = gateway.gateway.sessions
        await until(lambda: session.unacknowledged >= bound, "a full ledger")
        await asyncio.sleep(0.3)  # room for what must not happen
        assert session.unacknowledged == bound

        await backend.up()
        served = await backend.connection()
        for _ in range(count):
            assert await served.recv() == ""
    assert gateway.count("undelivered_messages") == 0


async def test_compressed_messages_wait_compressed_while_the_ledger_is_full(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    count, size, bound = 250, 256 * 1024, 2 * 1024 * 1024
    frontend = {"address": "127.0.0.1:0", "compression": True}
    gateway = await start_gateway(backend, server={"frontend": frontend})
    async with connect(gateway.url, compression="deflate", ping_interval=None) as client:
        await backend.connection()
        await backend.down()
        [session] = gateway.gateway.sessions
        for _ in range(count):
            await client.send(bytes(size))
        await until(lambda: session.unacknowledged_bytes >= bound, "a full ledger")
        await asyncio.sleep(0.3)  # room for what must not happen
        assert session.unacknowledged_bytes <= bound + size

        await backend.up()
        served = await backend.connection()
        for _ in range(count):
            assert len(await served.recv()) == size
    assert gateway.count("undelivered_messages") == 0


async def test_messages_of_a_client_that_sends_and_leaves_are_delivered(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend)
    count = 10_000
    async with raw_websocket(gateway.url) as client:
        served = await backend.connection()
        client.client.write(bytes.fromhex("8180 00000000") * count)
        client.client.writer.write_eof()
        for _ in range(count):
            assert await served.recv() == ""
    assert gateway.count("undelivered_messages") == 0


async def test_one_slow_session_does_not_slow_another(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(
        backend, failover={"ping-timeout": "60s"}, limits={"close-timeout": "500ms"}
    )
    async with (
        connect(gateway.url, compression=None, ping_interval=None) as slow,
        connect(gateway.url, compression=None, ping_interval=None) as quick,
    ):
        first, second = await backend.connection(), await backend.connection()
        assert first.request is not None
        first.transport.pause_reading()
        sender = Sender(MUCH)
        sending = asyncio.create_task(sender.send_to(slow))
        await sender.wait_until_blocked()
        for number in range(100):
            await quick.send(str(number))
            assert await second.recv() == str(number)
        sending.cancel()
        slow.transport.abort()
        first.transport.abort()
