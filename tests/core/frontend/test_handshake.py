"""Opening handshakes over real sockets, with scripted backends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace

import pytest

from wsgw_core.api import Close, Handshake, Headers, Limits, Refusal
from wsgw_core.config.patterns import OriginPattern
from wsgw_core.frontend import handshake
from wsgw_core.frontend.admission import Admission
from wsgw_core.frontend.trusted_proxies import TrustedProxies
from wsgw_core.testing.fakes import Accept, Decline, FakeBackend, Fault, Hang, Unavailable

from ..websocket.raw_frames import CLOSE, TEXT, RawFrame, close_frame, frame, read_frame
from .frontend_bench import ACCEPT, KEY, TIMEOUT, USUAL, FrontendBench, RawClient, request


async def next_frame(client: RawClient) -> RawFrame:
    async with asyncio.timeout(TIMEOUT):
        return await read_frame(client.reader)


class TestAccepted:
    async def test_the_answer_follows_rfc_6455(self) -> None:
        async with FrontendBench() as bench:
            client = await bench.connect(request())
            status, headers = await client.read_head()
            assert status == 101
            assert dict(headers) == {
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Accept": ACCEPT,
            }

    @pytest.mark.parametrize(
        "lines",
        [
            ("Upgrade: websocket", "Connection: keep-alive, Upgrade"),
            ("Upgrade: websocket", "Connection: keep-alive", "Connection: upgrade"),
            ("UPGRADE: WebSocket", "CONNECTION: UPGRADE"),
            ("Upgrade:websocket", "Connection:Upgrade,keep-alive"),
        ],
    )
    async def test_unusual_but_valid_requests_are_accepted(self, lines: tuple[str, ...]) -> None:
        data = "\r\n".join(
            [
                "GET / HTTP/1.1",
                "Host: a",
                *lines,
                f"Sec-WebSocket-Key: {KEY}",
                "Sec-WebSocket-Version: 13",
                "",
                "",
            ]
        )
        async with FrontendBench() as bench:
            client = await bench.connect(data.encode())
            assert (await client.read_head())[0] == 101

    async def test_a_request_may_come_byte_by_byte(self) -> None:
        async with FrontendBench() as bench:
            client = await bench.connect()
            for byte in request():
                client.write(bytes([byte]))
                await client.writer.drain()
                await asyncio.sleep(0)
            assert (await client.read_head())[0] == 101

    async def test_the_backend_gets_the_clients_request(self) -> None:
        async with FrontendBench() as bench:
            client = await bench.connect(
                request(
                    "X-A: 1",
                    "X-A: 2",
                    "X-Secret: 1",
                    "X-Balancer-Reconnect: 1",
                    "X-Wsgw-Session: mine",
                    "X-Forwarded-For: 10.0.0.1",
                    "Sec-WebSocket-Protocol: chat, soap",
                    "Sec-WebSocket-Protocol: more",
                    line="GET /chat%20room/?a=%2F&b HTTP/1.1",
                )
            )
            assert (await client.read_head())[0] == 101
            dialled = bench.backend.requests[0]
            port = client.writer.get_extra_info("sockname")[1]
            assert dialled.path == "/chat%20room/?a=%2F&b"
            assert dialled.subprotocols == ("chat", "soap", "more")
            assert dialled.peer == f"127.0.0.1:{port}"
            assert dialled.headers == (
                ("X-A", "1"),
                ("X-A", "2"),
                ("X-Forwarded-For", "10.0.0.1, 127.0.0.1"),
                ("X-Forwarded-Proto", "http"),
                ("X-Forwarded-Host", "gateway.test"),
                ("X-Wsgw-Session", dialled.session_id),
            )
            assert len(dialled.session_id) >= 20
            assert not dialled.reconnect

    async def test_the_backend_chooses_subprotocol_and_headers(self) -> None:
        async with FrontendBench() as bench:
            bench.backend.will(Accept("soap", (("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"))))
            client = await bench.connect(request("Sec-WebSocket-Protocol: chat, soap"))
            status, headers = await client.read_head()
            assert status == 101
            assert ("Sec-WebSocket-Protocol", "soap") in headers
            assert [value for name, value in headers if name == "Set-Cookie"] == ["a=1", "b=2"]

    async def test_the_answer_waits_for_the_backend(self) -> None:
        async with FrontendBench() as bench:
            bench.backend.otherwise = Hang()
            client = await bench.connect(request())
            await bench.backend.until_dialled(1)
            reading = asyncio.create_task(client.read_head())
            for _ in range(10):
                await asyncio.sleep(0)
            assert not reading.done()
            reading.cancel()

    @pytest.mark.parametrize("after", [0.0, 0.05])
    async def test_messages_may_come_before_the_answer(self, after: float) -> None:
        async with FrontendBench() as bench:
            bench.backend.will(Accept(after=after))
            early = b"".join(frame(TEXT, str(number).encode()) for number in range(100))
            client = await bench.connect(request() + early[:150])
            await bench.backend.until_dialled(1)
            client.write(early[150:] + frame(TEXT, b"x" * 200_000))
            connection = await bench.backend.connection()
            await connection.until_received(101)
            assert connection.texts[:100] == [str(number) for number in range(100)]
            assert connection.texts[100] == "x" * 200_000

    async def test_a_close_may_come_before_the_answer_after_messages(self) -> None:
        async with FrontendBench() as bench:
            bench.backend.will(Accept(after=0.05))
            early = frame(TEXT, b"A") + frame(TEXT, b"B") + frame(CLOSE, b"\x0f\xa0bye")
            client = await bench.connect(request() + early)
            assert (await client.read_head())[0] == 101
            await client.read_to_end()
            [connection] = bench.backend.connections
            assert connection.texts == ["A", "B"]
            assert connection.close_request is None
            connection.acknowledge()
            assert connection.close_request == Close(4000, "bye")

    async def test_the_backend_gets_the_path_of_an_absolute_uri(self) -> None:
        async with FrontendBench() as bench:
            line = "GET ws://gateway.test:80/chat?a=%2F HTTP/1.1"
            client = await bench.connect(request(line=line))
            assert (await client.read_head())[0] == 101
            asked = bench.backend.requests[0]
            assert asked.path == "/chat?a=%2F"
            assert ("X-Forwarded-Host", "gateway.test") in asked.headers

    async def test_reading_pauses_after_many_bytes_before_the_answer(self) -> None:
        async with FrontendBench() as bench:
            bench.backend.otherwise = Hang()
            client = await bench.connect(request())
            await bench.backend.until_dialled(1)
            client.write(b"x" * 32 * 1024 * 1024)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):  # room for what must not happen
                    await client.writer.drain()
            client.writer.transport.abort()

    async def test_messages_pass_both_ways_and_the_close_too(self) -> None:
        async with FrontendBench() as bench:
            client = await bench.connect(request())
            await client.read_head()
            connection = await bench.backend.connection()
            client.write(frame(TEXT, b"A"))
            await connection.until_received(1)
            connection.acknowledge()  # or the close would wait for it
            connection.reply("1")
            assert await next_frame(client) == RawFrame(TEXT, b"1")
            client.write(close_frame(4000, "bye"))
            assert (await next_frame(client)).opcode == CLOSE
            close = await connection.until_close_requested()
            assert (close.code, close.reason) == (4000, "bye")
            assert await client.read_to_end() == b""


class TestRefused:
    @pytest.mark.parametrize(
        ("data", "status"),
        [
            (request(line="POST /chat HTTP/1.1"), 405),
            (request(line="GET /chat HTTP/1.0"), 426),
            (request(line="GET http://elsewhere/chat HTTP/1.1"), 400),
            (request(without="Upgrade"), 426),
            (request("Upgrade: h2c", without="Upgrade"), 426),
            (request(without="Connection"), 400),
            (request(without="Sec-WebSocket-Key"), 400),
            (request("Content-Length: 5"), 413),
            (request("Transfer-Encoding: chunked"), 400),
            (request("a header without a colon"), 400),
            (b"\x16\x03\x01", 400),
            (b"GET / HTTP/1.1\nHost: a\n\n", 400),
            (b"\r\n\r\n", 400),
        ],
    )
    async def test_a_request_that_is_no_handshake_is_refused(
        self, data: bytes, status: int
    ) -> None:
        async with FrontendBench() as bench:
            answered, _, body = await bench.refusal(data)
            assert answered == status
            assert body
            assert bench.backend.requests == []
            assert bench.relay.counters.handshakes_refused.value == 1
            assert bench.relay.counters.handshakes_malformed.value == 1

    async def test_a_browser_from_another_site_is_refused_and_counted(self) -> None:
        async with FrontendBench() as bench:
            origins = (OriginPattern.parse("https://app.example"),)
            bench.frontend.serve_by(replace(bench.settings, origins=origins), None)
            evil = request("Origin: https://evil.example")
            status, _, body = await bench.refusal(evil)
            assert (status, body) == (403, b"origin not allowed\n")
            assert bench.relay.counters.origins_refused.value == 1
            client = await bench.connect(request("Origin: https://app.example"))
            assert (await client.read_head())[0] == 101
            assert bench.relay.counters.origins_refused.value == 1

    async def test_an_answer_to_head_has_no_body(self) -> None:
        async with FrontendBench() as bench:
            status, headers, body = await bench.refusal(request(line="HEAD /chat HTTP/1.1"))
            assert (status, body) == (405, b"")
            assert ("Allow", "GET") in headers

    @pytest.mark.parametrize("versions", [(), ("8",), ("13", "8"), ("13", "13")])
    async def test_other_versions_are_answered_426(self, versions: tuple[str, ...]) -> None:
        lines = [f"Sec-WebSocket-Version: {version}" for version in versions]
        async with FrontendBench() as bench:
            status, headers, _ = await bench.refusal(
                request(*lines, without="Sec-WebSocket-Version")
            )
            assert status == 426
            assert ("Sec-WebSocket-Version", "13") in headers
            assert ("Upgrade", "websocket") in headers
            assert ("Connection", "upgrade, close") in headers

    async def test_clients_that_were_answered_do_not_count_as_abandoned(self) -> None:
        async with FrontendBench(max_header_bytes=500) as bench:
            await bench.refusal(request("X-Large: " + "x" * 1000))
            await bench.refusal(request(line="POST /chat HTTP/1.1"))
            client = await bench.connect(request())
            assert (await client.read_head())[0] == 101
        assert bench.relay.counters.handshakes_abandoned.value == 0

    async def test_a_large_head_is_answered_431(self) -> None:
        async with FrontendBench(max_header_bytes=1000) as bench:
            status, _, _ = await bench.refusal(request("X-Large: " + "x" * 1000))
            assert status == 431
            assert bench.relay.counters.heads_too_large.value == 1

    async def test_an_endless_head_is_answered_431(self) -> None:
        async with FrontendBench(max_header_bytes=1000) as bench:
            status, _, _ = await bench.refusal(b"GET /" + b"x" * 1000)
            assert status == 431

    async def test_a_head_of_exactly_the_limit_is_taken(self) -> None:
        async with FrontendBench(max_header_bytes=1000) as bench:
            padding = 1000 - len(request("X-Large: "))
            client = await bench.connect(request("X-Large: " + "x" * padding))
            assert (await client.read_head())[0] == 101

    async def test_too_many_headers_are_answered_431(self) -> None:
        async with FrontendBench(max_header_count=10) as bench:
            more = [f"X-{number}: 1" for number in range(10 - len(USUAL))]
            client = await bench.connect(request(*more))
            assert (await client.read_head())[0] == 101
            status, _, _ = await bench.refusal(request(*more, "X-Last: 1"))
            assert status == 431
            assert bench.relay.counters.headers_too_many.value == 1

    @pytest.mark.parametrize(
        "lines", [tuple(f"X-{number}: 1" for number in range(500)), ("X-Large: " + "x" * 60_000,)]
    )
    async def test_only_the_configured_limits_apply(self, lines: tuple[str, ...]) -> None:
        async with FrontendBench(max_header_count=1000) as bench:
            client = await bench.connect(request(*lines))
            assert (await client.read_head())[0] == 101

    @pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\n"])
    async def test_a_slow_client_is_answered_408(self, data: bytes) -> None:
        async with FrontendBench(timeout=0.02) as bench:
            status, _, _ = await bench.refusal(data)
            assert status == 408
            assert bench.relay.counters.handshakes_too_slow.value == 1

    async def test_a_slow_dial_does_not_count_as_a_slow_client(self) -> None:
        async with FrontendBench(timeout=0.02) as bench:
            bench.backend.will(Accept(after=0.1))
            client = await bench.connect(request())
            assert (await client.read_head())[0] == 101

    async def test_bytes_after_a_refused_request_are_ignored(self) -> None:
        async with FrontendBench() as bench:
            client = await bench.connect(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + request() * 100)
            client.write(b"x" * 300_000)
            status, _, body = await client.read_refusal()
            assert status == 426
            assert b"HTTP/" not in body
            assert bench.backend.requests == []

    async def test_a_client_that_has_sent_too_much_is_read_again_after_its_refusal(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(handshake, "_LINGER", 10 * TIMEOUT)
        async with FrontendBench() as bench:
            bench.backend.otherwise = Hang()
            client = await bench.connect(request())
            await bench.backend.until_dialled(1)
            client.write(b"x" * 32 * 1024 * 1024)
            paused_at = 4 * (64 * 1024 + len(request()))
            async with asyncio.timeout(TIMEOUT):
                while bench.settings.admission.opening_bytes <= paused_at:  # noqa: ASYNC110 - nothing tells when
                    await asyncio.sleep(0)
            closing = asyncio.create_task(bench.frontend.close(TIMEOUT))
            assert (await client.read_refusal())[0] == 503
            async with asyncio.timeout(TIMEOUT):
                await client.writer.drain()
            client.writer.close()
            await closing

    async def test_too_many_refused_clients_of_a_network_get_no_answer(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(handshake, "_LINGER", 10 * TIMEOUT)
        async with FrontendBench() as bench:
            counters, clock = bench.relay.counters, bench.relay.context.clock
            admission = Admission(TrustedProxies(), counters, clock, max_per_address=0)
            bench.frontend.serve_by(replace(bench.settings, admission=admission), None)
            waiting = [await bench.connect() for _ in range(16)]
            further = await bench.connect()
            assert await further.read_to_end() == b""
            for client in waiting:
                client.write(request())
                assert (await client.read_refusal())[0] == 429

    async def test_a_refused_client_causes_no_dial(self) -> None:
        async with FrontendBench(timeout=0.02) as bench:
            client = await bench.connect(b"GET / HTTP/1.1\r\n")
            await client.read_head()
            client.write(request())
            await client.read_to_end()
            assert bench.backend.requests == []


class TestWithoutABackend:
    async def test_if_all_dials_fail_the_answer_is_502(self) -> None:
        async with FrontendBench() as bench:
            bench.relay.blue.otherwise = Unavailable("secret reason")
            bench.relay.green.otherwise = Fault(LookupError("secret bug"))
            status, _, body = await bench.refusal(request())
            assert status == 502
            assert b"secret" not in body

    async def test_while_clients_are_not_accepted_the_answer_is_503(self) -> None:
        async with FrontendBench() as bench:
            bench.opener.accepting = False
            status, headers, _ = await bench.refusal(request())
            assert status == 503
            assert ("Retry-After", "1") in headers
            assert bench.backend.requests == []

    async def test_a_client_that_leaves_cancels_its_dial(self) -> None:
        async with FrontendBench() as bench:
            bench.backend.otherwise = Hang()
            client = await bench.connect(request())
            await bench.backend.until_dialled(1)
            client.writer.close()
            async with asyncio.timeout(TIMEOUT):
                while not bench.backend.cancelled:  # noqa: ASYNC110 - nothing tells when
                    await asyncio.sleep(0.001)
            assert bench.relay.green.requests == []

    @pytest.mark.parametrize("size", [5, 30_000])
    async def test_a_client_that_sends_and_leaves_cancels_its_dial(self, size: int) -> None:
        async with FrontendBench() as bench:
            bench.backend.otherwise = Hang()
            client = await bench.connect(request() + frame(TEXT, b"x" * size))
            await bench.backend.until_dialled(1)
            client.write(frame(TEXT, b"more") + frame(CLOSE, b"\x03\xe8"))
            client.writer.close()
            async with asyncio.timeout(TIMEOUT):
                while not bench.backend.cancelled:  # noqa: ASYNC110 - nothing tells when
                    await asyncio.sleep(0.001)
            assert bench.backend.connections == []
            assert bench.relay.green.requests == []
            assert len(bench.relay.table) == 0
            assert bench.relay.counters.handshakes_abandoned.value == 1

    async def test_a_gateway_that_stops_answers_503_and_ends_the_dial(self) -> None:
        async with FrontendBench() as bench:
            bench.backend.otherwise = Hang()
            client = await bench.connect(request())
            await bench.backend.until_dialled(1)
            closing = asyncio.create_task(bench.frontend.close(TIMEOUT))
            status, _, _ = await client.read_refusal()
            assert status == 503
            client.writer.close()
            await closing
            async with asyncio.timeout(TIMEOUT):
                while not bench.backend.cancelled:  # noqa: ASYNC110 - nothing tells when
                    await asyncio.sleep(0.001)

    async def test_a_dial_that_ends_after_the_refusal_changes_nothing(self) -> None:
        async with FrontendBench() as bench:
            bench.relay.blue.will(Accept(after=0.05))
            client = await bench.connect(request())
            await bench.backend.until_dialled(1)
            closing = asyncio.create_task(bench.frontend.close(TIMEOUT))
            assert (await client.read_refusal())[0] == 503
            await closing
            assert len(bench.relay.table) == 0
            assert all(each.active == 0 for each in bench.relay.pooled)


class TestDeclined:
    async def test_the_answer_is_the_backends(self) -> None:
        theirs = (
            ("WWW-Authenticate", "Basic"),
            ("www-authenticate", "Bearer"),
            ("Location", "https://elsewhere.test/"),
            ("Retry-After", "7"),
            ("Content-Type", "text/html"),
            ("Content-Length", "99"),
            ("Transfer-Encoding", "chunked"),
            ("Set-Cookie", "a=1"),
            ("Server", "secret"),
            ("Connection", "keep-alive"),
        )
        async with FrontendBench() as bench:
            bench.backend.will(Decline(401, theirs, b"<p>no"))
            status, headers, body = await bench.refusal(request())
            assert (status, body) == (401, b"<p>no")
            assert headers == (
                ("WWW-Authenticate", "Basic"),
                ("www-authenticate", "Bearer"),
                ("Location", "https://elsewhere.test/"),
                ("Retry-After", "7"),
                ("Content-Type", "text/html"),
                ("Content-Length", "5"),
                ("Connection", "close"),
            )
            assert bench.relay.green.requests == []

    @pytest.mark.parametrize(
        ("status", "demanded"),
        [
            (405, (("Allow", "GET, HEAD"),)),
            (426, (("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13, 8"))),
            (400, (("Sec-WebSocket-Version", "13"),)),
        ],
    )
    async def test_a_declining_answer_keeps_the_headers_of_its_status(
        self, status: int, demanded: tuple[tuple[str, str], ...]
    ) -> None:
        async with FrontendBench() as bench:
            bench.backend.will(Decline(status, (*demanded, ("Server", "secret"))))
            answered, headers, _ = await bench.refusal(request())
            assert answered == status
            assert headers[: len(demanded)] == demanded
            options = "upgrade, close" if "Upgrade" in dict(demanded) else "close"
            assert ("Connection", options) in headers
            assert "Server" not in dict(headers)

    async def test_407_is_about_a_proxy_and_becomes_502(self) -> None:
        async with FrontendBench() as bench:
            for backend in (bench.relay.blue, bench.relay.green):
                backend.otherwise = Decline(407, (("Proxy-Authenticate", "Basic"),), b"log in")
            status, headers, body = await bench.refusal(request())
            assert status == 502
            assert "Proxy-Authenticate" not in dict(headers)
            assert b"log in" not in body

    @pytest.mark.parametrize("status", [301, 302, 403, 404, 418, 429, 499])
    async def test_every_declining_status_is_passed_on(self, status: int) -> None:
        async with FrontendBench() as bench:
            bench.backend.will(Decline(status))
            assert (await bench.refusal(request()))[0] == status


class Gate:
    """Calls the test's function."""

    def __init__(self, verdict: Refusal | None = None, add: Headers = ()) -> None:
        self._verdict = verdict
        self._add = add
        self.asked = 0

    def admit(self, handshake: Handshake) -> Refusal | None | Awaitable[Refusal | None]:
        self.asked += 1
        handshake.headers = (*handshake.headers, *self._add)
        return self._verdict


