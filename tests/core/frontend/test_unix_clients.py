"""Clients that a program hands over from its own Unix socket have no address."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import cast

import pytest

from wsgw_core.frontend.frontend_server import FrontendServer

from .frontend_bench import TIMEOUT, FrontendBench, RawClient, request


class HandingOver(asyncio.Protocol):
    """Hands each client over with its first bytes.

    Args:
        frontend: serves the clients.
    """

    def __init__(self, frontend: FrontendServer) -> None:
        self._frontend = frontend

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._frontend.take_over(self._transport, data)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets")
@pytest.mark.parametrize("own_name", ["", "me"], ids=["no name", "a name"])
async def test_client_of_unix_socket_is_served(tmp_path: Path, own_name: str) -> None:
    async with FrontendBench() as bench:
        server = await asyncio.get_running_loop().create_unix_server(
            lambda: HandingOver(bench.frontend), tmp_path / "s"
        )
        with socket.socket(socket.AF_UNIX) as client:
            if own_name:
                client.bind(str(tmp_path / own_name))
            client.connect(str(tmp_path / "s"))
            raw = RawClient(*await asyncio.open_unix_connection(sock=client))
            raw.write(request())
            assert (await raw.read_head())[0] == 101
            assert bench.backend.requests[0].peer == ":0"
            raw.writer.transport.abort()
        server.close()
        async with asyncio.timeout(TIMEOUT):
            await server.wait_closed()
