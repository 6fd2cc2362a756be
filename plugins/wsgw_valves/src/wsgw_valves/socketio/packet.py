"""Parses the beginning of a packet."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple

# Of Engine.IO
OPEN, PING, PONG, MESSAGE = b"0", b"2", b"3", b"4"


class Type(IntEnum):
    """Types of Socket.IO packets, which are messages of Engine.IO."""

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
    """The beginning of a Socket.IO packet.

    Attributes:
        type_: see Type.
        attachments: number of its binary messages.
        namespace: begins with a slash.
        id: of an acknowledgement; None: no acknowledgement is involved.
        id_at: position of the id.
        body: position of the JSON.
    """

    type_: int
    attachments: int
    namespace: bytes
    id: int | None
    id_at: int
    body: int


def read_packet(data: bytes) -> Packet | None:
    """Returns the beginning of a packet; None if it is not a Socket.IO packet."""
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
    """Returns a packet without attachments."""
    where = b"" if namespace == DEFAULT_NAMESPACE else namespace + b","
    return b"4%d%b%b%b" % (type_, where, b"" if id_ is None else b"%d" % id_, body)


def with_id(data: bytes, packet: Packet, id_: int) -> bytes:
    """Returns a packet with another id."""
    return b"%b%d%b" % (data[: packet.id_at], id_, data[packet.body :])
