"""Certificates, contexts and connections for journeys over TLS."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.exceptions import InvalidHandshake
from websockets.http11 import Request

from wsgw_core.testing.running_gateway import RunningGateway

from .eventually import until
from .raw_client import RawClient
from .scripted_backend import ScriptedBackend

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


def server_context(certificate: trustme.LeafCert = OLD, *, clients: bool = False) -> ssl.SSLContext:
    """Return the context of a backend; with `clients`, a client certificate is required."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    if clients:
        AUTHORITY.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(
    certificate: trustme.LeafCert | None = None, *, version: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """Return the context of a client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    AUTHORITY.configure_trust(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    if certificate is not None:
        certificate.configure_cert(context)
    if version is not None:
        context.maximum_version = version
    return context


TRUSTING = client_context()


class TlsFiles:
    """Certificate files for a configuration."""

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
        """Return the entry of a backend with TLS."""
        tls: dict[str, object] = {"ca": str(self.authority)}
        tls |= {key.replace("_", "-"): value for key, value in options.items()}
        return {"url": backend.url.replace("ws:", "wss:"), "tls": tls}


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


async def refused(gateway: RunningGateway, tls: ssl.SSLContext) -> None:
    with pytest.raises((OSError, InvalidHandshake)):
        async with dial(gateway, tls):
            pass
    await until(lambda: gateway.count("tls_handshakes_failed") == 1)


def serial(connection: Connection) -> str:
    """Return the serial number of the peer's certificate."""
    certificate = connection.transport.get_extra_info("ssl_object").getpeercert()
    return str(certificate["serialNumber"])


def serial_of(leaf: trustme.LeafCert) -> str:
    number = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).serial_number
    text = f"{number:X}"
    return text if len(text) % 2 == 0 else f"0{text}"
