"""What blocks the loop is noticed where it stands; what does not is not."""

from __future__ import annotations

import asyncio
import socket
import time

from wsgw_core.testing.blocking_calls import watching_for_blocking_calls


async def test_what_asyncio_does_is_not_blocking() -> None:
    found: list[str] = []
    with watching_for_blocking_calls(found.append):
        server = await asyncio.start_server(lambda _, writer: writer.close(), "localhost", 0)
        host, port = server.sockets[0].getsockname()[:2]
        reader, writer = await asyncio.open_connection(host, port)
        await reader.read()
        writer.close()
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)
        await asyncio.to_thread(time.sleep, 0.001)
        await asyncio.sleep(0.001)
        server.close()

    assert found == []


def test_what_blocks_is_told_with_its_place() -> None:
    found: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        with watching_for_blocking_calls(found.append):
            time.sleep(0)
            socket.create_connection(server.getsockname()).close()
        time.sleep(0)
        socket.getaddrinfo("127.0.0.1", 80)

    assert [text.partition(" in ")[0] for text in found] == [
        "time.sleep(0)",
        "socket.getaddrinfo",
        "socket.connect with a socket that blocks",
    ]
    assert all("test_blocking_calls.py:" in text for text in found)
