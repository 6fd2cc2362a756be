"""Splits websocket messages into packets, and parses these (MQTT 5.0 section 2)."""

from __future__ import annotations

from .malformed import MalformedPacket

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(8, 16)

FAILURE = 0x80  # reason codes from here on are failures
MOST_AT_ONCE = 4096  # packets in one message, which are handled in one turn of the event loop
_LONGEST_LENGTH = 4  # bytes


class PacketSplitter:
    """Assembles the packets of one direction, which may span messages.

    Args:
        most: maximum bytes of a packet.
    """

    __slots__ = ("_most", "_rest")

    def __init__(self, most: int) -> None:
        self._most = most
        self._rest = bytearray()  # of an incomplete packet

    def is_packet(self, data: bytes) -> bool:
        """Returns whether a message is exactly one packet, and no incomplete one waits."""
        return not self._rest and len(data) <= self._most and _end(data, 0) == len(data)

    def split(self, data: bytes) -> list[bytes]:
        """Returns the packets that end in a message.

        Raises:
            MalformedPacket: a packet is too large, or there are too many.
        """
        rest = self._rest
        rest += data
        packets: list[bytes] = []
        start, size = 0, len(rest)
        while start < size:
            end = _end(rest, start)
            if end is not None and end - start > self._most:
                raise MalformedPacket(f"a packet of more than {self._most} bytes")
            if end is None or end > size:
                break
            if len(packets) == MOST_AT_ONCE:
                raise MalformedPacket(f"more than {MOST_AT_ONCE} packets in a message")
            packets.append(bytes(rest[start:end]))
            start = end
        del rest[:start]
        return packets

    @property
    def waiting_bytes(self) -> int:
        """Bytes of an incomplete packet."""
        return len(self._rest)

    def forget(self) -> None:
        """Drops an incomplete packet."""
        self._rest.clear()


def _end(data: bytes | bytearray, start: int) -> int | None:
    """Returns the end of a packet; None: its length is incomplete."""
    length = shift = 0
    at = start + 1
    for byte in data[at : at + _LONGEST_LENGTH]:
        at += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            return at + length
        shift += 7
    if at - start > _LONGEST_LENGTH:
        raise MalformedPacket("a remaining length of more than four bytes")
    return None


def body_of(packet: bytes) -> int:
    """Returns the position of the variable header of a complete packet."""
    at = 1
    while packet[at] >= 0x80:
        at += 1
    return at + 1


def packet(first: int, *parts: bytes) -> bytes:
    """Returns a packet of a first byte and the parts after its length."""
    return b"".join((bytes((first,)), varint(sum(map(len, parts))), *parts))


def varint(number: int) -> bytes:
    """Returns a variable byte integer."""
    made = bytearray()
    while number >= 0x80:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)


def text(data: bytes) -> bytes:
    """Returns a string or binary data with its length."""
    return len(data).to_bytes(2, "big") + data


def identifier_of(packet: bytes) -> int:
    """Returns the packet identifier of an acknowledgement, SUBACK or UNSUBACK."""
    at = body_of(packet)
    if len(packet) < at + 2 or not (found := packet[at] << 8 | packet[at + 1]):
        raise MalformedPacket("a packet without an identifier")
    return found


def reason_of(packet: bytes, at: int) -> int:
    """Returns the reason code at a position; 0 if the packet is too short for one."""
    return packet[at] if len(packet) > at else 0


class Reader:
    """Reads the parts of a packet in order.

    Args:
        packet: a complete packet.
        at: where to begin; by default after the length.

    Attributes:
        at: the next position.

    Raises:
        MalformedPacket: in all methods, if the packet ends too early.
    """

    __slots__ = ("at", "packet")

    def __init__(self, packet: bytes, at: int = 0) -> None:
        self.packet = packet
        self.at = at or body_of(packet)

    @property
    def is_at_end(self) -> bool:
        """Whether the reader is at the end of the packet."""
        return self.at >= len(self.packet)

    def take(self, count: int) -> bytes:
        """Reads bytes."""
        start, self.at = self.at, self.at + count
        if self.at > len(self.packet):
            raise MalformedPacket("a packet that ends too early")
        return self.packet[start : self.at]

    def number(self, count: int) -> int:
        """Reads an integer of `count` bytes."""
        return int.from_bytes(self.take(count), "big")

    def text(self) -> bytes:
        """Reads a string or binary data."""
        return self.take(self.number(2))

    def varint(self) -> int:
        """Reads a variable byte integer."""
        number = shift = 0
        for _ in range(_LONGEST_LENGTH):
            byte = self.number(1)
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7
        raise MalformedPacket("a variable byte integer of more than four bytes")

    def identifier(self) -> int:
        """Reads a packet identifier."""
        found = self.number(2)
        if not found:
            raise MalformedPacket("a packet without an identifier")
        return found
