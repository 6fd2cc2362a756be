"""Refusals of clients over TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme

from wsgw_core.frontend.handshake import ClientHandshake
from wsgw_core.websocket import TlsTransport, make_scratch

from .frontend_bench import FrontendBench, RawClient, request


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@asynccontextmanager
async def encrypted_client(
    authority: trustme.CA, bench: FrontendBench, gone: asyncio.Event
) -> AsyncIterator[RawClient]:
    """Connects to a bench over TLS; `gone` is set when the bench forgets the client."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)

    def handshake() -> TlsTransport:
        protocol = ClientHandshake(bench.settings, lambda _: None, lambda _: gone.set())
        return TlsTransport(protocol, server_side, make_scratch(), bench.settings.turns)

    server = await asyncio.get_running_loop().create_server(handshake, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(
            host, port, ssl=client_side, server_hostname="localhost"
        )
        try:
            yield RawClient(reader, writer)
        finally:
            writer.transport.abort()


@pytest.mark.parametrize("behind", [b"", b"x" * 500_000])
async def test_the_answer_comes_before_the_end(authority: trustme.CA, behind: bytes) -> None:
    gone = asyncio.Event()
    async with FrontendBench() as bench, encrypted_client(authority, bench, gone) as client:
        client.write(request(without="Upgrade") + behind)
        status, _, body = await client.read_refusal()
        assert status == 426
        assert body
        client.writer.transport.abort()
        async with asyncio.timeout(20):
            await gone.wait()


async def test_a_refused_client_that_goes_on_sending_is_dropped(authority: trustme.CA) -> None:
    gone = asyncio.Event()
    async with FrontendBench() as bench, encrypted_client(authority, bench, gone) as client:
        client.write(request(without="Upgrade"))
        async with asyncio.timeout(20):
            while not gone.is_set():
                client.write(b"x" * 10_000)
                await asyncio.sleep(0.01)


async def test_the_backend_gets_x_forwarded_proto_https(authority: trustme.CA) -> None:
    gone = asyncio.Event()
    async with FrontendBench() as bench, encrypted_client(authority, bench, gone) as client:
        client.write(request())
        assert (await client.read_head())[0] == 101
        assert ("X-Forwarded-Proto", "https") in bench.backend.requests[0].headers
