"""Liveness checks: a plain request without a session and without an upgrade."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
from wsgw_ws.backend import WebSocketBackend
from wsgw_ws.settings import WebSocketSettings

from wsgw_core.api import BackendUnavailable
from wsgw_core.testing.context import make_context

from .raw_server import RawPeer, raw_server


async def unused(_peer: RawPeer) -> None:
    raise AssertionError("a probe asks for no upgrade")


@pytest.mark.parametrize("status", [101, 200, 301, 400, 404, 426, 500, 503])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_any_http_answer_is_a_sign_of_life(status: int, version: str) -> None:
    async with raw_server(unused) as server:
        server.plain = f"HTTP/{version} {status} X\r\n\r\n"
        backend = server.backend()
        await backend.probe()
        assert len(server.plain_peers) == 1
        await backend.close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "closed without an answer"),
        (b"HTTP/1.1 4", "closed without an answer"),
        (b"220 mail.example.com ESMTP\r\n", "not one of HTTP"),
        (b"HTTP/1.1 OK 200\r\n\r\n", "not one of HTTP"),
        (b"\0" * 100_000, "not one of HTTP"),
    ],
)
async def test_other_bytes_or_an_end_are_no_sign_of_life(answer: bytes, reason: str) -> None:
    async with raw_server(unused) as server:
        server.plain = answer
        server.ends_plain = True
        backend = server.backend()
        with pytest.raises(BackendUnavailable, match=reason):
            await backend.probe()
        await backend.close()


@pytest.mark.parametrize("answer", [None, b"", b"HTTP/1.1 "])
async def test_answer_incomplete_at_timeout_is_no_sign_of_life(answer: bytes | None) -> None:
    async with raw_server(unused) as server:
        server.plain = answer
        backend = server.backend({"handshake-timeout": "50ms"})
        with pytest.raises(BackendUnavailable, match="no answer to an HTTP request"):
            await backend.probe()
        await backend.close()


async def test_request_without_an_answer_drops_its_connection() -> None:
    dropped = asyncio.Event()

    async def wait(peer: RawPeer) -> None:
        with contextlib.suppress(ConnectionError):
            await peer.reader.read()
        dropped.set()

    async with raw_server(unused) as server:
        server.act_plain = wait
        backend = server.backend({"handshake-timeout": "50ms"})
        with pytest.raises(BackendUnavailable, match="no answer to an HTTP request"):
            await backend.probe()
        async with asyncio.timeout(60):
            await dropped.wait()
        await backend.close()


async def test_endless_answer_is_not_read() -> None:
    given_up = asyncio.Event()

    async def flood(peer: RawPeer) -> None:
        peer.write(b"HTTP/1.1 200 OK\r\nX: ")
        try:
            while True:
                peer.write(b"x" * 65536)
                await peer.writer.drain()
        finally:
            given_up.set()

    async with raw_server(unused) as server:
        server.act_plain = flood
        backend = server.backend()
        begun = time.thread_time()
        await backend.probe()
        await given_up.wait()
        assert time.thread_time() - begun < 1
        await backend.close()


async def test_request_has_the_backend_path_and_credentials() -> None:
    async with raw_server(unused) as server:
        settings = WebSocketSettings(url=f"ws://me:secret@127.0.0.1:{server.port}/chat/")
        backend = WebSocketBackend(settings, make_context())
        await backend.probe()
        (peer,) = server.plain_peers
        assert peer.request_line == "GET /chat/ HTTP/1.1"
        assert peer.header("host") == f"127.0.0.1:{server.port}"
        assert peer.header("connection") == "close"
        assert peer.header("authorization") == "Basic bWU6c2VjcmV0"
        assert not peer.header("upgrade")
        assert not peer.header("sec-websocket-key")
        await backend.close()


async def test_cancelled_probe_leaves_no_connection() -> None:
    async with raw_server(unused) as server:
        server.plain = None
        backend = server.backend()
        for turns in range(15):
            probe = asyncio.create_task(backend.probe())
            for _ in range(turns):
                await asyncio.sleep(0)
            await asyncio.sleep(0.001 * (turns > 8))
            probe.cancel()
            await asyncio.wait([probe])
            assert probe.cancelled()
        async with asyncio.timeout(20):
            for peer in server.plain_peers:
                while not peer.reader.at_eof():  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(0.01)
        await backend.close()
