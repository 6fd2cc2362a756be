"""The start of the admin API."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import cast

import pytest
import trustme

from wsgw_core.admin.server import AdminServer
from wsgw_core.api import Metrics
from wsgw_core.config.server_options import AdminOptions
from wsgw_core.control.control import Control
from wsgw_core.metrics.counters import GatewayCounters


async def test_server_whose_address_is_in_use_leaves_nothing_running(tmp_path: Path) -> None:
    certificate = tmp_path / "both.pem"
    issued = trustme.CA().issue_cert("localhost")
    certificate.write_bytes(issued.private_key_and_cert_chain_pem.bytes())
    metrics = Metrics()
    with socket.create_server(("127.0.0.1", 0)) as other:
        options = AdminOptions.model_validate(
            {
                "address": f"127.0.0.1:{other.getsockname()[1]}",
                "tls": {"certificate": str(certificate), "reload-interval": "1ms"},
            }
        )
        server = AdminServer(cast("Control", None), options, metrics, GatewayCounters(metrics))
        with pytest.raises(OSError, match="in use"):
            await server.start()
    certificate.write_text("no longer read")
    await asyncio.sleep(0.1)  # time in which nothing must happen
    assert metrics.counter("tls_reload_errors", "").value == 0
