"""Unacknowledged messages of the broker."""

from __future__ import annotations

from .packets import FAILURE, PUBACK, PUBREC, PUBREL, body_of, identifier_of, reason_of

_RELEASE = bytes((PUBREL << 4 | 2, 2))  # before the identifier
_MOST_JOINED = 16_384  # packets in one message


class BrokersMessages:
    """The broker's messages of QoS 1 and 2 that the client has not acknowledged.

    Each broker uses its own identifiers, so an acknowledgement must not reach another broker.
    """

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: dict[int, int] = {}

    @property
    def count(self) -> int:
        """The number of messages."""
        return len(self._open)

    def note(self, identifier: int, quality: int) -> None:
        """Adds a message of the broker."""
        self._open[identifier] = quality

    def note_release(self, packet: bytes) -> None:
        """Adds a PUBREL of the broker, whose message may be from an earlier connection."""
        self._open[identifier_of(packet)] = 2

    def is_owed(self, packet: bytes) -> bool:
        """Handles an acknowledgement of the client; returns whether it is for this broker.

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
        """Drops all messages; returns PUBRELs for the client's messages of QoS 2, joined.

        The client has these messages, and waits for a PUBREL that only the lost broker would send.
        There may be one for each of 65,535 identifiers, so they are joined.
        """
        owed = [
            _RELEASE + identifier.to_bytes(2, "big")
            for identifier, quality in self._open.items()
            if quality == 2
        ]
        self._open.clear()
        return [b"".join(owed[at : at + _MOST_JOINED]) for at in range(0, len(owed), _MOST_JOINED)]
