"""Backends with TLS: messages, checks, and handshakes that are not completed."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme
from wsgw_ws.backend import WebSocketBackend

from wsgw_core.api import BackendUnavailable, BackendUnreachable, ConfigurationError, DialRequest
from wsgw_core.testing.fakes import as_message
from wsgw_core.testing.recording_sink import RecordingSink

from .raw_server import RawPeer, RawServer, dial, raw_server

TEXT = 1
REQUEST = DialRequest("s1", "/chat")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> str:
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.cert_pem.bytes())
    return str(file)


async def opened(server: RawServer, **options: object) -> WebSocketBackend:
    """Makes a backend that dials this server with TLS."""
    backend = server.backend({"url": f"wss://127.0.0.1:{server.port}", **options})
    await backend.open()
    return backend


async def echo(peer: RawPeer) -> None:
    peer.switch_protocols()
    while True:
        opcode, payload = await peer.read_frame()
        if opcode == TEXT:
            peer.write_frame(TEXT, payload)


async def test_messages_and_checks_pass_through_tls(tls: ssl.SSLContext, ca: str) -> None:
    async with raw_server(echo, tls=tls) as server:
        backend = await opened(server, tls={"ca": ca})
        connection, sink = await dial(backend)
        connection.send(as_message("hello"))
        assert await sink.until_messages(1) == [as_message("hello")]
        await backend.probe()
        assert len(server.plain_peers) == 1
        await backend.close()


async def test_backend_with_an_unknown_certificate_is_unavailable(tls: ssl.SSLContext) -> None:
    async with raw_server(echo, tls=tls) as server:
        backend = await opened(server)
        with pytest.raises(BackendUnavailable, match="certificate"):
            await backend.connect(REQUEST, RecordingSink())
        with pytest.raises(BackendUnavailable, match="certificate"):
            await backend.probe()
        await backend.close()


async def test_backend_that_does_not_answer_in_tls_is_unreachable() -> None:
    async with raw_server(echo) as server:
        backend = await opened(server, **{"handshake-timeout": "50ms"})
        with pytest.raises(BackendUnreachable, match="took too long"):
            await backend.connect(REQUEST, RecordingSink())
        await backend.close()


async def test_unusable_file_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    async with raw_server(echo) as server:
        with pytest.raises(ConfigurationError, match="no-such-file"):
            await opened(server, tls={"ca": str(tmp_path / "no-such-file")})
