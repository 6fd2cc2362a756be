"""TLS towards backends: which are trusted, and which name they must prove."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from .conftest import StartBackend, StartGateway
from .tls_ends import AUTHORITY, EXPIRED, OLD, OTHER_NAME, UNKNOWN, TlsFiles, server_context


def old_server() -> ssl.SSLContext:
    context = server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


class TestBackendsThatAreNotTrusted:
    @pytest.mark.parametrize(
        ("context", "options", "reason"),
        [
            (lambda: server_context(UNKNOWN), {}, "certificate not accepted: unable to get"),
            (lambda: server_context(EXPIRED), {}, "certificate not accepted: certificate has exp"),
            (lambda: server_context(OTHER_NAME), {}, "certificate not accepted: IP address mism"),
            (
                lambda: server_context(OLD),
                {"server_name": "other.test"},
                "certificate not accepted: Hostname mismatch",
            ),
            # The last three servers close the connection without an alert that would say why.
            (lambda: server_context(clients=True), {}, "connection lost in the handshake"),
            (old_server, {"minimum_version": "1.3"}, "connection closed during the TLS handshake"),
            (lambda: None, {}, "connection closed during the TLS handshake"),
        ],
    )
    async def test_untrusted_backend_is_unavailable_and_the_log_says_why(
        self,
        start_gateway: StartGateway,
        start_backend: StartBackend,
        tls_files: TlsFiles,
        caplog: pytest.LogCaptureFixture,
        context: Callable[[], ssl.SSLContext | None],
        options: dict[str, object],
        reason: str,
    ) -> None:
        backend = await start_backend(ssl=context())
        gateway = await start_gateway(tls_files.backend(backend, **options))
        with pytest.raises(InvalidStatus) as caught:
            async with connect(gateway.url):
                pass
        assert caught.value.response.status_code == 502
        (line,) = [text for text in caplog.messages if "dial failed" in text]
        assert reason in line
        assert "\n" not in line
        assert "_ssl.c" not in line
        assert backend.accepted == 0

    async def test_configured_server_name_is_sent_and_verified(
        self, start_gateway: StartGateway, start_backend: StartBackend, tls_files: TlsFiles
    ) -> None:
        asked: list[str | None] = []
        context = server_context(OTHER_NAME)
        context.sni_callback = lambda _tls, name, _context: asked.append(name)
        backend = await start_backend(ssl=context)
        gateway = await start_gateway(tls_files.backend(backend, server_name="other.test"))
        async with connect(gateway.url):
            await backend.connection()
        assert asked == ["other.test"]

    async def test_host_of_the_url_is_the_default_server_name(
        self, start_gateway: StartGateway, start_backend: StartBackend, tls_files: TlsFiles
    ) -> None:
        asked: list[str | None] = []
        context = server_context(AUTHORITY.issue_cert("localhost"))
        context.set_alpn_protocols(["h2", "http/1.1"])
        context.sni_callback = lambda _tls, name, _context: asked.append(name)
        backend = await start_backend(ssl=context)
        entry = tls_files.backend(backend)
        entry["url"] = entry["url"].replace("127.0.0.1", "localhost")
        gateway = await start_gateway(entry)
        async with connect(gateway.url):
            served = await backend.connection()
            tls = served.transport.get_extra_info("ssl_object")
            assert tls.selected_alpn_protocol() == "http/1.1"
        assert asked == ["localhost"]

    @pytest.mark.parametrize("trusted", [True, False])
    async def test_system_authorities_are_the_default(
        self,
        start_gateway: StartGateway,
        start_backend: StartBackend,
        tls_files: TlsFiles,
        monkeypatch: pytest.MonkeyPatch,
        *,
        trusted: bool,
    ) -> None:
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(tls_files.authority))
        backend = await start_backend(ssl=server_context())
        gateway = await start_gateway(backend.url.replace("ws:", "wss:"))
        client = await asyncio.gather(connect(gateway.url), return_exceptions=True)
        assert isinstance(client[0], ClientConnection if trusted else InvalidStatus)
        if isinstance(client[0], ClientConnection):
            await client[0].close()

    async def test_backend_without_verification_is_accepted_with_a_warning(
        self,
        start_gateway: StartGateway,
        start_backend: StartBackend,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        backend = await start_backend(ssl=server_context(UNKNOWN))
        entry = {"url": backend.url.replace("ws:", "wss:"), "tls": {"verify": False}}
        gateway = await start_gateway(entry)
        async with connect(gateway.url):
            await backend.connection()
        (warning,) = [each for each in caplog.records if each.levelno == logging.WARNING]
        assert "not verified" in warning.getMessage()
