"""The properties of MQTT 5 (section 2.2.2)."""

from __future__ import annotations

from .malformed import MalformedPacket
from .packets import Reader

SESSION_EXPIRY = 0x11
ASSIGNED_IDENTIFIER = 0x12
SERVER_KEEP_ALIVE = 0x13
AUTHENTICATION_METHOD = 0x15
TOPIC_ALIAS_MAXIMUM = 0x22
TOPIC_ALIAS = 0x23

_MOST = 1000  # properties of one packet
_SIZES = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), 1),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), 2),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), 4),
}
_TEXTS = (0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F)
_PAIR = 0x26
_VARINT = 0x0B


class Properties:
    """The properties of one packet.

    Args:
        reader: before the length of the properties; afterwards behind them.

    Attributes:
        start, end: their positions in the packet, without the length.

    Raises:
        MalformedPacket: a property is unknown, or there are too many.
    """

    __slots__ = ("_packet", "_places", "end", "start")

    def __init__(self, reader: Reader) -> None:
        length = reader.varint()
        self._packet = reader.packet
        self._places: dict[int, tuple[int, int]] = {}
        self.start, self.end = reader.at, reader.at + length
        for _ in range(_MOST):
            if reader.at >= self.end:
                break
            start = reader.at
            kind = reader.number(1)
            _skip(reader, kind)
            self._places[kind] = start, reader.at
        if reader.at != self.end:
            raise MalformedPacket("the properties are longer than their length, or too many")

    @property
    def all(self) -> bytes:
        """All properties, without the length."""
        return self._packet[self.start : self.end]

    def number(self, kind: int) -> int | None:
        """Returns the value of a numeric property; None: there is none."""
        if kind not in self._places:
            return None
        start, end = self._places[kind]
        return int.from_bytes(self._packet[start + 1 : end], "big")

    def text(self, kind: int) -> bytes | None:
        """Returns the value of a string property; None: there is none."""
        if kind not in self._places:
            return None
        start, end = self._places[kind]
        return self._packet[start + 3 : end]

    def without(self, kind: int) -> bytes:
        """Returns all other properties, without the length."""
        if kind not in self._places:
            return self.all
        start, end = self._places[kind]
        return self._packet[self.start : start] + self._packet[end : self.end]


def _skip(reader: Reader, kind: int) -> None:
    if kind in _SIZES:
        reader.take(_SIZES[kind])
    elif kind in _TEXTS:
        reader.text()
    elif kind == _PAIR:
        reader.text()
        reader.text()
    elif kind == _VARINT:
        reader.varint()
    else:
        raise MalformedPacket(f"unknown property {kind}")
