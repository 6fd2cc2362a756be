"""Limits of clients: those within each limit are served, others get the documented answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from wsgw_core.testing.running_gateway import RunningGateway

from .conftest import StartGateway
from .eventually import until
from .raw_client import Answer, RawClient, raw_client, raw_websocket, request
from .scripted_backend import ScriptedBackend

KIB = 1024


@asynccontextmanager
async def crowd(gateway: RunningGateway, count: int) -> AsyncIterator[list[RawClient]]:
    """Connect many clients before the gateway can handle the first; abort them at the end."""
    address = (gateway.host, gateway.port)
    sockets = [socket.create_connection(address) for _ in range(count)]
    async with AsyncExitStack() as stack:
        clients = []
        for sock in sockets:
            client = RawClient(*await asyncio.open_connection(sock=sock))
            stack.callback(client.vanish)
            clients.append(client)
        yield clients


async def refused(gateway: RunningGateway, *fields: str, source: str = "") -> Answer:
    """Return the answer to a refused client."""
    local = (source, 0) if source else None
    client = RawClient(*await asyncio.open_connection(gateway.host, gateway.port, local_addr=local))
    client.write(request(*fields))
    answer = await client.answer()
    client.vanish()
    return answer


async def status_when_there_is_room(gateway: RunningGateway, text: str) -> int:
    """Retry until there is room, and return the status; connections hold their place until gone."""
    while True:
        async with raw_client(gateway.host, gateway.port) as client:
            client.write(text)
            status = (await client.answer()).status
        if status != 503:
            return status


def retry_after(answer: Answer) -> tuple[int, int]:
    """Return the status and the seconds of Retry-After."""
    assert answer.values("Connection") == ["close"]
    (seconds,) = answer.values("Retry-After")
    return answer.status, int(seconds)


async def read_to_the_end(client: ClientConnection) -> None:
    async for _ in client:
        pass


async def works(client: Any, served: ServerConnection) -> None:
    await client.send("there")
    assert await served.recv() == "there"
    await served.send("and back")
    assert await client.recv() == "and back"


class TestSessionsInAll:
    async def test_client_over_the_limit_is_refused_with_retry_after(
        self, start_gateway: StartGateway, backend: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(backend, limits={"max-sessions": 2})
        async with connect(gateway.url) as one, connect(gateway.url) as two:
            status, seconds = retry_after(await refused(gateway))
            assert status == 503
            assert 5 <= seconds <= 15
            assert gateway.count("refused_max_sessions") == 1
            assert gateway.count("handshakes_refused") == 1
            assert backend.accepted == 2
            await works(one, await backend.connection())
            await works(two, await backend.connection())
            await one.close()
            async with connect(gateway.url) as three:
                await works(three, await backend.connection())
        assert gateway.count("sessions") == 3
        assert gateway.count("refused_max_sessions") == 1

    async def test_connection_without_a_request_counts(
        self, start_gateway: StartGateway, backend: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(backend, limits={"max-sessions": 1})
        async with raw_client(gateway.host, gateway.port) as silent:
            assert retry_after(await refused(gateway))[0] == 503
            silent.write(request())
            assert (await silent.answer()).status == 101
        await until(lambda: not len(gateway.gateway.sessions))
        async with connect(gateway.url):
            pass

    async def test_silent_connection_over_the_limit_is_answered(
        self, start_gateway: StartGateway, backend: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(backend, limits={"max-sessions": 1})
        async with connect(gateway.url), raw_client(gateway.host, gateway.port) as silent:
            assert retry_after(await silent.answer())[0] == 503
        assert gateway.count("refused_max_sessions") == 1
        assert gateway.count("handshakes_too_slow") == 0

    async def test_failed_handshake_frees_its_place(
        self, start_gateway: StartGateway, backend: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(
            backend, limits={"max-sessions": 1, "handshake-timeout": "2s"}
        )
        await backend.down()
        for text, status in (("nonsense\r\n\r\n", 400), ("GET", 408), (request(), 502)):
            assert await status_when_there_is_room(gateway, text) == status
        await backend.up()
        assert await status_when_there_is_room(gateway, request()) == 101

    async def test_clients_over_the_refusal_limit_wait_for_their_answer(
        self, start_gateway: StartGateway, backend: ScriptedBackend
    ) -> None:
        """Up to 64 refused clients are open at a time; the others wait in the system's queue."""
        gateway = await start_gateway(backend, limits={"max-sessions": 1})
        async with connect(gateway.url) as client, crowd(gateway, 80) as clients:
            served = await backend.connection()
            await until(lambda: gateway.count("accept_pauses"))
            await works(client, served)
            for one in clients:
                one.write(request())
            answers = await asyncio.gather(*(one.answer() for one in clients))
            assert {retry_after(answer)[0] for answer in answers} == {503}
        assert gateway.count("refused_max_sessions") == 80
        assert gateway.count("handshakes_refused") == 80


