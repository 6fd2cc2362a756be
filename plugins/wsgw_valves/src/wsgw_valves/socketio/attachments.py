"""Keeps a packet and its binary attachments together."""

from __future__ import annotations

from wsgw_core.api import CloseSession, Message

from ..session_memory import SHARE
from .packet import Packet

_TOO_BIG = 1009


class Attachments:
    """Collects the parts of a packet in one direction, so that a failover does not split it.

    A peer that gets an incomplete packet takes the next message for a fault.

    Args:
        most: maximum attachments of a packet.
        most_bytes: maximum bytes of a packet with its attachments.

    Attributes:
        packet: the packet that waits for attachments; None: there is none.
    """

    __slots__ = ("_missing", "_most", "_most_bytes", "_parts", "_size", "packet")

    def __init__(self, most: int, most_bytes: int) -> None:
        self.packet: Packet | None = None
        self._most = most
        self._most_bytes = most_bytes
        self._parts: list[Message] = []
        self._missing = 0
        self._size = 0  # of the parts

    @property
    def bytes(self) -> int:
        """Bytes of the parts so far."""
        return self._size + len(self._parts) * SHARE

    def begin(self, packet: Packet, message: Message) -> None:
        """Starts to collect the attachments of a packet.

        Raises:
            CloseSession: the packet has too many attachments.
        """
        if packet.attachments > self._most:
            raise CloseSession(_TOO_BIG, "too many attachments")
        self.packet = packet
        self._missing = packet.attachments + 1
        self.add(message)

    def add(self, message: Message) -> bool:
        """Adds a part; returns whether it is the last one.

        Raises:
            CloseSession: the parts are too large together.
        """
        self._size += message.size
        if self._size > self._most_bytes:
            raise CloseSession(_TOO_BIG, "the attachments are too large")
        self._parts.append(message)
        self._missing -= 1
        return self._missing == 0

    def take(self) -> list[Message]:
        """Returns all parts so far, and stops collecting."""
        parts, self._parts = self._parts, []
        self._size = 0
        self.packet = None
        return parts
