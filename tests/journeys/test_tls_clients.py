"""TLS towards clients: which are accepted, and that refused ones leave no resources."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake

from wsgw_core.testing.descriptors import open_descriptors
from wsgw_core.testing.running_gateway import RunningGateway

from .conftest import StartBackend, StartGateway
from .eventually import until
from .scripted_backend import ScriptedBackend
from .tls_ends import (
    METER,
    STRANGER,
    TRUSTING,
    TlsFiles,
    client_context,
    dial,
    refused,
    request_of,
    server_context,
    tls_client,
)


class TestCertificatesOfClients:
    async def test_certificate_subject_reaches_the_backend_escaped(
        self, start_gateway: StartGateway, start_backend: StartBackend, tls_files: TlsFiles
    ) -> None:
        backend = await start_backend(ssl=server_context(clients=True))
        gateway = await start_gateway(
            tls_files.backend(backend, certificate=str(tls_files.gateway)),
            server=tls_files.frontend(
                client_ca=str(tls_files.authority),
                client_certificates="required",
                subject_header="X-Client-Subject",
            ),
        )
        async with dial(
            gateway,
            client_context(METER),
            additional_headers={"x-client-subject": "CN=admin", "X_Client_Subject": "CN=admin"},
        ):
            served = await backend.connection()
            assert served.request is not None
            (subject,) = served.request.headers.get_all("X-Client-Subject")
            assert subject.startswith("CN=Z\\C3\\A4hler\\, 7\\0D\\0AX-Admin: 1,")
            assert "CN=admin" not in str(served.request.headers)
            shown = served.transport.get_extra_info("peercert")
            assert "gateway" in str(shown["subject"])

    @pytest.fixture
    async def gateway(
        self, start_gateway: StartGateway, backend: ScriptedBackend, tls_files: TlsFiles
    ) -> RunningGateway:
        return await start_gateway(
            backend,
            server=tls_files.frontend(
                client_ca=str(tls_files.authority),
                client_certificates="optional",
                subject_header="X-Client-Subject",
            ),
        )

    async def test_subject_header_of_a_client_without_certificate_is_removed(
        self, gateway: RunningGateway, backend: ScriptedBackend
    ) -> None:
        async with dial(gateway, additional_headers={"X-Client-Subject": "CN=admin"}):
            assert "X-Client-Subject" not in (await request_of(backend)).headers

    async def test_subject_of_an_optional_certificate_reaches_the_backend(
        self, gateway: RunningGateway, backend: ScriptedBackend
    ) -> None:
        async with dial(gateway, client_context(METER)):
            told = (await request_of(backend)).headers["X-Client-Subject"]
            assert told.startswith("CN=Z\\C3\\A4hler")

    async def test_untrusted_certificate_is_refused_even_if_optional(
        self, gateway: RunningGateway
    ) -> None:
        await refused(gateway, client_context(STRANGER))

    async def test_client_without_a_required_certificate_is_refused(
        self, start_gateway: StartGateway, backend: ScriptedBackend, tls_files: TlsFiles
    ) -> None:
        gateway = await start_gateway(
            backend,
            server=tls_files.frontend(
                client_ca=str(tls_files.authority), client_certificates="required"
            ),
        )
        await refused(gateway, TRUSTING)
        assert backend.accepted == 0


class TestRefusals:
    async def test_client_of_an_older_tls_version_is_refused(
        self, start_gateway: StartGateway, backend: ScriptedBackend, tls_files: TlsFiles
    ) -> None:
        gateway = await start_gateway(backend, server=tls_files.frontend(minimum_version="1.3"))
        with pytest.raises(ssl.SSLError, match=r"(?i)version"):
            async with dial(gateway, client_context(version=ssl.TLSVersion.TLSv1_2)):
                pass
        async with dial(gateway) as client:
            assert client.transport.get_extra_info("ssl_object").version() == "TLSv1.3"

    async def test_plain_http_on_the_tls_port_is_a_failed_handshake(
        self, start_gateway: StartGateway, backend: ScriptedBackend, tls_files: TlsFiles
    ) -> None:
        gateway = await start_gateway(backend, server=tls_files.frontend())
        with pytest.raises((OSError, InvalidHandshake)):
            async with connect(gateway.url):
                pass
        await until(lambda: gateway.count("tls_handshakes_failed") == 1)

    async def test_tls_on_the_plain_port_is_refused(
        self, start_gateway: StartGateway, backend: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(backend, limits={"handshake-timeout": "200ms"})
        with pytest.raises(OSError, match=r"(?i)ssl|reset|closed"):
            await tls_client(gateway)
        assert gateway.count("handshakes_refused") == 1

    async def test_refusal_over_tls_can_be_read(
        self, start_gateway: StartGateway, backend: ScriptedBackend, tls_files: TlsFiles
    ) -> None:
        gateway = await start_gateway(backend, server=tls_files.frontend())
        client = await tls_client(gateway)
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = await client.answer()
        assert 400 <= answer.status < 500
        assert str(len(answer.body)) in answer.values("Content-Length")
        client.vanish()

    @pytest.mark.parametrize("what", ["nothing", "half a hello", "a hello", "garbage"])
    @pytest.mark.parametrize("how", ["close", "abort"])
    async def test_client_that_vanishes_in_the_tls_handshake_leaks_no_descriptor(
        self,
        start_gateway: StartGateway,
        backend: ScriptedBackend,
        tls_files: TlsFiles,
        what: str,
        how: str,
    ) -> None:
        gateway = await start_gateway(backend, server=tls_files.frontend())
        before = open_descriptors()
        _, writer = await asyncio.open_connection(gateway.host, gateway.port)
        writer.write(
            {"nothing": b"", "half a hello": hello()[:70], "a hello": hello()}.get(
                what, b"\x16\x03\x01\x00\x05hello"
            )
        )
        await writer.drain()
        if what != "nothing":
            await asyncio.sleep(0.05)  # let the gateway read it
        if how == "close":
            writer.close()
        else:
            writer.transport.abort()
        await until(lambda: open_descriptors() == before)

    async def test_unfinished_tls_handshake_is_dropped_after_the_timeout(
        self, start_gateway: StartGateway, backend: ScriptedBackend, tls_files: TlsFiles
    ) -> None:
        gateway = await start_gateway(
            backend, server=tls_files.frontend(), limits={"handshake-timeout": "100ms"}
        )
        reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
        writer.write(hello()[:70])
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        assert gateway.count("handshakes_refused") == 1


def hello() -> bytes:
    """Return the ClientHello of a TLS client."""
    outgoing = ssl.MemoryBIO()
    client = TRUSTING.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()
