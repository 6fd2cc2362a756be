"""Unanswered packets of the client."""

from __future__ import annotations

from collections.abc import Iterator

from ..session_memory import SessionMemory
from .malformed import MalformedPacket
from .publish import DUPLICATE
from .subscriptions import Request

_GREATEST = 0xFFFF


class OpenPackets:
    """The client's packets that the broker has not answered completely, by identifier.

    Messages of QoS 2 are kept until PUBCOMP if there is room, because a broker may deliver them
    only after PUBREL.

    Args:
        memory: the session's.
    """

    __slots__ = ("_memory", "_received", "_waiting")

    def __init__(self, memory: SessionMemory) -> None:
        self._memory = memory
        # Values: a request, a PUBLISH of QoS 2, or None for other packets
        self._waiting: dict[int, Request | bytes | None] = {}
        self._received: dict[int, bytes | None] = {}  # after PUBREC

    @property
    def count(self) -> int:
        """The number of packets."""
        return len(self._waiting) + len(self._received)

    def repeats(self, identifier: int, packet: bytes) -> bool:
        """Returns whether a PUBLISH repeats one that is already waiting.

        Raises:
            MalformedPacket: it is a new one whose identifier is in use.
        """
        is_used = identifier in self._waiting or identifier in self._received
        if is_used and not packet[0] & DUPLICATE:
            raise MalformedPacket(f"packet identifier {identifier} is in use")
        return is_used

    def publish(self, identifier: int, packet: bytes, quality: int) -> bool:
        """Adds a PUBLISH; returns False if it has QoS 2 and there is no room for it."""
        kept = packet if quality == 2 and self._memory.has_room(len(packet)) else None
        if kept is not None:
            self._memory.take(len(kept))
        self._waiting[identifier] = kept
        return quality != 2 or kept is not None

    def ask(self, request: Request) -> None:
        """Adds a SUBSCRIBE or UNSUBSCRIBE.

        Raises:
            MalformedPacket: its identifier is in use.
        """
        if request.identifier in self._waiting or request.identifier in self._received:
            raise MalformedPacket(f"packet identifier {request.identifier} is in use")
        self._waiting[request.identifier] = request

    def answer(self, identifier: int) -> Request | None:
        """Removes a completely answered packet; returns it if it is a request."""
        kept = self._waiting.pop(identifier, None)
        if isinstance(kept, Request):
            return kept
        self._free(kept)
        return None

    def receive(self, identifier: int) -> None:
        """Handles a PUBREC; the client sends PUBREL next."""
        if identifier in self._waiting:
            kept = self._waiting.pop(identifier)
            self._received[identifier] = None if isinstance(kept, Request) else kept

    def complete(self, identifier: int) -> None:
        """Handles a PUBCOMP."""
        self._free(self._received.pop(identifier, None))

    def unreleased(self) -> Iterator[tuple[int, bytes]]:
        """Yields messages with a PUBREC but without a PUBCOMP, marked as duplicates."""
        for identifier, packet in self._received.items():
            if packet is not None:
                yield identifier, bytes((packet[0] | DUPLICATE,)) + packet[1:]

    def free_identifiers(self) -> Iterator[int]:
        """Yields identifiers that the client does not use."""
        for identifier in range(_GREATEST, 0, -1):
            if identifier not in self._waiting and identifier not in self._received:
                yield identifier

    def _free(self, kept: bytes | None) -> None:
        if kept is not None:
            self._memory.free(len(kept))
