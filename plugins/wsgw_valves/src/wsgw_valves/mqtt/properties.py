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
        self.start, self.end = reader.at, reader.at + length
        self._places = _places(self._packet, self.start, self.end)
        reader.at = self.end

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


def _places(packet: bytes, at: int, end: int) -> dict[int, tuple[int, int]]:
    """Returns the place of the last property of each kind."""
    places: dict[int, tuple[int, int]] = {}
    try:
        for _ in range(_MOST):  # in place: there may be half a million in one message
            if at >= end:
                break
            start, kind = at, packet[at]
            if kind in _SIZES:
                at += 1 + _SIZES[kind]
            elif kind == _PAIR:
                at = _behind_text(packet, _behind_text(packet, at + 1))
            elif kind in _TEXTS:
                at = _behind_text(packet, at + 1)
            elif kind == _VARINT:
                at = _behind_varint(packet, at + 1)
            else:
                raise MalformedPacket(f"unknown property {kind}")
            places[kind] = start, at
    except IndexError:
        raise MalformedPacket("a packet that ends too early") from None
    if at != end or end > len(packet):
        raise MalformedPacket("the properties are longer than their length, or too many")
    return places


def _behind_text(packet: bytes, at: int) -> int:
    return at + 2 + (packet[at] << 8 | packet[at + 1])


def _behind_varint(packet: bytes, at: int) -> int:
    reader = Reader(packet, at)
    reader.varint()
    return reader.at
