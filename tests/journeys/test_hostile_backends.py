"""Backends with invalid handshake answers: nothing of them reaches the client."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterator

import pytest
from websockets.asyncio.client import connect

from wsgw_core.testing.running_gateway import RunningGateway

from .conftest import StartGateway, StartRaw
from .leak_check import no_leaks, reset
from .raw_backend import TEXT, Act, RawPeer, frame
from .raw_client import raw_client, request

OFFERS = "Sec-WebSocket-Protocol: chat, soap"
EXTENSIONS = "Sec-WebSocket-Extensions"
IMPATIENT = {"close-timeout": "100ms"}  # for backends that answer no close
BOTH, ONE = "/both", "/one"  # paths at which all backends are hostile, or only the first one


@pytest.fixture(autouse=True)
def log_lines_are_short(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Checks that log lines stay short, whatever a backend sends."""
    yield
    told = [one.getMessage() for one in caplog.get_records("call") if one.name.startswith("wsgw")]
    assert not [text for text in told if len(text) > 1000]


def saying(*parts: str | bytes) -> Act:
    """Write some bytes and wait for the end."""

    async def act(peer: RawPeer) -> None:
        for part in parts:
            await peer.write(part)
        await peer.reader.read()

    return act


def then_closing(*parts: str | bytes) -> Act:
    """Write some bytes and close."""

    async def act(peer: RawPeer) -> None:
        for part in parts:
            await peer.write(part)

    return act


def then_resetting(*parts: str | bytes, pause: float = 0.0) -> Act:
    """Write some bytes and break off."""

    async def act(peer: RawPeer) -> None:
        for part in parts:
            await peer.write(part)
        await asyncio.sleep(pause)
        reset(peer.writer)

    return act


def endlessly(head: str, more: str) -> Act:
    """Write until the connection breaks."""

    async def act(peer: RawPeer) -> None:
        await peer.write(head)
        while True:
            await peer.write(more * 1000)

    return act


def switching(*lines: str, behind: bytes = b"", **changes: str) -> Act:
    """Answer 101 with changes that make it nearly correct."""

    async def act(peer: RawPeer) -> None:
        await peer.write(peer.switching(*lines, **changes).encode("latin-1") + behind)
        await peer.reader.read()

    return act


def worded(make: Callable[[RawPeer], str | bytes]) -> Act:
    """Answer with the text that `make` returns for the request."""

    async def act(peer: RawPeer) -> None:
        await peer.write(make(peer))
        await peer.reader.read()

    return act


