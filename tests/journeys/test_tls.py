"""TLS on both legs: messages pass and none is lost."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientSession, WSMsgType
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from wsgw_core.testing.running_gateway import RunningGateway

from .conftest import StartBackend, StartGateway
from .raw_client import request
from .scripted_backend import ScriptedBackend
from .tls_ends import TRUSTING, TlsFiles, dial, server_context, tls_client


class TestBothLegs:
    @pytest.fixture
    async def backend(self, start_backend: StartBackend) -> ScriptedBackend:
        return await start_backend(ssl=server_context())

    @pytest.fixture
    async def gateway(
        self, start_gateway: StartGateway, backend: ScriptedBackend, tls_files: TlsFiles
    ) -> RunningGateway:
        return await start_gateway(tls_files.backend(backend), server=tls_files.frontend())

    async def test_messages_and_close_pass_over_tls(
        self, gateway: RunningGateway, backend: ScriptedBackend
    ) -> None:
        async with dial(gateway) as client:
            tls = client.transport.get_extra_info("ssl_object")
            assert tls.selected_alpn_protocol() == "http/1.1"
            served = await backend.connection()
            for source, target in ((client, served), (served, client)):
                for message in ("text", b"binary", "", "x" * 100_000):
                    await source.send(message)
                    assert await target.recv() == message
            await client.close(4000, "done")
            with pytest.raises(ConnectionClosed):
                await served.recv()
            assert (served.close_code, served.close_reason) == (4000, "done")

    async def test_aiohttp_client_is_served_over_tls(
        self, gateway: RunningGateway, backend: ScriptedBackend
    ) -> None:
        url = gateway.url.replace("ws:", "https:")
        async with ClientSession() as http, http.ws_connect(url, ssl=TRUSTING) as client:
            served = await backend.connection()
            await client.send_str("to the backend")
            assert await served.recv() == "to the backend"
            await served.send(b"to the client")
            answer = await client.receive()
            assert (answer.type, answer.data) == (WSMsgType.BINARY, b"to the client")
            await served.close(4001, "done")
            assert (await client.receive()).type is WSMsgType.CLOSE
            assert client.close_code == 4001

    async def test_session_survives_the_loss_of_its_backend(
        self,
        start_gateway: StartGateway,
        start_backend: StartBackend,
        backend: ScriptedBackend,
        tls_files: TlsFiles,
    ) -> None:
        green = await start_backend(ssl=server_context())
        gateway = await start_gateway(
            tls_files.backend(backend), tls_files.backend(green), server=tls_files.frontend()
        )
        async with dial(gateway) as client:
            served = await backend.connection()
            await served.send("from blue")
            await backend.down()
            await client.send("to green")
            moved = await green.connection()
            await moved.send("from green")
            assert await moved.recv() == "to green"
            assert [await client.recv(), await client.recv()] == ["from blue", "from green"]
        assert gateway.count("failovers") == 1

    async def test_stopping_gateway_closes_clients_with_1012(
        self, start_gateway: StartGateway, backend: ScriptedBackend, tls_files: TlsFiles
    ) -> None:
        gateway = await start_gateway(tls_files.backend(backend), server=tls_files.frontend())
        async with dial(gateway) as client:
            await backend.connection()
            await gateway.gateway.stop()
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 1012

    @pytest.mark.parametrize("size", [64 * 1024, 1024 * 1024])
    async def test_slow_backend_pauses_reading_of_its_client_and_loses_nothing(
        self, gateway: RunningGateway, backend: ScriptedBackend, size: int
    ) -> None:
        async with dial(gateway) as client:
            served = await backend.connection()
            await flood(client, served, size)
        assert gateway.count("read_pauses") > 0
        assert gateway.count("failovers") == 0

    @pytest.mark.parametrize("size", [64 * 1024, 1024 * 1024])
    async def test_slow_client_pauses_reading_of_its_backend_and_loses_nothing(
        self, gateway: RunningGateway, backend: ScriptedBackend, size: int
    ) -> None:
        async with dial(gateway) as client:
            served = await backend.connection()
            await flood(served, client, size)
        assert gateway.count("failovers") == 0

    async def test_small_messages_in_both_directions_keep_their_order(
        self, gateway: RunningGateway, backend: ScriptedBackend
    ) -> None:
        numbers = [str(number) for number in range(3000)]

        async def exchange(connection: Connection) -> list[str | bytes]:
            sending = asyncio.create_task(send_all(connection))
            received = [await connection.recv() for _ in numbers]
            await sending
            return received

        async def send_all(connection: Connection) -> None:
            for number in numbers:
                await connection.send(number)

        async with dial(gateway) as client:
            served = await backend.connection()
            for received in await asyncio.gather(exchange(client), exchange(served)):
                assert received == numbers

    async def test_last_messages_of_a_backend_reach_a_slow_client(
        self, gateway: RunningGateway, backend: ScriptedBackend
    ) -> None:
        """This includes data received but not yet decrypted when the backend left."""
        async with dial(gateway, max_queue=1, close_timeout=1) as client:
            served = await backend.connection()
            client.transport.pause_reading()
            fillers = 0
            while not gateway.count("read_pauses") and fillers < 200:
                # without waiting for room, which comes only when the client reads
                served.protocol.send_binary(bytes(50_000))
                served.transport.writelines(served.protocol.data_to_send())
                fillers += 1
                await asyncio.sleep(0)
                if served.transport.get_write_buffer_size():
                    break
            for number in range(100):
                served.protocol.send_text(str(number).encode())
            served.protocol.send_close(4002, "that was all")
            served.transport.writelines(served.protocol.data_to_send())
            served.transport.close()
            client.transport.resume_reading()
            for _ in range(fillers):
                assert len(await client.recv()) == 50_000
            assert [await client.recv() for _ in range(100)] == [str(n) for n in range(100)]
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 4002

    async def test_last_messages_of_a_client_reach_its_backend(
        self, gateway: RunningGateway, backend: ScriptedBackend
    ) -> None:
        async with dial(gateway) as client:
            served = await backend.connection()
            for number in range(1000):
                client.protocol.send_text(b"%d" % number)
            client.protocol.send_close(4003, "bye")
            client.transport.writelines(client.protocol.data_to_send())
            client.transport.close()
            assert [await served.recv() for _ in range(1000)] == [str(n) for n in range(1000)]
            with pytest.raises(ConnectionClosed):
                await served.recv()
            assert served.close_code == 4003

    async def test_frames_sent_together_with_the_request_are_delivered(
        self, gateway: RunningGateway, backend: ScriptedBackend
    ) -> None:
        client = await tls_client(gateway)
        frames = [Frame(Opcode.TEXT, b"%d" % n).serialize(mask=True) for n in range(3)]
        client.write(request().encode() + b"".join(frames))
        served = await backend.connection()
        assert [await served.recv() for _ in frames] == ["0", "1", "2"]
        assert (await client.answer()).status == 101
        client.vanish()


async def flood(source: Connection, target: Connection, size: int) -> None:
    """Send 64 MB to a target that does not read for a while; all must arrive, in order."""
    count = 64 * 1024 * 1024 // size
    payload = bytes(size - 4)
    sent = 0

    async def send() -> None:
        nonlocal sent
        for number in range(count):
            await source.send(number.to_bytes(4, "big") + payload)
            sent = number + 1

    target.transport.pause_reading()
    sending = asyncio.create_task(send())
    before = -1
    while before != sent:
        before = sent
        await asyncio.sleep(0.3)
    assert sent < count
    target.transport.resume_reading()
    for number in range(count):
        message = await target.recv(decode=False)
        assert (len(message), int.from_bytes(message[:4], "big")) == (size, number)
    await sending