class SlowGate(Gate):
    """The same, asynchronously."""

    async def _slowly(self, handshake: Handshake) -> Refusal | None:
        await asyncio.sleep(0.001)
        verdict = super().admit(handshake)
        assert verdict is None or isinstance(verdict, Refusal)
        return verdict

    def admit(self, handshake: Handshake) -> Awaitable[Refusal | None]:
        return self._slowly(handshake)


class FaultyGate:
    """Has a bug, or waits for a task that was cancelled."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def admit(self, handshake: Handshake) -> Refusal | None:
        raise self._error


class TestGates:
    @pytest.mark.parametrize("kind", [Gate, SlowGate])
    async def test_a_gates_refusal_is_answered_without_a_dial(self, kind: type[Gate]) -> None:
        gates = (Gate(), kind(Refusal(402, (("X-Why", "money"),), b"pay\n")), Gate())
        async with FrontendBench(gates=gates) as bench:
            status, headers, body = await bench.refusal(request())
            assert (status, body) == (402, b"pay\n")
            assert ("X-Why", "money") in headers
            assert [gate.asked for gate in gates] == [1, 1, 0]
            assert bench.backend.requests == []

    @pytest.mark.parametrize("kind", [Gate, SlowGate])
    async def test_a_gate_may_change_the_headers(self, kind: type[Gate]) -> None:
        async with FrontendBench(gates=(kind(add=(("X-User", "alice"),)),)) as bench:
            client = await bench.connect(request())
            assert (await client.read_head())[0] == 101
            assert ("X-User", "alice") in bench.backend.requests[0].headers

    @pytest.mark.parametrize("error", [LookupError("secret bug"), asyncio.CancelledError("secret")])
    async def test_a_fault_in_a_gate_is_answered_500(self, error: BaseException) -> None:
        async with FrontendBench(gates=(FaultyGate(error),)) as bench:
            status, _, body = await bench.refusal(request())
            assert status == 500
            assert b"secret" not in body


class TestListener:
    async def test_closing_the_frontend_closes_its_clients(self) -> None:
        async with FrontendBench() as bench:
            client = await bench.connect(request())
            await client.read_head()
            closing = asyncio.create_task(bench.frontend.close(TIMEOUT))
            close = await next_frame(client)
            assert close.opcode == CLOSE
            assert close.payload[:2] == (1012).to_bytes(2, "big")
            client.write(close_frame(1012))
            assert await client.read_to_end() == b""
            await closing

    async def test_clients_that_do_not_answer_are_dropped(self) -> None:
        async with FrontendBench(limits=Limits(close_timeout=1000)) as bench:
            client = await bench.connect(request())
            await client.read_head()
            await bench.frontend.close(0.02)
            assert (await next_frame(client)).opcode == CLOSE
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await next_frame(client)

    async def test_the_frontend_knows_its_port(self) -> None:
        async with FrontendBench(FakeBackend("only")) as bench:
            assert [address.host for address in bench.frontend.addresses] == ["127.0.0.1"]
            assert bench.frontend.addresses[0].port > 0
        assert bench.frontend.addresses == ()
