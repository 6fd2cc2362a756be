"""Reads how a packet begins."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple

# Of engine.io
OPEN, PING, PONG, MESSAGE = b"0", b"2", b"3", b"4"


class Type(IntEnum):
    """Types of packets of socket.io, which are messages of engine.io."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


DEFAULT_NAMESPACE = b"/"
_ZERO = ord("0")
_HEAD = re.compile(rb"4([0-6])(?:([0-9]{1,9})-)?(?:(/[^,]*+)(?:,|\Z))?([0-9]{1,15}+(?![0-9]))?")


class Packet(NamedTuple):
    """How a packet of socket.io begins.

    Attributes:
        type_: see Type.
        attachments: how many binary messages belong to it.
        namespace: begins with a slash.
        id: of an acknowledgement; None: it is none, and asks for none.
        id_at: where the id begins.
        body: where its JSON begins.
    """

    type_: int
    attachments: int
    namespace: bytes
    id: int | None
    id_at: int
    body: int


def read_packet(data: bytes) -> Packet | None:
    """Return how a packet begins; None if it is none of socket.io."""
    match = _HEAD.match(data)
    if match is None:
        return None
    type_, attachments, namespace, id_ = match.groups()
    return Packet(
        type_[0] - _ZERO,
        0 if attachments is None else int(attachments),
        DEFAULT_NAMESPACE if namespace is None else namespace.partition(b"?")[0],
        None if id_ is None else int(id_),
        match.end() if id_ is None else match.start(4),
        match.end(),
    )


def make_packet(type_: int, namespace: bytes, id_: int | None, body: bytes) -> bytes:
    """Return a packet without attachments."""
    where = b"" if namespace == DEFAULT_NAMESPACE else namespace + b","
    return b"4%d%b%b%b" % (type_, where, b"" if id_ is None else b"%d" % id_, body)


def with_id(data: bytes, packet: Packet, id_: int) -> bytes:
    """Return a packet with another id in place of its own."""
    return b"%b%d%b" % (data[: packet.id_at], id_, data[packet.body :])
