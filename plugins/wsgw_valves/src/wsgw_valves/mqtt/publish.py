"""PUBLISH: identifiers, topic aliases."""

from __future__ import annotations

from ..session_memory import SessionMemory
from . import packets, properties
from .malformed import MalformedPacket
from .packets import Reader, body_of
from .properties import Properties

DUPLICATE = 0x08


def quality_of(packet: bytes) -> int:
    """Returns the quality of service: 0, 1 or 2."""
    quality = packet[0] >> 1 & 3
    if quality == 3:
        raise MalformedPacket("a PUBLISH with an invalid QoS")
    return quality


def identifier_of(packet: bytes) -> int:
    """Returns the packet identifier of a PUBLISH with QoS 1 or 2."""
    at = body_of(packet)
    if len(packet) < at + 2:
        raise MalformedPacket("a PUBLISH without a topic")
    at += 2 + (packet[at] << 8 | packet[at + 1])
    if len(packet) < at + 2 or not (found := packet[at] << 8 | packet[at + 1]):
        raise MalformedPacket("a PUBLISH without an identifier")
    return found


class TopicAliases:
    """The topic aliases of a connection (MQTT 5). Brokers do not see them.

    Each PUBLISH gets its topic, so that any broker understands it.

    Args:
        memory: the session's.
    """

    __slots__ = ("_memory", "_topics", "most")

    def __init__(self, memory: SessionMemory) -> None:
        self.most = 0
        self._memory = memory
        self._topics: dict[int, bytes] = {}

    def resolved(self, packet: bytes) -> bytes:
        """Returns a PUBLISH of MQTT 5 with its topic and without an alias.

        Raises:
            MalformedPacket: the broker does not allow the alias, or the alias is unknown.
        """
        reader = Reader(packet)
        topic = reader.text()
        start = reader.at
        if packet[0] & 0x06:
            reader.take(2)
        if packet[reader.at : reader.at + 1] == b"\0":  # no properties
            return packet
        behind_identifier = reader.at
        found = Properties(reader)
        alias = found.number(properties.TOPIC_ALIAS)
        if alias is None:
            return packet
        if not 0 < alias <= self.most:
            raise MalformedPacket(f"the broker does not allow the topic alias {alias}")
        if topic:
            self._remember(alias, topic)
        elif alias not in self._topics:
            raise MalformedPacket(f"unknown topic alias {alias}")
        others = found.without(properties.TOPIC_ALIAS)
        return packets.packet(
            packet[0],
            packets.text(self._topics[alias]),
            packet[start:behind_identifier],
            packets.varint(len(others)),
            others,
            packet[found.end :],
        )

    def _remember(self, alias: int, topic: bytes) -> None:
        if alias in self._topics:
            self._memory.free(len(self._topics[alias]))
        self._memory.take(len(topic))
        self._topics[alias] = topic
