"""What the broker still owes the client: answers."""

from __future__ import annotations

from collections.abc import Iterator

from ..session_memory import SessionMemory
from .malformed import MalformedPacket
from .publish import DUPLICATE
from .subscriptions import Request

_GREATEST = 0xFFFF


class OpenPackets:
    """Packets of the client that the broker has not answered to the end, by their identifiers.

    Messages of quality 2 are kept until PUBCOMP, as far as there is room: the broker may deliver
    them only when they are released.

    Args:
        memory: has room for them, or none.
    """

    __slots__ = ("_memory", "_received", "_waiting")

    def __init__(self, memory: SessionMemory) -> None:
        self._memory = memory
        # What was sent: a request; a PUBLISH of quality 2; nothing of others
        self._waiting: dict[int, Request | bytes | None] = {}
        self._received: dict[int, bytes | None] = {}  # there was a PUBREC

    def repeats(self, identifier: int, packet: bytes) -> bool:
        """Return whether a PUBLISH is one that waits already.

        Raises:
            MalformedPacket: it is another one with the same identifier.
        """
        is_used = identifier in self._waiting or identifier in self._received
        if is_used and not packet[0] & DUPLICATE:
            raise MalformedPacket(f"the packet identifier {identifier}, which is in use")
        return is_used

    def publish(self, identifier: int, packet: bytes, quality: int) -> bool:
        """Note a PUBLISH; return False if one of quality 2 is too large to be remembered."""
        kept = packet if quality == 2 and self._memory.has_room(len(packet)) else None
        if kept is not None:
            self._memory.take(len(kept))
        self._waiting[identifier] = kept
        return quality != 2 or kept is not None

    def ask(self, request: Request) -> None:
        """Note a SUBSCRIBE or UNSUBSCRIBE.

        Raises:
            MalformedPacket: its identifier is in use.
        """
        if request.identifier in self._waiting or request.identifier in self._received:
            raise MalformedPacket(f"the packet identifier {request.identifier}, which is in use")
        self._waiting[request.identifier] = request

    def answer(self, identifier: int) -> Request | None:
        """Forget what was answered to the end; return it if it was a request."""
        kept = self._waiting.pop(identifier, None)
        if isinstance(kept, Request):
            return kept
        self._free(kept)
        return None

    def receive(self, identifier: int) -> None:
        """Note a PUBREC: the message is to be released next."""
        if identifier in self._waiting:
            kept = self._waiting.pop(identifier)
            self._received[identifier] = None if isinstance(kept, Request) else kept

    def complete(self, identifier: int) -> None:
        """Note a PUBCOMP."""
        self._free(self._received.pop(identifier, None))

    def unreleased(self) -> Iterator[tuple[int, bytes]]:
        """Iterate over messages for which there was a PUBREC and no PUBCOMP, marked as repeated."""
        for identifier, packet in self._received.items():
            if packet is not None:
                yield identifier, bytes((packet[0] | DUPLICATE,)) + packet[1:]

    def free_identifiers(self) -> Iterator[int]:
        """Iterate over identifiers that the client does not use."""
        for identifier in range(_GREATEST, 0, -1):
            if identifier not in self._waiting and identifier not in self._received:
                yield identifier

    def _free(self, kept: bytes | None) -> None:
        if kept is not None:
            self._memory.free(len(kept))
