"""Packets out of websocket messages, and their parts (MQTT 5.0 section 2)."""

from __future__ import annotations

from .malformed import MalformedPacket

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(8, 16)

FAILURE = 0x80  # reason codes from here on say that something was not done
MOST_AT_ONCE = 4096  # packets in one message; they are dealt with in one turn of the event loop
_LONGEST_LENGTH = 4  # bytes


class PacketSplitter:
    """Puts the packets of one direction together: they need not be messages.

    Args:
        most: bytes of a packet.
    """

    __slots__ = ("_most", "_rest")

    def __init__(self, most: int) -> None:
        self._most = most
        self._rest = bytearray()  # of a packet whose end has not come

    def is_packet(self, data: bytes) -> bool:
        """Return whether a message is one packet, and nothing waits for the rest of it."""
        return not self._rest and len(data) <= self._most and _end(data, 0) == len(data)

    def split(self, data: bytes) -> list[bytes]:
        """Return the packets that end in a message.

        Raises:
            MalformedPacket: there is a packet that is too large, or there are too many.
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

    def forget(self) -> None:
        """Drop a packet whose end has not come."""
        self._rest.clear()


def _end(data: bytes | bytearray, start: int) -> int | None:
    """Return where a packet ends; None: its length has not come as a whole."""
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
    """Return where the variable header of a whole packet begins."""
    at = 1
    while packet[at] >= 0x80:
        at += 1
    return at + 1


def packet(first: int, *parts: bytes) -> bytes:
    """Make a packet of its first byte, and what comes behind its length."""
    return b"".join((bytes((first,)), varint(sum(map(len, parts))), *parts))


def varint(number: int) -> bytes:
    """Write a variable byte integer."""
    made = bytearray()
    while number >= 0x80:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)


def text(data: bytes) -> bytes:
    """Write a string or binary data, behind its length."""
    return len(data).to_bytes(2, "big") + data


def identifier_of(packet: bytes) -> int:
    """Return the packet identifier of an acknowledgement, SUBACK or UNSUBACK."""
    at = body_of(packet)
    if len(packet) < at + 2 or not (found := packet[at] << 8 | packet[at + 1]):
        raise MalformedPacket("a packet without an identifier")
    return found


def reason_of(packet: bytes, at: int) -> int:
    """Return the reason code at a place; 0 where the packet is too short to have one."""
    return packet[at] if len(packet) > at else 0


class Reader:
    """Reads the parts of a packet, one behind the other.

    Args:
        packet: a whole one.

    Attributes:
        at: where it reads next.

    Raises:
        MalformedPacket: from all methods: the packet ends too early.
    """

    __slots__ = ("at", "packet")

    def __init__(self, packet: bytes) -> None:
        self.packet = packet
        self.at = body_of(packet)

    @property
    def is_at_end(self) -> bool:
        """Whether everything was read."""
        return self.at >= len(self.packet)

    def take(self, count: int) -> bytes:
        """Read so many bytes."""
        start, self.at = self.at, self.at + count
        if self.at > len(self.packet):
            raise MalformedPacket("a packet that ends too early")
        return self.packet[start : self.at]

    def number(self, count: int) -> int:
        """Read an integer of so many bytes."""
        return int.from_bytes(self.take(count), "big")

    def text(self) -> bytes:
        """Read a string or binary data."""
        return self.take(self.number(2))

    def varint(self) -> int:
        """Read a variable byte integer."""
        number = shift = 0
        for _ in range(_LONGEST_LENGTH):
            byte = self.number(1)
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7
        raise MalformedPacket("a variable byte integer of more than four bytes")

    def identifier(self) -> int:
        """Read a packet identifier."""
        found = self.number(2)
        if not found:
            raise MalformedPacket("a packet without an identifier")
        return found
