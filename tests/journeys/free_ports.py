"""Free ports for servers with a configured address."""

from __future__ import annotations

import os
import random
import socket

# Systems use higher ports for outgoing connections and for servers that listen on port 0.
_LOWEST, _HIGHEST = 20_000, 32_000
# Each process of a run has its own ports: a port that one has found may not be in use yet.
_SHARES = 32


def free_ports(count: int) -> list[int]:
    """Return free ports of 127.0.0.1 that the system assigns to no other socket."""
    found: set[int] = set()
    share = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES
    while len(found) < count:
        port = random.SystemRandom().randrange(_LOWEST + share, _HIGHEST, _SHARES)
        if _is_free(port):
            found.add(port)
    return list(found)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
