"""Counts a session's messages for the backend that serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...metrics.traffic import Traffic

if TYPE_CHECKING:
    from ..client.client_side import ClientEnd
    from .ledger import Ledger


class TrafficAccount:
    """Where the messages of one session are counted; another place after each failover.

    The numbers of messages are counted one by one, in `outward` and `inward`. Their bytes follow
    from what ledger and client have counted anyway, and are added by `settle`.

    Args:
        ledger: of the session.
        nobodys: counts what comes while there is no backend.

    Attributes:
        outward, inward: see `Sizes.counts`.
    """

    __slots__ = (
        "_client",
        "_ledger",
        "_nobodys",
        "_received",
        "_sent",
        "_sent_messages",
        "_traffic",
        "inward",
        "outward",
    )

    def __init__(self, ledger: Ledger, nobodys: Traffic) -> None:
        self._ledger = ledger
        self._client: ClientEnd | None = None
        self._sent_messages = 0  # when the client's count is not asked any more
        self._nobodys = nobodys
        self._received = 0  # bytes that were added
        self._sent = 0
        self._traffic = nobodys
        self.outward = nobodys.to_backend.counts
        self.inward = nobodys.to_client.counts

    def open(self, client: ClientEnd) -> None:
        """Begin to ask the client what it was sent."""
        self._client = client

    def close(self) -> None:
        """Settle, and let go of the client."""
        self.settle()
        self._sent_messages, self._client = self.messages_sent, None

    @property
    def messages_received(self) -> int:
        """Messages from the client that went on to the backend, ever."""
        return self._ledger.settled_messages + len(self._ledger)

    @property
    def messages_sent(self) -> int:
        """Messages that the client was sent, ever."""
        return self._client.sent_messages if self._client is not None else self._sent_messages

    def settle(self) -> None:
        """Add the bytes since the last time."""
        if self._client is None:
            return
        received, sent = self._ledger.bytes_ever, self._client.sent_bytes
        self._traffic.to_backend.bytes += received - self._received
        self._traffic.to_client.bytes += sent - self._sent
        self._received, self._sent = received, sent

    def move(self, traffic: Traffic | None) -> None:
        """Settle, and count for another backend, or for none, from now on."""
        self.settle()
        self._traffic = self._nobodys if traffic is None else traffic
        self.outward = self._traffic.to_backend.counts
        self.inward = self._traffic.to_client.counts

    def outward_large(self, size: int) -> None:
        """Count a message that `outward` has no room for."""
        self._traffic.to_backend.add_large(size)

    def inward_large(self, size: int) -> None:
        """Count a message that `inward` has no room for."""
        self._traffic.to_client.add_large(size)