class TestSessionsPerAddress:
    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no 127.0.0.2")
    async def test_address_over_its_limit_gets_429_and_others_are_served(
        self, start_gateway: StartGateway, backend: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(backend, limits={"max-sessions-per-address": 2})
        async with connect(gateway.url) as one, connect(gateway.url):
            assert retry_after(await refused(gateway)) == (429, 10)
            async with connect(gateway.url, local_addr=("127.0.0.2", 0)):
                assert retry_after(await refused(gateway)) == (429, 10)
            assert gateway.count("refused_max_sessions_per_address") == 2
            await one.close()
            async with connect(gateway.url):
                pass
        assert backend.accepted == 4

    async def test_clients_behind_a_trusted_proxy_are_counted_separately(
        self, start_gateway: StartGateway, backend: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(
            backend,
            server={
                "frontend": {"address": "127.0.0.1:0"},
                "trusted-proxies": ["127.0.0.0/8", "10.0.0.0/8"],
            },
            limits={"max-sessions-per-address": 1},
        )

        def via(*chain: str) -> dict[str, str]:
            return {"X-Forwarded-For": ", ".join(chain)}

        async with (
            connect(gateway.url, additional_headers=via("192.0.2.1")) as one,
            connect(gateway.url, additional_headers=via("192.0.2.2", "10.0.0.1")),
            connect(gateway.url, additional_headers=via("2001:db8::1")),
        ):
            for chain in ("192.0.2.1", "192.0.2.9, 192.0.2.2", "2001:db8::2"):
                answer = await refused(gateway, f"X-Forwarded-For: {chain}")
                assert retry_after(answer) == (429, 10)
            assert gateway.count("refused_max_sessions_per_address") == 3
            assert gateway.count("handshakes_refused") == 3
            await one.close()
            async with connect(gateway.url, additional_headers=via("192.0.2.1")):
                pass
        assert backend.accepted == 4

    async def test_only_some_of_many_refused_clients_of_an_address_are_answered(
        self, start_gateway: StartGateway, backend: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(backend, limits={"max-sessions-per-address": 1})
        async with connect(gateway.url) as client, crowd(gateway, 30) as clients:
            for one in clients:
                one.write(request())
            answers = await asyncio.gather(
                *(one.answer() for one in clients), return_exceptions=True
            )
            told = [answer for answer in answers if isinstance(answer, Answer)]
            assert [retry_after(answer) for answer in told] == [(429, 10)] * 16
            broken = (ConnectionError, asyncio.IncompleteReadError)
            assert sum(isinstance(answer, broken) for answer in answers) == 14
            await works(client, await backend.connection())
        assert gateway.count("refused_max_sessions_per_address") == 30
        assert gateway.count("handshakes_refused") == 16


async def test_handshakes_over_the_rate_get_503_with_retry_after(
    start_gateway: StartGateway, backend: ScriptedBackend
) -> None:
    gateway = await start_gateway(backend, limits={"max-handshakes-per-second": 2})
    async with crowd(gateway, 3) as clients:
        for client in clients:
            client.write(request())
        answers = await asyncio.gather(*(client.answer() for client in clients))
    assert sorted(answer.status for answer in answers) == [101, 101, 503]
    (answer,) = [answer for answer in answers if answer.status != 101]
    assert 1 <= retry_after(answer)[1] <= 5
    assert gateway.count("refused_max_handshakes_per_second") == 1
    await until(lambda: not len(gateway.gateway.sessions))
    await asyncio.sleep(0.6)  # long enough for another handshake
    async with connect(gateway.url):
        pass


@pytest.mark.parametrize("turns", range(5))
async def test_clients_of_a_stopping_gateway_are_answered_or_aborted(
    start_gateway: StartGateway, backend: ScriptedBackend, turns: int
) -> None:
    """Covers clients in the accept queue, without a transport, and in their handshake."""
    gateway = await start_gateway(backend)

    async def stop() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await gateway.gateway.stop()

    stopping = asyncio.create_task(stop())
    async with crowd(gateway, 100) as clients:
        answers = await asyncio.gather(
            *(client.answer() for client in clients), return_exceptions=True
        )
    await stopping
    told = [answer for answer in answers if isinstance(answer, Answer)]
    assert {answer.status for answer in told} <= {503}
    broken = (ConnectionError, asyncio.IncompleteReadError)
    assert sum(isinstance(answer, broken) for answer in answers) == 100 - len(told)
    assert gateway.count("handshakes_refused") == len(told)


class TestTime:
    async def test_silent_client_is_closed_and_active_ones_stay(
        self, start_gateway: StartGateway, backend: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(backend, limits={"client-idle-timeout": "2s"})
        options: dict[str, Any] = {"compression": None, "ping_interval": None}
        async with (
            connect(gateway.url, **options) as pinging,
            raw_websocket(gateway.url) as writing,
            connect(gateway.url, **options) as silent,
        ):
            first, second, third = [await backend.connection() for _ in range(3)]
            writing.client.write(b"\x82\xfe\x01\x00\0\0\0\0")  # the head of a frame with 256 bytes
            sent = 0
            closed = asyncio.create_task(read_to_the_end(silent))
            while not closed.done():
                with contextlib.suppress(ConnectionClosed):  # the backend connection closes first
                    await third.send("what comes from the backend does not count")
                await (await pinging.ping())
                if sent < 255:
                    writing.client.write(b"x")  # one byte of the frame at a time
                    sent += 1
                await asyncio.sleep(0.05)
            assert (silent.close_code, silent.close_reason) == (
                1001,
                "client was silent for too long",
            )
            await third.wait_closed()
            assert third.close_code == 1001
            await works(pinging, first)
            writing.client.write(b"x" * (256 - sent))
            assert await second.recv() == b"x" * 256
        assert gateway.count("idle_clients_closed") == 1
        assert gateway.count("undelivered_messages") == 0

    async def test_session_is_closed_at_its_maximum_lifetime(
        self, start_gateway: StartGateway, backend: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(backend, limits={"max-session-life": "2s"})
        async with connect(gateway.url, ping_interval=0.02) as client:
            served = await backend.connection()
            await works(client, served)
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert (client.close_code, client.close_reason) == (
                1001,
                "maximum session time reached",
            )
            await served.wait_closed()
            assert served.close_code == 1001
        assert gateway.count("old_sessions_closed") == 1
        assert gateway.count("idle_clients_closed") == 0

    async def test_incomplete_head_is_answered_408_after_the_handshake_timeout(
        self, start_gateway: StartGateway, backend: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(backend, limits={"handshake-timeout": "100ms"})
        async with raw_client(gateway.host, gateway.port) as client:
            client.write(request()[:-2])
            assert (await client.answer()).status == 408
        assert gateway.count("handshakes_too_slow") == 1
        assert backend.accepted == 0

    async def test_dial_time_does_not_count_for_the_handshake_timeout(
        self, start_gateway: StartGateway, backend: ScriptedBackend
    ) -> None:
        """A dial has its own timeout."""
        await backend.down()
        slow = await asyncio.start_server(answer_late, "127.0.0.1", 0)
        async with slow:
            port = slow.sockets[0].getsockname()[1]
            gateway = await start_gateway(
                f"ws://127.0.0.1:{port}", limits={"handshake-timeout": "100ms"}
            )
            answer = await refused(gateway)
        assert answer.status == 404
        assert gateway.count("handshakes_too_slow") == 0


async def answer_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(0.3)
    writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    writer.close()


class TestHeads:
    @pytest.mark.parametrize("over", [0, 1])
    async def test_head_over_the_byte_limit_is_answered_431(
        self, start_gateway: StartGateway, backend: ScriptedBackend, over: int
    ) -> None:
        gateway = await start_gateway(backend, limits={"max-header-bytes": 2 * KIB})
        padding = 2 * KIB + over - len(request("X-Long: "))
        async with raw_client(gateway.host, gateway.port) as client:
            client.write(request(f"X-Long: {'x' * padding}"))
            assert (await client.answer()).status == (431 if over else 101)
        assert gateway.count("heads_too_large") == over
        assert gateway.count("handshakes_refused") == over
        assert backend.accepted == 1 - over

    @pytest.mark.parametrize("over", [0, 1])
    async def test_head_over_the_header_count_is_answered_431(
        self, start_gateway: StartGateway, backend: ScriptedBackend, over: int
    ) -> None:
        gateway = await start_gateway(backend, limits={"max-header-count": 20})
        usual = request().count("\r\n") - 2
        async with raw_client(gateway.host, gateway.port) as client:
            client.write(request(*("X: y" for _ in range(20 + over - usual))))
            assert (await client.answer()).status == (431 if over else 101)
        assert gateway.count("headers_too_many") == over
        assert gateway.count("handshakes_refused") == over
        assert backend.accepted == 1 - over


class TestMessages:
    @pytest.mark.parametrize("fragments", [1, 4])
    async def test_message_over_the_size_limit_is_closed_with_1009(
        self, start_gateway: StartGateway, backend: ScriptedBackend, fragments: int
    ) -> None:
        gateway = await start_gateway(backend, limits={"max-message-size": 8 * KIB})
        part = b"x" * (8 * KIB // fragments)
        async with connect(gateway.url, compression=None) as client:
            served = await backend.connection()
            await client.send([part] * fragments)
            assert await served.recv() == part * fragments
            assert gateway.count("messages_too_big") == 0
            await client.send([part] * (fragments - 1) + [part + b"x"])
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 1009
            await served.wait_closed()
            assert served.close_code == 1001
        assert gateway.count("messages_too_big") == 1
        assert gateway.count("client_violations") == 1

    async def test_message_over_the_fragment_limit_is_closed_with_1008(
        self, start_gateway: StartGateway, backend: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(backend, limits={"max-fragments": 5})
        async with connect(gateway.url, compression=None) as client:
            served = await backend.connection()
            await client.send(["a"] * 4)  # the library adds an empty last fragment
            assert await served.recv() == "aaaa"
            assert gateway.count("messages_too_fragmented") == 0
            await client.send(["a"] * 5)
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 1008
            assert client.close_reason == "message of more than 5 fragments"
            await served.wait_closed()
            assert served.close_code == 1001
        assert gateway.count("messages_too_fragmented") == 1
        assert gateway.count("client_violations") == 1


async def test_limit_above_the_open_file_limit_causes_a_warning(
    start_gateway: StartGateway, backend: ScriptedBackend, caplog: pytest.LogCaptureFixture
) -> None:
    await start_gateway(backend, limits={"max-sessions": 1_000_000_000})
    (warning,) = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert warning.startswith("limits.max-sessions is 1000000000, but the open-file limit")
