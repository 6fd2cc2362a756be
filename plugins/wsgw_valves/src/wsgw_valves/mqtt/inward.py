"""What the client still owes the broker that serves."""

from __future__ import annotations

from . import packets
from .packets import FAILURE, PUBACK, PUBREC, PUBREL, body_of, identifier_of, reason_of


class BrokersMessages:
    """Messages of quality 1 and 2 that the broker has sent and the client has not acknowledged.

    The next broker counts anew, so acknowledgements for this one must not reach it.
    """

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: dict[int, int] = {}

    def note(self, identifier: int, quality: int) -> None:
        """Note a message of the broker."""
        self._open[identifier] = quality

    def note_release(self, packet: bytes) -> None:
        """Note a PUBREL of the broker: of a message that another connection has brought, maybe."""
        self._open[identifier_of(packet)] = 2

    def is_owed(self, packet: bytes) -> bool:
        """Return whether an acknowledgement of the client is meant for this broker, and note it.

        Args:
            packet: a PUBACK, PUBREC or PUBCOMP.
        """
        kind, identifier = packet[0] >> 4, identifier_of(packet)
        if self._open.get(identifier) != (1 if kind == PUBACK else 2):
            return False
        failed = reason_of(packet, body_of(packet) + 2) >= FAILURE
        if kind != PUBREC or failed:
            del self._open[identifier]
        return True

    def lose(self) -> list[bytes]:
        """Forget all of them; return what releases the client from those of quality 2.

        It has them, and waits for a PUBREL that only the lost broker would have sent.
        """
        releases = [
            packets.packet(PUBREL << 4 | 2, identifier.to_bytes(2, "big"))
            for identifier, quality in self._open.items()
            if quality == 2
        ]
        self._open.clear()
        return releases
