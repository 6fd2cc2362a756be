"""Keeps a packet and its binary attachments together."""

from __future__ import annotations

from wsgw_core.api import CloseSession, Message

from .packet import Packet

_TOO_BIG = 1009


class Attachments:
    """Collects what belongs together in one direction, so that a failover does not part it.

    A server or a client that gets a part of a packet takes what follows for a fault.

    Args:
        most: attachments that a packet may have.
        most_bytes: of a packet with them.

    Attributes:
        packet: the one that waits for attachments; None: none does.
    """

    __slots__ = ("_left", "_missing", "_most", "_most_bytes", "_parts", "packet")

    def __init__(self, most: int, most_bytes: int) -> None:
        self.packet: Packet | None = None
        self._most = most
        self._most_bytes = most_bytes
        self._parts: list[Message] = []
        self._missing = 0
        self._left = 0

    def begin(self, packet: Packet, message: Message) -> None:
        """Wait for the attachments of a packet.

        Raises:
            CloseSession: it has too many.
        """
        if packet.attachments > self._most:
            raise CloseSession(_TOO_BIG, "too many attachments")
        self.packet = packet
        self._missing = packet.attachments + 1
        self._left = self._most_bytes
        self.add(message)

    def add(self, message: Message) -> bool:
        """Add a part; return whether it is the last one.

        Raises:
            CloseSession: they are too large together.
        """
        self._left -= message.size
        if self._left < 0:
            raise CloseSession(_TOO_BIG, "attachments too large")
        self._parts.append(message)
        self._missing -= 1
        return self._missing == 0

    def take(self) -> list[Message]:
        """Return all parts so far, and wait for no others."""
        parts, self._parts = self._parts, []
        self.packet = None
        return parts
