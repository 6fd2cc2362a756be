"""The subscriptions of a client."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..session_memory import MemoryExceeded, SessionMemory
from . import packets
from .connect import MQTT_5
from .malformed import MalformedPacket
from .packets import FAILURE, Reader
from .properties import Properties

_MOST_FILTERS = 8  # in a SUBSCRIBE; some brokers allow no more
_SUBSCRIBE = packets.SUBSCRIBE << 4 | 2


@dataclass(frozen=True, slots=True)
class Request:
    """A SUBSCRIBE or an UNSUBSCRIBE that waits for its answer.

    Attributes:
        identifier: of the packet.
        filters: topic filters and their options; the options of an UNSUBSCRIBE are empty.
        properties: of a SUBSCRIBE.
        size: bytes of the packet.
    """

    identifier: int
    filters: tuple[tuple[bytes, bytes], ...]
    properties: bytes
    size: int

    @classmethod
    def of(cls, packet: bytes, version: int, most: int) -> Request:
        """Parses a SUBSCRIBE or UNSUBSCRIBE.

        Args:
            packet: a SUBSCRIBE or an UNSUBSCRIBE.
            version: of MQTT.
            most: topic filters.

        Raises:
            MalformedPacket: the packet is not valid.
            MemoryExceeded: it has too many topic filters.
        """
        reader = Reader(packet)
        identifier = reader.identifier()
        properties = Properties(reader).all if version == MQTT_5 else b""
        subscribes = packet[0] >> 4 == packets.SUBSCRIBE
        filters: list[tuple[bytes, bytes]] = []
        while not reader.is_at_end:
            if len(filters) == most:
                raise MemoryExceeded(f"more than {most} subscriptions")
            topic = reader.text()
            filters.append((topic, reader.take(1) if subscribes else b""))
        if not filters:
            raise MalformedPacket("a SUBSCRIBE or UNSUBSCRIBE without a topic filter")
        return cls(identifier, tuple(filters), properties, len(packet))


def codes_of(packet: bytes, version: int) -> bytes:
    """Returns the reason codes of a SUBACK or UNSUBACK: one for each filter, or none at all."""
    reader = Reader(packet)
    reader.identifier()
    if version == MQTT_5:
        Properties(reader)
    return packet[reader.at :]


class Subscriptions:
    """The granted subscriptions that have not ended, in order.

    Args:
        version: of MQTT.
        memory: the session's.
        most: maximum subscriptions, including those without an answer.
    """

    __slots__ = ("_granted", "_memory", "_most", "_version", "_waiting")

    def __init__(self, version: int, memory: SessionMemory, most: int) -> None:
        self._version = version
        self._memory = memory
        self._most = most
        self._granted: dict[bytes, tuple[bytes, bytes]] = {}  # options, properties
        self._waiting = 0

    def ask(self, request: Request) -> None:
        """Handles a request of the client.

        Raises:
            MemoryExceeded: there are too many subscriptions, or no memory.
        """
        count = len(request.filters)
        if request.filters[0][1]:
            count = sum(topic not in self._granted for topic, _ in request.filters)
            count += len(self._granted)
        if self._waiting + count > self._most:
            raise MemoryExceeded(f"more than {self._most} subscriptions")
        self._memory.take(request.size)
        self._waiting += len(request.filters)

    def answer(self, request: Request, packet: bytes) -> None:
        """Handles the broker's answer to a request.

        Raises:
            MalformedPacket: the answer does not fit the request.
        """
        codes = codes_of(packet, self._version)
        subscribes = bool(request.filters[0][1])
        if len(codes) != len(request.filters) and (codes or subscribes):
            raise MalformedPacket("a SUBACK or UNSUBACK with another number of topic filters")
        self._memory.free(request.size)
        self._waiting -= len(request.filters)
        for place, (topic, options) in enumerate(request.filters):
            if codes and codes[place] >= FAILURE:
                continue
            older = self._granted.pop(topic, None)
            if older is not None:
                self._memory.free(len(topic) + len(older[1]))
            if subscribes:
                self._memory.take(len(topic) + len(request.properties))
                self._granted[topic] = options, request.properties

    def packets(self, identifiers: Iterator[int]) -> Iterator[tuple[int, bytes]]:
        """Yields packets for all subscriptions, each with its identifier.

        Raises:
            MemoryExceeded: the client uses too many identifiers.
        """
        filters: list[bytes] = []
        last = b""
        for topic, (options, properties) in self._granted.items():
            if filters and (properties != last or len(filters) == _MOST_FILTERS):
                yield self._packet(next(identifiers, None), last, filters)
                filters = []
            last = properties
            filters.append(packets.text(topic) + options)
        if filters:
            yield self._packet(next(identifiers, None), last, filters)

    def _packet(
        self, identifier: int | None, properties: bytes, filters: list[bytes]
    ) -> tuple[int, bytes]:
        if identifier is None:
            raise MemoryExceeded("no packet identifier is left")
        parts = [identifier.to_bytes(2, "big")]
        if self._version == MQTT_5:
            parts += packets.varint(len(properties)), properties
        return identifier, packets.packet(_SUBSCRIBE, *parts, *filters)
