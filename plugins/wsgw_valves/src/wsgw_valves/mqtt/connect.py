"""CONNECT and CONNACK (MQTT 5.0 sections 3.1 and 3.2)."""

from __future__ import annotations

from dataclasses import dataclass

from . import packets, properties
from .malformed import MalformedPacket
from .packets import Reader
from .properties import Properties

MQTT_5 = 5
_NAMES = {3: b"MQIsdp", 4: b"MQTT", MQTT_5: b"MQTT"}
_CLEAN, _WILL, _PASSWORD, _USER = 0x02, 0x04, 0x40, 0x80
_RESERVED = 0x01
_ALL_OF_WILL = 0x3C  # including its QoS and retain flag


class Connect:
    """A client's CONNECT.

    Args:
        packet: a CONNECT.

    Attributes:
        version: 3, 4 or 5.
        identifier: of the client; empty: the broker chooses one.
        authenticates: whether the client uses enhanced authentication (AUTH).

    Raises:
        MalformedPacket: it is not a CONNECT, or of another version.
    """

    __slots__ = (
        "_behind_identifier",
        "_behind_will",
        "_flags",
        "_keep_alive",
        "_packet",
        "_properties",
        "authenticates",
        "identifier",
        "version",
    )

    def __init__(self, packet: bytes) -> None:
        reader = Reader(packet)
        name, self.version = reader.text(), reader.number(1)
        if _NAMES.get(self.version) != name:
            raise MalformedPacket("a protocol other than MQTT 3.1, 3.1.1 and 5")
        self._packet = packet
        self._flags = reader.number(1)
        if self._flags & _RESERVED:
            raise MalformedPacket("a CONNECT with reserved flags")
        self._keep_alive = reader.number(2)
        self._properties = Properties(reader) if self.version == MQTT_5 else None
        self.authenticates = (
            self._properties is not None
            and self._properties.text(properties.AUTHENTICATION_METHOD) is not None
        )
        self.identifier = reader.text()
        self._behind_identifier = self._behind_will = reader.at
        self._skip_payload(reader)
        if not reader.is_at_end:
            raise MalformedPacket("a CONNECT that is longer than its fields")

    def _skip_payload(self, reader: Reader) -> None:
        if self._flags & _WILL:
            if self.version == MQTT_5:
                Properties(reader)
            reader.text()
            reader.text()
            self._behind_will = reader.at
        for flag in (_USER, _PASSWORD):
            if self._flags & flag:
                reader.text()

    @property
    def size(self) -> int:
        """Bytes of the packet."""
        return len(self._packet)

    def forget_will(self) -> None:
        """Removes the will, so that no other broker publishes it."""
        self._flags &= ~_ALL_OF_WILL
        self._behind_identifier = self._behind_will

    def again(self, accepted: Accepted) -> bytes:
        """Returns the CONNECT for another broker.

        It has the identifier and keep-alive that the first broker has assigned. If the session
        outlasts its connection, the packet does not ask for a clean start.

        Args:
            accepted: the first broker's CONNACK.
        """
        flags, keep_alive = self._flags, self._keep_alive
        expiry = accepted.session_expiry
        own = self._properties
        if own is not None and expiry is None:
            expiry = own.number(properties.SESSION_EXPIRY)
        if self.version == MQTT_5 and expiry:
            flags &= ~_CLEAN
        if accepted.keep_alive is not None:
            keep_alive = accepted.keep_alive
        parts = [
            packets.text(_NAMES[self.version]),
            bytes((self.version, flags)),
            keep_alive.to_bytes(2, "big"),
        ]
        if own is not None:
            parts += packets.varint(own.end - own.start), own.all
        parts += (packets.text(accepted.identifier or self.identifier),)
        return packets.packet(packets.CONNECT << 4, *parts, self._packet[self._behind_identifier :])


@dataclass(frozen=True, slots=True)
class Accepted:
    """A broker's CONNACK.

    Attributes:
        reason: 0: the broker accepts the client.
        identifier: assigned by the broker; empty: the client's own.
        keep_alive: seconds; None: the client's own.
        session_expiry: seconds; None: the client's own.
        most_aliases: the greatest topic alias that the client may use.
    """

    reason: int
    identifier: bytes = b""
    keep_alive: int | None = None
    session_expiry: int | None = None
    most_aliases: int = 0

    @classmethod
    def of(cls, packet: bytes, version: int) -> Accepted:
        """Parses a CONNACK.

        Raises:
            MalformedPacket: the packet is not a CONNACK.
        """
        reader = Reader(packet)
        reader.number(1)
        reason = reader.number(1)
        if version != MQTT_5 or reader.is_at_end:  # a broker without MQTT 5 sends no properties
            return cls(reason)
        found = Properties(reader)
        return cls(
            reason,
            found.text(properties.ASSIGNED_IDENTIFIER) or b"",
            found.number(properties.SERVER_KEEP_ALIVE),
            found.number(properties.SESSION_EXPIRY),
            found.number(properties.TOPIC_ALIAS_MAXIMUM) or 0,
        )
