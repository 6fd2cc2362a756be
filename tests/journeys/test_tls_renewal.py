"""Certificates and TLS settings are replaced while clients are connected."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import yaml
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from wsgw_core.api import ConfigurationError
from wsgw_core.testing.running_gateway import RunningGateway

from .conftest import StartBackend, StartGateway
from .eventually import until
from .scripted_backend import ScriptedBackend
from .server_process import ServerProcess
from .tls_ends import (
    GATEWAY,
    NEW,
    NEW_GATEWAY,
    OLD,
    OTHER_AUTHORITY,
    TRUSTING,
    UNKNOWN,
    TlsFiles,
    client_context,
    dial,
    refused,
    request_of,
    serial,
    serial_of,
    server_context,
)

one_loop = pytest.mark.asyncio(loop_factories=["asyncio"])


class TestRotation:
    async def test_new_clients_get_the_new_certificate_and_sessions_stay(
        self, start_gateway: StartGateway, backend: ScriptedBackend, tls_files: TlsFiles
    ) -> None:
        gateway = await start_gateway(backend, server=tls_files.frontend(reload_interval="10ms"))
        async with dial(gateway) as old:
            served = await backend.connection()
            assert serial(old) == serial_of(OLD)
            tls_files.put(tls_files.certificate, NEW)
            await until(lambda: gateway.count("tls_reloads") == 1)
            async with dial(gateway) as new:
                assert serial(new) == serial_of(NEW)
            await old.send("still here")
            assert await served.recv() == "still here"

    async def test_certificate_without_matching_key_changes_nothing(
        self, start_gateway: StartGateway, backend: ScriptedBackend, tls_files: TlsFiles
    ) -> None:
        gateway = await start_gateway(backend, server=tls_files.frontend(reload_interval="10ms"))
        tls_files.certificate.write_bytes(NEW.cert_chain_pems[0].bytes())
        await until(lambda: gateway.count("tls_reload_errors") > 1)
        async with dial(gateway) as client:
            assert serial(client) == serial_of(OLD)

    async def test_backend_leg_reloads_authorities_and_client_certificate(
        self,
        start_gateway: StartGateway,
        start_backend: StartBackend,
        tls_files: TlsFiles,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("wsgw_core.api.watched_file._LOOK_EVERY", 0.0)
        backend = await start_backend(ssl=server_context(UNKNOWN, clients=True))
        gateway = await start_gateway(
            tls_files.backend(backend, certificate=str(tls_files.gateway)),
        )
        with pytest.raises(InvalidStatus):
            await connect(gateway.url)

        async def read_by_dials(counter: str) -> None:
            """Dial until a changed file is read; each dial checks the files."""
            while not gateway.count(counter):
                with contextlib.suppress(InvalidStatus):
                    async with connect(gateway.url):
                        await backend.connection()

        tls_files.authority.write_bytes(OTHER_AUTHORITY.cert_pem.bytes())
        await read_by_dials("ws_tls_reloads")
        async with connect(gateway.url) as old:
            served = await backend.connection()
            assert serial(served) == serial_of(GATEWAY)
            tls_files.put(tls_files.gateway, NEW_GATEWAY)
            while gateway.count("ws_tls_reloads") < 2:
                async with connect(gateway.url):
                    await backend.connection()
            async with connect(gateway.url):
                assert serial(await backend.connection()) == serial_of(NEW_GATEWAY)
            tls_files.gateway.unlink()
            await read_by_dials("ws_tls_reload_errors")
            async with connect(gateway.url):
                assert serial(await backend.connection()) == serial_of(NEW_GATEWAY)
            await old.send("still here")
            assert await served.recv() == "still here"
        assert gateway.count("ws_tls_reloads") == 2
        assert gateway.count("ws_tls_reload_errors") >= 1

    @one_loop
    @pytest.mark.slow  # files are checked every ten seconds
    async def test_process_reloads_the_certificates_of_both_legs(
        self, start_backend: StartBackend, tls_files: TlsFiles
    ) -> None:
        backend = await start_backend(ssl=server_context(clients=True))
        file = tls_files.folder / "wsgw.yaml"
        file.write_text(
            yaml.safe_dump(
                {
                    "server": tls_files.frontend(reload_interval="50ms"),
                    "upstream": {
                        "backends": [tls_files.backend(backend, certificate=str(tls_files.gateway))]
                    },
                }
            )
        )
        with ServerProcess("wsgw_core.cli.main", "run", "-c", str(file)) as process:
            await process.start()
            url = f"wss://127.0.0.1:{process.port}"

            async def serials() -> tuple[str, str]:
                async with connect(url, ssl=TRUSTING) as client:
                    return serial(client), serial(await backend.connection())

            async with connect(url, ssl=TRUSTING) as old:
                served = await backend.connection()
                assert await serials() == (serial_of(OLD), serial_of(GATEWAY))
                tls_files.put(tls_files.certificate, NEW)
                tls_files.put(tls_files.gateway, NEW_GATEWAY)
                renewed = (serial_of(NEW), serial_of(NEW_GATEWAY))
                while await serials() != renewed:  # noqa: ASYNC110 - there is no event
                    await asyncio.sleep(0.2)
                await old.send("still here")
                assert await served.recv() == "still here"
            process.signal(signal.SIGTERM)
            assert await process.ended() == 0
            assert not [line for line in process.lines if "listening" not in line]


@pytest.mark.usefixtures("old")
class TestReload:
    """A reload replaces the clients' TLS; `reload-interval` is too long to have an effect here."""

    @pytest.fixture
    async def gateway(
        self, start_gateway: StartGateway, backend: ScriptedBackend, tls_files: TlsFiles
    ) -> RunningGateway:
        return await start_gateway(backend, server=tls_files.frontend())

    @pytest.fixture
    async def old(
        self, gateway: RunningGateway, backend: ScriptedBackend
    ) -> AsyncIterator[ClientConnection]:
        """A client that stays connected over the reload."""
        async with dial(gateway) as client:
            served = await backend.connection()
            yield client
            await client.send("still here")
            assert await served.recv() == "still here"

    async def reload(
        self, gateway: RunningGateway, server: dict[str, Any], *backends: str
    ) -> Sequence[str]:
        entries = [{"url": url} for url in backends]
        report = await gateway.reload({"server": server, "upstream": {"backends": entries}})
        return report.waiting

    @pytest.mark.parametrize("interval", ["60s", "0"])
    async def test_files_renewed_in_place_are_read(
        self,
        gateway: RunningGateway,
        old: ClientConnection,
        backend: ScriptedBackend,
        tls_files: TlsFiles,
        interval: str,
    ) -> None:
        server = tls_files.frontend(reload_interval=interval)
        await self.reload(gateway, server, backend.url)
        tls_files.put(tls_files.certificate, NEW)

        assert await self.reload(gateway, server, backend.url) == []

        async with dial(gateway) as new:
            assert serial(new) == serial_of(NEW)
        assert serial(old) == serial_of(OLD)

    async def test_other_files_are_read_and_watched_after_the_reload(
        self,
        gateway: RunningGateway,
        backend: ScriptedBackend,
        tls_files: TlsFiles,
    ) -> None:
        other = tls_files.folder / "other.pem"
        tls_files.put(other, NEW)
        server = tls_files.frontend(certificate=str(other), reload_interval="10ms")

        assert await self.reload(gateway, server, backend.url) == []

        async with dial(gateway) as new:
            assert serial(new) == serial_of(NEW)
        tls_files.certificate.unlink()  # the gateway does not read it any more
        tls_files.put(other, OLD)
        await until(lambda: gateway.count("tls_reloads"))
        async with dial(gateway) as new:
            assert serial(new) == serial_of(OLD)
        assert gateway.count("tls_reload_errors") == 0

    async def test_client_certificates_are_required_after_the_reload(
        self,
        gateway: RunningGateway,
        backend: ScriptedBackend,
        tls_files: TlsFiles,
    ) -> None:
        demanding = tls_files.frontend(
            client_ca=str(tls_files.authority),
            client_certificates="required",
            subject_header="X-Client",
        )

        await self.reload(gateway, demanding, backend.url)

        await refused(gateway, TRUSTING)
        async with dial(gateway, client_context(GATEWAY)):
            request = await request_of(backend)
            assert "CN=gateway" in request.headers["X-Client"]
        await self.reload(gateway, tls_files.frontend(), backend.url)
        async with dial(gateway):
            assert "X-Client" not in (await request_of(backend)).headers

    async def test_older_tls_version_is_refused_after_the_reload(
        self,
        gateway: RunningGateway,
        backend: ScriptedBackend,
        tls_files: TlsFiles,
    ) -> None:
        aged = client_context(version=ssl.TLSVersion.TLSv1_2)
        async with dial(gateway, aged):
            await backend.connection()

        await self.reload(gateway, tls_files.frontend(minimum_version="1.3"), backend.url)

        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with dial(gateway, aged):
                pass
        async with dial(gateway):
            await backend.connection()

    @pytest.mark.parametrize("broken", ["half", "missing", "authority"])
    async def test_unusable_tls_files_change_nothing(
        self,
        gateway: RunningGateway,
        backend: ScriptedBackend,
        tls_files: TlsFiles,
        broken: str,
    ) -> None:
        server = tls_files.frontend()
        match broken:
            case "half":
                tls_files.certificate.write_bytes(NEW.cert_chain_pems[0].bytes())
            case "missing":
                server = tls_files.frontend(certificate=str(tls_files.folder / "missing.pem"))
            case "authority":
                nobody = tls_files.folder / "nobody.pem"
                nobody.write_text("nobody")
                server = tls_files.frontend(client_ca=str(nobody), client_certificates="required")

        with pytest.raises(ConfigurationError, match=r"server\.frontend\.tls\."):
            await self.reload(gateway, server, "ws://127.0.0.1:1")

        async with dial(gateway) as new:
            assert serial(new) == serial_of(OLD)
            await backend.connection()  # the backend was not changed either
        assert [each.id for each in gateway.gateway.pool.backends] == [backend.id]
        tls_files.put(tls_files.certificate, NEW)
        await self.reload(gateway, tls_files.frontend(), backend.url)
        async with dial(gateway) as new:
            assert serial(new) == serial_of(NEW)

    async def test_switching_tls_off_waits_for_the_next_start(
        self,
        gateway: RunningGateway,
        backend: ScriptedBackend,
    ) -> None:
        plain = {"frontend": {"address": "127.0.0.1:0"}}

        assert await self.reload(gateway, plain, backend.url) == ["server.frontend.tls"]

        async with dial(gateway) as new:
            assert serial(new) == serial_of(OLD)
