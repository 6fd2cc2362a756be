"""How servers of this process stop accepting."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from socket import socket


async def accept_no_more(sockets: Iterable[socket]) -> None:
    """Have all that was accepted be connections of a server that is about to be closed.

    An asyncio server that is closed between the two leaves the socket to the garbage collector.

    Args:
        sockets: on which the server listens.
    """
    loop = asyncio.get_running_loop()
    for listening in sockets:
        loop.remove_reader(listening)  # of no effect on uvloop, which has no such gap
    for _ in range(4):  # turns of the loop: a transport, its connection_made, a task, its begin
        await asyncio.sleep(0)