WRONG = {
    "no accept": switching(leave_out="Sec-WebSocket-Accept"),
    "a wrong accept": switching(
        "Sec-WebSocket-Accept: c29tZXRoaW5nIGVsc2U=", leave_out="Sec-WebSocket-Accept"
    ),
    "an empty accept": switching("Sec-WebSocket-Accept:", leave_out="Sec-WebSocket-Accept"),
    "two accepts": switching("Sec-WebSocket-Accept: c29tZXRoaW5nIGVsc2U="),
    "the key as accept": worded(
        lambda peer: peer.switching(
            f"Sec-WebSocket-Accept: {peer.header('Sec-WebSocket-Key')}",
            leave_out="Sec-WebSocket-Accept",
        )
    ),
    "an unoffered subprotocol": switching("Sec-WebSocket-Protocol: other"),
    "a subprotocol in capitals": switching("Sec-WebSocket-Protocol: CHAT"),
    "an empty subprotocol": switching("Sec-WebSocket-Protocol:"),
    "two subprotocols": switching("Sec-WebSocket-Protocol: chat, soap"),
    "two lines of subprotocols": switching(*["Sec-WebSocket-Protocol: chat"] * 2),
    "an unoffered extension": switching(f"{EXTENSIONS}: permessage-deflate"),
    "an unknown extension": switching(f"{EXTENSIONS}: constructor"),
    "no extension": switching(f"{EXTENSIONS}: ;;"),
    "no upgrade": switching(leave_out="Upgrade"),
    "another upgrade": switching("Upgrade: h2c", leave_out="Upgrade"),
    "two upgrades": switching("Upgrade: h2c"),
    "no connection": switching(leave_out="Connection"),
    "connection close": switching("Connection: close", leave_out="Connection"),
    "http/1.0": switching(version="1.0"),
    "http/2": switching(version="2"),
    "no http": saying("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    "tls": saying(b"\x15\x03\x03\x00\x02\x02\x46\r\n\r\n"),
    "nothing but an empty line": saying("\r\n\r\n"),
    "frames before the answer": worded(lambda peer: "\x81\x01A" + peer.switching()),
    "a body before the answer": worded(lambda peer: "no\r\n" + peer.switching()),
    "a bare lf": worded(lambda peer: peer.switching("X-A: a\nX-B: b")),
    "a bare cr": worded(lambda peer: peer.switching("X-A: a\rX-B: b")),
    "nul": worded(lambda peer: peer.switching("X-A: a\0b")),
    "escape": worded(lambda peer: peer.switching("X-A: \x1b[2J")),
    "obs-fold": worded(lambda peer: peer.switching("X-A: a", " b")),
    "no header name": worded(lambda peer: peer.switching(": b")),
    "a name that is not ascii": worded(lambda peer: peer.switching("X-\xc4: b")),
    "a space before the colon": worded(lambda peer: peer.switching("X-A : b")),
    "no colon": worded(lambda peer: peer.switching("X-A")),
    "a long line": worded(lambda peer: peer.switching("X-A: " + "a" * 100_000)),
    "many headers": worded(lambda peer: peer.switching(*["X-A: a"] * 20_000)),
    "many extensions": switching(f"{EXTENSIONS}: a" + ", a" * 2000),
    "an endless head": endlessly("HTTP/1.1 101 X\r\n", "X-A: a\r\n"),
    "an endless line": endlessly("HTTP/1.1 101 ", "X"),
    "endless interim answers": endlessly("", "HTTP/1.1 103 Early Hints\r\n\r\n"),
    "continue, and no more": then_closing("HTTP/1.1 100 Continue\r\n\r\n"),
    "200": saying("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"),
    "200 with a key": switching(version="1.1 200 OK\r\nX-A:"),
    "204": saying("HTTP/1.1 204 X\r\n\r\n"),
    "an endless 200": endlessly("HTTP/1.1 200 OK\r\n\r\n", "x"),
    "500": saying("HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\nno"),
    "503": saying("HTTP/1.1 503 X\r\nRetry-After: 1000000\r\n\r\n"),
    "99": saying("HTTP/1.1 99 X\r\n\r\n"),
    "600": saying("HTTP/1.1 600 X\r\n\r\n"),
    "a huge status": saying(f"HTTP/1.1 {'9' * 5000} X\r\n\r\n"),
    "a signed status": saying("HTTP/1.1 +101 X\r\n\r\n"),
    "an end at once": then_closing(),
    "an end in the head": then_closing("HTTP/1.1 101 X\r\nUpgrade: webs"),
    "a reset at once": then_resetting(),
    "a reset after a while": then_resetting(pause=0.02),
    "a reset in the head": then_resetting("HTTP/1.1 101 X\r\nUpgrade: webs"),
}


async def opens(gateway: RunningGateway, path: str) -> None:
    """Open a session that the good backend serves."""
    async with connect(gateway.url + path, subprotocols=["chat"]) as client:  # type: ignore[list-item]  # a NewType
        await client.send("served")
        assert await client.recv() == "served"


@pytest.mark.parametrize("name", WRONG)
async def test_invalid_answer_counts_as_a_failed_dial(
    start_gateway: StartGateway, start_raw: StartRaw, name: str
) -> None:
    """The client gets 502 if all backends answer like this; else another backend serves it."""
    hostile = await start_raw(WRONG[name], BOTH, ONE)
    good = await start_raw(WRONG[name], BOTH)
    names = ["X-A", "X-B", EXTENSIONS]
    gateway = await start_gateway(hostile.entry(pass_headers=names), good.entry(pass_headers=names))
    async with no_leaks(gateway):
        async with raw_client(gateway.host, gateway.port) as client:
            client.write(request(OFFERS, target=BOTH) + request(target="/pipelined"))
            answer = await client.answer()
        assert (answer.status, answer.body) == (502, b"no backend available\n")
        assert answer.names == {"connection", "content-length", "content-type"}
        for _ in range(2):  # each backend is the first once
            await opens(gateway, ONE)
        failed = hostile.asked[BOTH] + good.asked[BOTH] + hostile.asked[ONE]
        assert failed == gateway.count("dials_failed") == 3
        assert gateway.count("sessions") == gateway.count("dials_succeeded") == 3
        for nothing in ("failovers", "dials_declined", "local_dial_errors", "ws_violations"):
            assert gateway.count(nothing) == 0
        assert not hostile.asked["/pipelined"] + good.asked["/pipelined"]


SILENT = {
    "nothing": saying(),
    "half a head": saying("HTTP/1.1 101 Switching Proto"),
    "an interim answer": saying("HTTP/1.1 100 Continue\r\n\r\n"),
}


async def dribble(peer: RawPeer) -> None:
    await peer.write("HTTP/1.1 403 X\r\n\r\n")
    while True:
        await peer.write("x")
        await asyncio.sleep(0.01)


HALF_DECLINES = {
    "half a body": saying("HTTP/1.1 403 X\r\nContent-Length: 9\r\n\r\nno"),
    "a body that dribbles in": dribble,
}


@pytest.mark.parametrize("name", SILENT)
async def test_backend_that_stalls_in_its_answer_is_skipped(
    start_gateway: StartGateway, start_raw: StartRaw, name: str
) -> None:
    hostile = await start_raw(SILENT[name], BOTH, ONE)
    good = await start_raw(then_closing(), BOTH)
    gateway = await start_gateway(hostile.entry(handshake_timeout="300ms"), good.entry())
    async with no_leaks(gateway):
        async with raw_client(gateway.host, gateway.port) as client:
            client.write(request(target=BOTH))
            assert (await client.answer()).status == 502
        for _ in range(2):
            await opens(gateway, ONE)
        assert hostile.asked[ONE] >= 1


@pytest.mark.parametrize("name", HALF_DECLINES)
async def test_decline_with_an_endless_body_is_passed_on(
    start_gateway: StartGateway, start_raw: StartRaw, name: str
) -> None:
    hostile = await start_raw(HALF_DECLINES[name], BOTH)
    gateway = await start_gateway(hostile.entry(handshake_timeout="2s"))
    async with no_leaks(gateway), raw_client(gateway.host, gateway.port) as client:
        client.write(request(target=BOTH))
        assert (await client.answer()).status == 403
    assert gateway.count("dials_declined") == 1


class TestRight:
    """Unusual but valid answers."""

    async def test_frames_sent_with_the_answer_are_relayed(
        self, start_gateway: StartGateway, start_raw: StartRaw
    ) -> None:
        act = switching(behind=frame(TEXT, b"one") + frame(TEXT, b"two") + frame(TEXT, b"cut")[:3])
        backend = await start_raw(act, ONE)
        gateway = await start_gateway(backend.entry(), limits=IMPATIENT)
        async with no_leaks(gateway), connect(gateway.url + ONE) as client:
            assert [await client.recv(), await client.recv()] == ["one", "two"]

    async def test_interim_answers_before_the_101_are_ignored(
        self, start_gateway: StartGateway, start_raw: StartRaw
    ) -> None:
        interim = "HTTP/1.1 103 Early Hints\r\nX-A: interim\r\n\r\n"
        backend = await start_raw(
            worded(lambda peer: interim + peer.switching("X-A: a") + "\x81\x01A"), ONE
        )
        gateway = await start_gateway(backend.entry(pass_headers=["X-A"]), limits=IMPATIENT)
        async with no_leaks(gateway), connect(gateway.url + ONE) as client:
            assert await client.recv() == "A"
            assert client.response is not None
            assert client.response.headers.get_all("X-A") == ["a"]

    async def test_non_ascii_header_bytes_are_passed_on_unchanged(
        self, start_gateway: StartGateway, start_raw: StartRaw
    ) -> None:
        """Such bytes have crashed clients (CVE-2026-55517); towards backends wsgw is a client."""
        value = bytes(range(0x80, 0x100)) + "grüße 🐘".encode()
        head = "\r\n".join(
            ["X-A: " + value.decode("latin-1"), "Set-Cookie: \xff=\xfe", "X-B: \xe4"]
        )
        backend = await start_raw(worded(lambda peer: peer.switching(*head.split("\r\n"))), ONE)
        gateway = await start_gateway(
            backend.entry(pass_headers=["X-A", "Set-Cookie"]), limits=IMPATIENT
        )
        async with no_leaks(gateway), raw_client(gateway.host, gateway.port) as client:
            client.write(request(target=ONE))
            got = await client.reader.readuntil(b"\r\n\r\n")
            assert got.startswith(b"HTTP/1.1 101 ")
            assert b"\r\nX-A: " + value + b"\r\n" in got
            assert b"\r\nSet-Cookie: \xff=\xfe\r\n" in got
            assert b"X-B" not in got

    async def test_headers_set_by_the_gateway_cannot_be_passed_on(
        self, start_gateway: StartGateway, start_raw: StartRaw
    ) -> None:
        act = switching("Content-Length: 5", "Transfer-Encoding: chunked", "Trailer: X-A", "X-A: a")
        backend = await start_raw(act, ONE)
        names = ["Connection", "Upgrade", "Content-Length", "Transfer-Encoding", "X-A"]
        names += ["Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"]
        gateway = await start_gateway(backend.entry(pass_headers=names), limits=IMPATIENT)
        async with no_leaks(gateway), raw_client(gateway.host, gateway.port) as client:
            client.write(request(target=ONE))
            answer = await client.answer()
            assert answer.status == 101
            assert [name.lower() for name, _ in answer.fields] == [
                "upgrade",
                "connection",
                "sec-websocket-accept",
                "x-a",
            ]


def declining(head: str, body: str, *, closing: bool = False) -> Act:
    text = f"HTTP/1.1 {head}\r\n\r\n{body}"
    return then_closing(text) if closing else saying(text)


DECLINED = {
    "a body": (declining("403 X\r\nContent-Length: 5", "no way"), 403, b"no wa"),
    "chunks": (
        declining("403 X\r\nTransfer-Encoding: chunked", "2;x=y\r\nno\r\n0\r\nX-A: a\r\n\r\n"),
        403,
        b"no",
    ),
    "a body to the end": (declining("403 X", "no", closing=True), 403, b"no"),
    "a cut body": (declining("403 X\r\nContent-Length: 5", "no", closing=True), 403, b""),
    "broken chunks": (declining("403 X\r\nTransfer-Encoding: chunked", "-1\r\n"), 403, b""),
    "a huge chunk": (declining("403 X\r\nTransfer-Encoding: chunked", "ffffffff\r\n"), 403, b""),
    "a huge body": (declining("403 X\r\nContent-Length: 99999999999", ""), 403, b""),
    "no length": (declining("403 X\r\nContent-Length: -5", ""), 403, b""),
    "two lengths": (declining("403 X\r\nContent-Length: 1\r\nContent-Length: 2", "ab"), 403, b""),
    "length and chunks": (
        declining(
            "403 X\r\nContent-Length: 1\r\nTransfer-Encoding: chunked", "2\r\nno\r\n0\r\n\r\n"
        ),
        403,
        b"no",
    ),
    "another coding": (declining("403 X\r\nTransfer-Encoding: gzip, chunked", "x"), 403, b""),
    "a second answer": (
        declining("403 X\r\nContent-Length: 2", "noHTTP/1.1 200 OK\r\n\r\nsmuggled"),
        403,
        b"no",
    ),
    "an endless body": (endlessly("HTTP/1.1 403 X\r\n\r\n", "x"), 403, b""),
    "endless chunks": (
        endlessly("HTTP/1.1 403 X\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
        403,
        b"",
    ),
    "an endless trailer": (
        endlessly("HTTP/1.1 403 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X: x\r\n"),
        403,
        b"",
    ),
    "304": (declining("304 X\r\nContent-Length: 5", ""), 304, b""),
    "499": (declining("499 \xfc", "", closing=True), 499, b""),
}


@pytest.mark.parametrize("name", DECLINED)
async def test_malformed_decline_is_passed_on_well_formed(
    start_gateway: StartGateway, start_raw: StartRaw, name: str
) -> None:
    act, status, body = DECLINED[name]
    backend = await start_raw(act, ONE)
    gateway = await start_gateway(backend.entry(pass_headers=["X-A"]))
    async with no_leaks(gateway):
        async with raw_client(gateway.host, gateway.port) as client:
            client.write(request(target=ONE) + request(target="/pipelined"))
            answer = await client.answer()
        assert (answer.status, answer.body) == (status, body)
        assert answer.values("Connection") == ["close"]
        assert answer.values("Content-Length") == [str(len(body))]
        assert answer.values("Transfer-Encoding") == answer.values("X-A") == []
        assert gateway.count("dials_declined") == 1
        assert gateway.count("dials_failed") == 0
        assert not backend.asked["/pipelined"]


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_redirect_is_passed_on_and_not_followed(
    start_gateway: StartGateway, start_raw: StartRaw, status: int
) -> None:
    elsewhere = await start_raw(saying(), "/never")
    hostile = await start_raw(
        declining(f"{status} X\r\nLocation: {elsewhere.url}/\xfc", "", closing=True), ONE
    )
    gateway = await start_gateway(hostile.entry())
    async with no_leaks(gateway):
        async with raw_client(gateway.host, gateway.port) as client:
            client.write(request(target=ONE))
            answer = await client.answer()
        assert answer.status == status
        assert answer.values("Location") == [f"{elsewhere.url}/\xfc"]
        assert not elsewhere.asked
        assert hostile.asked[ONE] == 1


async def test_dial_of_a_hostile_backend_ends_when_the_client_leaves(
    start_gateway: StartGateway, start_raw: StartRaw
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def act(peer: RawPeer) -> None:
        begun.set()
        await peer.write("HTTP/1.1 101 X\r\n")
        await peer.reader.read()
        ended.set()

    hostile = await start_raw(act, ONE)
    gateway = await start_gateway(hostile.entry())
    async with no_leaks(gateway), raw_client(gateway.host, gateway.port) as client:
        client.write(request(target=ONE))
        await begun.wait()
        reset(client.writer)
        await ended.wait()


async def test_invalid_answer_is_logged_in_one_short_line(
    start_gateway: StartGateway, start_raw: StartRaw, caplog: pytest.LogCaptureFixture
) -> None:
    hostile = await start_raw(saying(b"HTTP/1.1 \x1b[2J\xff\r" + b"X" * 7000 + b"\r\n\r\n"), ONE)
    gateway = await start_gateway(hostile.entry())
    async with no_leaks(gateway), raw_client(gateway.host, gateway.port) as client:
        client.write(request(target=ONE))
        assert (await client.answer()).status == 502
    warned = [one for one in caplog.get_records("call") if one.levelno == logging.WARNING]
    assert len(warned) == 1
    assert re.search(r"no backend: [^ ]+: not a valid answer", warned[0].getMessage())
