"""What hostile clients and backends send as fast as they can.

To add an attack, add an entry to ATTACKS; `python -m tests.chaos.hostile` measures it.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass

TEXT, BINARY, PING, PONG = 0x81, 0x82, 0x89, 0x8A
_UNFINISHED, _CONTINUATION, _LAST = 0x02, 0x00, 0x80
_COMPRESSED = 0x40
_MEBIBYTE = 1024 * 1024


def frame(first: int, payload: bytes = b"", *, masked: bool) -> bytes:
    """Returns a frame; its mask leaves the payload unchanged."""
    bit, size = masked << 7, len(payload)
    if size < 126:
        length = bytes([bit | size])
    elif size < 65_536:
        length = bytes([bit | 126, *size.to_bytes(2, "big")])
    else:
        length = bytes([bit | 127, *size.to_bytes(8, "big")])
    return bytes([first]) + length + (bytes(4) if masked else b"") + payload


def bomb(*, masked: bool) -> bytes:
    """Returns a compressed message of one mebibyte."""
    deflate = zlib.compressobj(9, wbits=-12)
    data = deflate.compress(bytes(_MEBIBYTE)) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return frame(BINARY | _COMPRESSED, data[:-4], masked=masked)


def fragments(*, masked: bool) -> bytes:
    """Returns an empty message of 102 frames."""
    between = frame(_CONTINUATION, masked=masked) * 100
    return frame(_UNFINISHED, masked=masked) + between + frame(_LAST, masked=masked)


Unit = Callable[[bool], bytes]


@dataclass(frozen=True)
class Peer:
    """What one end of a session does.

    Attributes:
        unit: returns the bytes that it sends repeatedly, masked or not; None: it sends nothing.
        reads: whether it reads.
    """

    unit: Unit | None = None
    reads: bool = True


@dataclass(frozen=True)
class Attack:
    """What both ends of the attacking sessions do.

    Attributes:
        title: the row's name in the table.
        client: what the clients do.
        backend: what their backend does; None: it echoes.
        clients: the number of clients.
        compressed: whether the gateway compresses on both legs.
        memory: the gateway's `limits.memory`; None: the default.
        given_up: additional handshakes a second, sent at once by clients that then leave.
    """

    title: str
    client: Peer
    backend: Peer | None = None
    clients: int = 1
    compressed: bool = False
    memory: str | None = None
    given_up: int = 0


def repeated(first: int, payload: bytes = b"") -> Unit:
    """Returns a function that makes one frame."""
    return lambda masked: frame(first, payload, masked=masked)


_UNITS: dict[str, tuple[str, Unit]] = {
    "pings": ("empty pings", repeated(PING)),
    "pongs": ("empty pongs", repeated(PONG)),
    "large-pings": ("pings of 125 bytes", repeated(PING, os.urandom(125))),
    "fragments": ("messages in 102 empty fragments", lambda masked: fragments(masked=masked)),
    "messages": ("empty messages", repeated(BINARY)),
}
_PINGS = _UNITS["pings"][1]

ATTACKS: dict[str, Attack] = {
    "none": Attack("none", Peer(), clients=0),
    **{
        f"client-{name}": Attack(f"a client sends {title}", Peer(unit))
        for name, (title, unit) in _UNITS.items()
    },
    "client-unread-pongs": Attack(
        "a client sends pings and does not read", Peer(_PINGS, reads=False)
    ),
    "client-bombs": Attack(
        "4 clients send 1 MiB in 1 kB, their backend does not read",
        Peer(lambda masked: bomb(masked=masked)),
        Peer(reads=False),
        clients=4,
        compressed=True,
    ),
    **{
        f"backend-{name}": Attack(f"a backend sends {title}", Peer(), Peer(unit))
        for name, (title, unit) in _UNITS.items()
    },
    "backend-unread-pongs": Attack(
        "a backend sends pings and does not read", Peer(), Peer(_PINGS, reads=False)
    ),
    "backend-bombs": Attack(
        "a backend sends 1 MiB in 1 kB, its 4 clients do not read",
        Peer(reads=False),
        Peer(lambda masked: bomb(masked=masked)),
        clients=4,
        compressed=True,
    ),
    "given-up-handshakes": Attack(
        "500 clients connect, ask at the same moment and leave, twice a second",
        Peer(),
        clients=0,
        given_up=1000,
    ),
    "many-full-ledgers": Attack(
        "400 clients send 64 kB messages, their backend does not read; `limits.memory` is 64 MiB",
        Peer(repeated(BINARY, bytes(65_536))),
        Peer(reads=False),
        clients=400,
        memory="64MiB",
    ),
    "many-slow-clients": Attack(
        "a backend sends 1 MiB messages, its 400 clients do not read; `limits.memory` is 64 MiB",
        Peer(reads=False),
        Peer(repeated(BINARY, bytes(_MEBIBYTE - 16))),
        clients=400,
        memory="64MiB",
    ),
}
