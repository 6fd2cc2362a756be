"""TLS towards clients and towards backends: who is let in, what flows, and what must not stay."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from aiohttp import ClientSession, WSMsgType
from cryptography import x509
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Request

from wsgw_core.api import ConfigurationError
from wsgw_core.testing.descriptors import open_descriptors

from .conftest import StartBackend, StartGateway
from .eventually import until
from .raw_client import RawClient, request
from .running_gateway import RunningGateway
from .scripted_backend import ScriptedBackend
from .server_process import ServerProcess

AUTHORITY = trustme.CA()
OLD = AUTHORITY.issue_cert("127.0.0.1")
NEW = AUTHORITY.issue_cert("127.0.0.1")
GATEWAY = AUTHORITY.issue_cert("gateway@example.test", common_name="gateway")
NEW_GATEWAY = AUTHORITY.issue_cert("gateway@example.test", common_name="gateway, renewed")
METER = AUTHORITY.issue_cert("meter@example.test", common_name="Zähler, 7\r\nX-Admin: 1")
STRANGER = trustme.CA().issue_cert("stranger@example.test", common_name="stranger")
EXPIRED = AUTHORITY.issue_cert("127.0.0.1", not_after=datetime.now(UTC) - timedelta(days=1))
OTHER_NAME = AUTHORITY.issue_cert("other.test", "127.0.0.2")
OTHER_AUTHORITY = trustme.CA()
UNKNOWN = OTHER_AUTHORITY.issue_cert("127.0.0.1")

one_loop = pytest.mark.asyncio(loop_factories=["asyncio"])


def server_context(certificate: trustme.LeafCert = OLD, *, clients: bool = False) -> ssl.SSLContext:
    """Return what a backend serves with; `clients` must show a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if clients:
        AUTHORITY.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(
    certificate: trustme.LeafCert | None = None, *, version: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """Return what a client connects with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    AUTHORITY.configure_trust(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    if certificate is not None:
        certificate.configure_cert(context)
    if version is not None:
        context.maximum_version = version
    return context


TRUSTING = client_context()


class Files:
    """Certificates as a configuration names them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = folder / "certificate.pem"
        self.authority = folder / "authority.pem"
        self.gateway = folder / "gateway.pem"
        self.put(self.certificate, OLD)
        self.put(self.gateway, GATEWAY)
        self.authority.write_bytes(AUTHORITY.cert_pem.bytes())

    def put(self, file: Path, leaf: trustme.LeafCert) -> None:
        file.write_bytes(leaf.private_key_and_cert_chain_pem.bytes())

    def frontend(self, **options: str) -> dict[str, Any]:
        """Return the section `server` of a gateway that speaks TLS to its clients."""
        tls = {"certificate": str(self.certificate)}
        tls |= {key.replace("_", "-"): value for key, value in options.items()}
        return {"frontend": {"address": "127.0.0.1:0", "tls": tls}}

    def backend(self, backend: ScriptedBackend, **options: object) -> dict[str, Any]:
        """Return the entry of a backend that is spoken to over TLS."""
        tls: dict[str, object] = {"ca": str(self.authority)}
        tls |= {key.replace("_", "-"): value for key, value in options.items()}
        return {"url": backend.url.replace("ws:", "wss:"), "tls": tls}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def dial(gateway: RunningGateway, tls: ssl.SSLContext = TRUSTING, **options: Any) -> connect:
    """Connect a client over TLS."""
    options = {"compression": None, "ping_interval": None, **options}
    return connect(gateway.url.replace("ws:", "wss:"), ssl=tls, **options)


async def tls_client(gateway: RunningGateway, tls: ssl.SSLContext = TRUSTING) -> RawClient:
    return RawClient(*await asyncio.open_connection(gateway.host, gateway.port, ssl=tls))


async def request_of(backend: ScriptedBackend) -> Request:
    seen = (await backend.connection()).request
    assert seen is not None
    return seen


class TestBothLegs:
    @pytest.fixture
    async def backend(self, start_backend: StartBackend) -> ScriptedBackend:
        return await start_backend(ssl=server_context())

    @pytest.fixture
    async def gateway(
        self, start_gateway: StartGateway, backend: ScriptedBackend, files: Files
    ) -> RunningGateway:
        return await start_gateway(files.backend(backend), server=files.frontend())

    async def test_messages_pass(self, gateway: RunningGateway, backend: ScriptedBackend) -> None:
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

    async def test_another_client_library_too(
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

    async def test_a_session_outlives_its_backend(
        self,
        start_gateway: StartGateway,
        start_backend: StartBackend,
        backend: ScriptedBackend,
        files: Files,
    ) -> None:
        green = await start_backend(ssl=server_context())
        gateway = await start_gateway(
            files.backend(backend), files.backend(green), server=files.frontend()
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

    async def test_a_gateway_that_stops_says_so(
        self, start_gateway: StartGateway, backend: ScriptedBackend, files: Files
    ) -> None:
        gateway = await start_gateway(files.backend(backend), server=files.frontend())
        async with dial(gateway) as client:
            await backend.connection()
            await gateway.gateway.stop()
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 1012

    @pytest.mark.parametrize("size", [64 * 1024, 1024 * 1024])
    async def test_a_slow_backend_stops_the_reading_of_its_client_and_loses_nothing(
        self, gateway: RunningGateway, backend: ScriptedBackend, size: int
    ) -> None:
        async with dial(gateway) as client:
            served = await backend.connection()
            await flood(client, served, size)
        assert gateway.count("read_pauses") > 0
        assert gateway.count("failovers") == 0

    @pytest.mark.parametrize("size", [64 * 1024, 1024 * 1024])
    async def test_a_slow_client_stops_the_reading_of_its_backend_and_loses_nothing(
        self, gateway: RunningGateway, backend: ScriptedBackend, size: int
    ) -> None:
        async with dial(gateway) as client:
            served = await backend.connection()
            await flood(served, client, size)
        assert gateway.count("failovers") == 0

    async def test_small_messages_in_both_directions_at_once_keep_their_order(
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

    async def test_the_last_words_of_a_backend_reach_a_client_that_is_slow(
        self, gateway: RunningGateway, backend: ScriptedBackend
    ) -> None:
        """Also those that had reached us, and were not decrypted when the backend left."""
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

    async def test_the_last_words_of_a_client_reach_its_backend(
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

    async def test_frames_in_the_same_flight_as_the_request_are_not_lost(
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


class TestCertificatesOfClients:
    async def test_the_subject_reaches_the_backend_in_a_safe_form(
        self, start_gateway: StartGateway, start_backend: StartBackend, files: Files
    ) -> None:
        backend = await start_backend(ssl=server_context(clients=True))
        gateway = await start_gateway(
            files.backend(backend, certificate=str(files.gateway)),
            server=files.frontend(
                client_ca=str(files.authority),
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
        self, start_gateway: StartGateway, backend: ScriptedBackend, files: Files
    ) -> RunningGateway:
        return await start_gateway(
            backend,
            server=files.frontend(
                client_ca=str(files.authority),
                client_certificates="optional",
                subject_header="X-Client-Subject",
            ),
        )

    async def test_without_one_there_is_no_subject_not_even_the_clients_own(
        self, gateway: RunningGateway, backend: ScriptedBackend
    ) -> None:
        async with dial(gateway, additional_headers={"X-Client-Subject": "CN=admin"}):
            assert "X-Client-Subject" not in (await request_of(backend)).headers

    async def test_one_that_need_not_be_shown_is_told_of_too(
        self, gateway: RunningGateway, backend: ScriptedBackend
    ) -> None:
        async with dial(gateway, client_context(METER)):
            told = (await request_of(backend)).headers["X-Client-Subject"]
            assert told.startswith("CN=Z\\C3\\A4hler")

    async def test_one_that_nobody_has_vouched_for_is_refused_even_if_none_is_needed(
        self, gateway: RunningGateway
    ) -> None:
        await refused(gateway, client_context(STRANGER))

    async def test_where_one_is_required_nobody_comes_in_without(
        self, start_gateway: StartGateway, backend: ScriptedBackend, files: Files
    ) -> None:
        gateway = await start_gateway(
            backend,
            server=files.frontend(client_ca=str(files.authority), client_certificates="required"),
        )
        await refused(gateway, TRUSTING)
        assert backend.accepted == 0


async def refused(gateway: RunningGateway, tls: ssl.SSLContext) -> None:
    with pytest.raises((OSError, InvalidHandshake)):
        async with dial(gateway, tls):
            pass
    await until(lambda: gateway.count("tls_handshakes_failed") == 1)


class TestRotation:
    async def test_new_clients_see_the_new_certificate_and_old_ones_stay(
        self, start_gateway: StartGateway, backend: ScriptedBackend, files: Files
    ) -> None:
        gateway = await start_gateway(backend, server=files.frontend(reload_interval="10ms"))
        async with dial(gateway) as old:
            served = await backend.connection()
            assert serial(old) == serial_of(OLD)
            files.put(files.certificate, NEW)
            await until(lambda: gateway.count("tls_reloads") == 1)
            async with dial(gateway) as new:
                assert serial(new) == serial_of(NEW)
            await old.send("still here")
            assert await served.recv() == "still here"

    async def test_half_of_a_new_pair_changes_nothing(
        self, start_gateway: StartGateway, backend: ScriptedBackend, files: Files
    ) -> None:
        gateway = await start_gateway(backend, server=files.frontend(reload_interval="10ms"))
        files.certificate.write_bytes(NEW.cert_chain_pems[0].bytes())
        await until(lambda: gateway.count("tls_reload_errors") > 1)
        async with dial(gateway) as client:
            assert serial(client) == serial_of(OLD)

    async def test_towards_backends_authorities_and_the_gateways_own_certificate(
        self,
        start_gateway: StartGateway,
        start_backend: StartBackend,
        files: Files,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("wsgw_core.api.tls._LOOK_EVERY", 0.0)
        backend = await start_backend(ssl=server_context(UNKNOWN, clients=True))
        gateway = await start_gateway(
            files.backend(backend, certificate=str(files.gateway)),
        )
        with pytest.raises(InvalidStatus):
            await connect(gateway.url)
        files.authority.write_bytes(OTHER_AUTHORITY.cert_pem.bytes())
        async with connect(gateway.url) as old:
            served = await backend.connection()
            assert serial(served) == serial_of(GATEWAY)
            files.put(files.gateway, NEW_GATEWAY)
            async with connect(gateway.url):
                assert serial(await backend.connection()) == serial_of(NEW_GATEWAY)
            files.gateway.unlink()
            async with connect(gateway.url):
                assert serial(await backend.connection()) == serial_of(NEW_GATEWAY)
            await old.send("still here")
            assert await served.recv() == "still here"
        assert gateway.count("tls_reloads") == 2
        assert gateway.count("tls_reload_errors") == 1

    @one_loop
    @pytest.mark.slow  # files are looked at every ten seconds
    async def test_of_both_legs_in_a_process(
        self, start_backend: StartBackend, files: Files
    ) -> None:
        backend = await start_backend(ssl=server_context(clients=True))
        file = files.folder / "wsgw.yaml"
        file.write_text(
            yaml.safe_dump(
                {
                    "server": files.frontend(reload_interval="50ms"),
                    "upstream": {
                        "backends": [files.backend(backend, certificate=str(files.gateway))]
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
                files.put(files.certificate, NEW)
                files.put(files.gateway, NEW_GATEWAY)
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
    """The clients' TLS is exchanged; `reload-interval` is too long to be of any help here."""

    @pytest.fixture
    async def gateway(
        self, start_gateway: StartGateway, backend: ScriptedBackend, files: Files
    ) -> RunningGateway:
        return await start_gateway(backend, server=files.frontend())

    @pytest.fixture
    async def old(
        self, gateway: RunningGateway, backend: ScriptedBackend
    ) -> AsyncIterator[ClientConnection]:
        """A client that is there before and after."""
        async with dial(gateway) as client:
            served = await backend.connection()
            yield client
            await client.send("still here")
            assert await served.recv() == "still here"

    async def reload(
        self, gateway: RunningGateway, server: dict[str, Any], *backends: str
    ) -> list[str]:
        entries = [{"url": url} for url in backends]
        return await gateway.reload({"server": server, "upstream": {"backends": entries}})

    @pytest.mark.parametrize("interval", ["60s", "0"])
    async def test_files_that_were_renewed_in_place_are_read(
        self,
        gateway: RunningGateway,
        old: ClientConnection,
        backend: ScriptedBackend,
        files: Files,
        interval: str,
    ) -> None:
        server = files.frontend(reload_interval=interval)
        await self.reload(gateway, server, backend.url)
        files.put(files.certificate, NEW)

        assert await self.reload(gateway, server, backend.url) == []

        async with dial(gateway) as new:
            assert serial(new) == serial_of(NEW)
        assert serial(old) == serial_of(OLD)

    async def test_other_files_are_read_and_followed_from_then_on(
        self,
        gateway: RunningGateway,
        backend: ScriptedBackend,
        files: Files,
    ) -> None:
        other = files.folder / "other.pem"
        files.put(other, NEW)
        server = files.frontend(certificate=str(other), reload_interval="10ms")

        assert await self.reload(gateway, server, backend.url) == []

        async with dial(gateway) as new:
            assert serial(new) == serial_of(NEW)
        files.certificate.unlink()  # nobody looks at it any more
        files.put(other, OLD)
        await until(lambda: gateway.count("tls_reloads"))
        async with dial(gateway) as new:
            assert serial(new) == serial_of(OLD)
        assert gateway.count("tls_reload_errors") == 0

    async def test_certificates_of_clients_are_demanded_from_then_on(
        self,
        gateway: RunningGateway,
        backend: ScriptedBackend,
        files: Files,
    ) -> None:
        demanding = files.frontend(
            client_ca=str(files.authority),
            client_certificates="required",
            subject_header="X-Client",
        )

        await self.reload(gateway, demanding, backend.url)

        await refused(gateway, TRUSTING)
        async with dial(gateway, client_context(GATEWAY)):
            request = await request_of(backend)
            assert "CN=gateway" in request.headers["X-Client"]
        await self.reload(gateway, files.frontend(), backend.url)
        async with dial(gateway):
            assert "X-Client" not in (await request_of(backend)).headers

    async def test_an_older_version_is_refused_from_then_on(
        self,
        gateway: RunningGateway,
        backend: ScriptedBackend,
        files: Files,
    ) -> None:
        aged = client_context(version=ssl.TLSVersion.TLSv1_2)
        async with dial(gateway, aged):
            await backend.connection()

        await self.reload(gateway, files.frontend(minimum_version="1.3"), backend.url)

        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with dial(gateway, aged):
                pass
        async with dial(gateway):
            await backend.connection()

    @pytest.mark.parametrize("broken", ["half", "missing", "authority"])
    async def test_what_cannot_be_used_changes_nothing(
        self,
        gateway: RunningGateway,
        backend: ScriptedBackend,
        files: Files,
        broken: str,
    ) -> None:
        server = files.frontend()
        match broken:
            case "half":
                files.certificate.write_bytes(NEW.cert_chain_pems[0].bytes())
            case "missing":
                server = files.frontend(certificate=str(files.folder / "missing.pem"))
            case "authority":
                nobody = files.folder / "nobody.pem"
                nobody.write_text("nobody")
                server = files.frontend(client_ca=str(nobody), client_certificates="required")

        with pytest.raises(ConfigurationError, match=r"server\.frontend\.tls\."):
            await self.reload(gateway, server, "ws://127.0.0.1:1")

        async with dial(gateway) as new:
            assert serial(new) == serial_of(OLD)
            await backend.connection()  # this was not changed either
        assert [each.id for each in gateway.gateway.steering.backends] == [backend.id]
        files.put(files.certificate, NEW)
        await self.reload(gateway, files.frontend(), backend.url)
        async with dial(gateway) as new:
            assert serial(new) == serial_of(NEW)

    async def test_that_there_is_tls_at_all_waits_for_the_next_start(
        self,
        gateway: RunningGateway,
        backend: ScriptedBackend,
    ) -> None:
        plain = {"frontend": {"address": "127.0.0.1:0"}}

        assert await self.reload(gateway, plain, backend.url) == ["server.frontend.tls"]

        async with dial(gateway) as new:
            assert serial(new) == serial_of(OLD)


def serial(connection: Connection) -> str:
    """Return the serial number of the certificate that the other side has shown."""
    certificate = connection.transport.get_extra_info("ssl_object").getpeercert()
    return str(certificate["serialNumber"])


def serial_of(leaf: trustme.LeafCert) -> str:
    number = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).serial_number
    text = f"{number:X}"
    return text if len(text) % 2 == 0 else f"0{text}"


class TestRefusals:
    async def test_a_client_of_an_older_version(
        self, start_gateway: StartGateway, backend: ScriptedBackend, files: Files
    ) -> None:
        gateway = await start_gateway(backend, server=files.frontend(minimum_version="1.3"))
        with pytest.raises(ssl.SSLError, match=r"(?i)version"):
            async with dial(gateway, client_context(version=ssl.TLSVersion.TLSv1_2)):
                pass
        async with dial(gateway) as client:
            assert client.transport.get_extra_info("ssl_object").version() == "TLSv1.3"

    async def test_plain_http_on_the_port_of_tls(
        self, start_gateway: StartGateway, backend: ScriptedBackend, files: Files
    ) -> None:
        gateway = await start_gateway(backend, server=files.frontend())
        with pytest.raises((OSError, InvalidHandshake)):
            async with connect(gateway.url):
                pass
        await until(lambda: gateway.count("tls_handshakes_failed") == 1)

    async def test_tls_on_the_port_of_plain_http(
        self, start_gateway: StartGateway, backend: ScriptedBackend
    ) -> None:
        gateway = await start_gateway(backend, limits={"handshake-timeout": "200ms"})
        with pytest.raises(OSError, match=r"(?i)ssl|reset|closed"):
            await tls_client(gateway)
        assert gateway.count("handshakes_refused") == 1

    async def test_a_refusal_can_be_read(
        self, start_gateway: StartGateway, backend: ScriptedBackend, files: Files
    ) -> None:
        gateway = await start_gateway(backend, server=files.frontend())
        client = await tls_client(gateway)
        client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = await client.answer()
        assert 400 <= answer.status < 500
        assert str(len(answer.body)) in answer.values("Content-Length")
        client.vanish()

    @pytest.mark.parametrize("what", ["nothing", "half a hello", "a hello", "garbage"])
    @pytest.mark.parametrize("how", ["close", "abort"])
    async def test_a_client_that_vanishes_in_the_handshake_leaves_nothing_open(
        self,
        start_gateway: StartGateway,
        backend: ScriptedBackend,
        files: Files,
        what: str,
        how: str,
    ) -> None:
        gateway = await start_gateway(backend, server=files.frontend())
        before = open_descriptors()
        _, writer = await asyncio.open_connection(gateway.host, gateway.port)
        writer.write(
            {"nothing": b"", "half a hello": hello()[:70], "a hello": hello()}.get(
                what, b"\x16\x03\x01\x00\x05hello"
            )
        )
        await writer.drain()
        if what != "nothing":
            await asyncio.sleep(0.05)  # for the gateway to look at it
        if how == "close":
            writer.close()
        else:
            writer.transport.abort()
        await until(lambda: open_descriptors() == before)

    async def test_a_client_that_says_nothing_is_dropped(
        self, start_gateway: StartGateway, backend: ScriptedBackend, files: Files
    ) -> None:
        gateway = await start_gateway(
            backend, server=files.frontend(), limits={"handshake-timeout": "100ms"}
        )
        reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
        writer.write(hello()[:70])
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        assert gateway.count("handshakes_refused") == 1


def hello() -> bytes:
    """Return the first words of a TLS client."""
    outgoing = ssl.MemoryBIO()
    client = TRUSTING.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


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
            (old_server, {"minimum_version": "1.3"}, "closed in the TLS handshake"),
            (lambda: None, {}, "closed in the TLS handshake"),
        ],
    )
    async def test_they_are_unavailable_and_the_log_says_why(
        self,
        start_gateway: StartGateway,
        start_backend: StartBackend,
        files: Files,
        caplog: pytest.LogCaptureFixture,
        context: Callable[[], ssl.SSLContext | None],
        options: dict[str, object],
        reason: str,
    ) -> None:
        backend = await start_backend(ssl=context())
        gateway = await start_gateway(files.backend(backend, **options))
        with pytest.raises(InvalidStatus) as caught:
            async with connect(gateway.url):
                pass
        assert caught.value.response.status_code == 502
        (line,) = [text for text in caplog.messages if "dial failed" in text]
        assert reason in line
        assert "\n" not in line
        assert "_ssl.c" not in line
        assert backend.accepted == 0

    async def test_a_given_name_is_asked_for_and_verified(
        self, start_gateway: StartGateway, start_backend: StartBackend, files: Files
    ) -> None:
        asked: list[str | None] = []
        context = server_context(OTHER_NAME)
        context.sni_callback = lambda _tls, name, _context: asked.append(name)
        backend = await start_backend(ssl=context)
        gateway = await start_gateway(files.backend(backend, server_name="other.test"))
        async with connect(gateway.url):
            await backend.connection()
        assert asked == ["other.test"]

    async def test_without_a_given_name_the_host_of_the_url_is(
        self, start_gateway: StartGateway, start_backend: StartBackend, files: Files
    ) -> None:
        asked: list[str | None] = []
        context = server_context(AUTHORITY.issue_cert("localhost"))
        context.set_alpn_protocols(["h2", "http/1.1"])
        context.sni_callback = lambda _tls, name, _context: asked.append(name)
        backend = await start_backend(ssl=context)
        entry = files.backend(backend)
        entry["url"] = entry["url"].replace("127.0.0.1", "localhost")
        gateway = await start_gateway(entry)
        async with connect(gateway.url):
            served = await backend.connection()
            tls = served.transport.get_extra_info("ssl_object")
            assert tls.selected_alpn_protocol() == "http/1.1"
        assert asked == ["localhost"]

    @pytest.mark.parametrize("trusted", [True, False])
    async def test_without_an_authority_of_their_own_the_systems_are_asked(
        self,
        start_gateway: StartGateway,
        start_backend: StartBackend,
        files: Files,
        monkeypatch: pytest.MonkeyPatch,
        *,
        trusted: bool,
    ) -> None:
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(files.authority))
        backend = await start_backend(ssl=server_context())
        gateway = await start_gateway(backend.url.replace("ws:", "wss:"))
        client = await asyncio.gather(connect(gateway.url), return_exceptions=True)
        assert isinstance(client[0], ClientConnection if trusted else InvalidStatus)
        if isinstance(client[0], ClientConnection):
            await client[0].close()

    async def test_without_verification_they_are_taken_with_a_warning(
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


class TestCommands:
    def wsgw(self, command: str, folder: Path, **tls: str) -> subprocess.CompletedProcess[str]:
        file = folder / "wsgw.yaml"
        file.write_text(
            yaml.safe_dump(
                {
                    "server": {"frontend": {"address": "127.0.0.1:0", "tls": tls}},
                    "upstream": {
                        "backends": [
                            {
                                "url": "wss://backend.example",
                                "tls": {"ca": str(folder / "missing.pem")},
                            }
                        ]
                    },
                }
            )
        )
        return subprocess.run(
            [sys.executable, "-m", "wsgw_core.cli.main", command, "-c", str(file)],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    @pytest.mark.parametrize("command", ["check", "run"])
    def test_files_that_cannot_be_used_are_told_with_key_and_file(
        self, files: Files, command: str
    ) -> None:
        done = self.wsgw(command, files.folder, certificate=str(files.authority))
        assert done.returncode == 2
        place = str(files.folder / "wsgw.yaml")
        first, second = done.stderr.splitlines()
        assert first.startswith(f"wsgw: {place}:")
        assert f"server.frontend.tls.certificate: {files.authority}: there is no PEM" in first
        assert second.startswith(f"wsgw: {place}:")
        assert f"upstream.backends[0].tls.ca: {files.folder}/missing.pem: cannot be" in second
