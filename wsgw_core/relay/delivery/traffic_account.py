"""Counts a session's messages for the backend that serves."""

from __future__ import annotations

from typing import Protocol

from ...metrics.traffic import Traffic
from .ledger import Ledger


class SentCounts(Protocol):
    """The counts that a client keeps of what it was sent."""

    @property
    def sent_messages(self) -> int:
        """Messages sent so far."""

    @property
    def sent_bytes(self) -> int:
        """Bytes of these messages."""


class TrafficAccount:
    """Counts a session's messages in the metrics of the backend that serves.

    Each message is counted in `outward` or `inward`. Ledger and client count the bytes anyway;
    `settle` adds these to the metrics.

    Args:
        ledger: the session's.
        unassigned: counts messages while there is no backend.

    Attributes:
        outward: counts messages to the backend; see `Sizes.counts`.
        inward: counts messages to the client.
    """

    __slots__ = (
        "_client",
        "_ledger",
        "_received",
        "_sent",
        "_sent_messages",
        "_traffic",
        "_unassigned",
        "inward",
        "outward",
    )

    def __init__(self, ledger: Ledger, unassigned: Traffic) -> None:
        self._ledger = ledger
        self._client: SentCounts | None = None
        self._sent_messages = 0  # the client's last count, once the account is closed
        self._unassigned = unassigned
        self._received = 0  # bytes that `settle` has added
        self._sent = 0
        self._traffic = unassigned
        self.outward = unassigned.to_backend.counts
        self.inward = unassigned.to_client.counts

    def open(self, client: SentCounts) -> None:
        """Begins to read the client's counts."""
        self._client = client

    def close(self) -> None:
        """Adds the last bytes, and forgets the client."""
        self.settle()
        self._sent_messages, self._client = self.messages_sent, None

    @property
    def messages_received(self) -> int:
        """Messages of the client that went on to a backend, in the session's whole life."""
        return self._ledger.settled_messages + len(self._ledger)

    @property
    def messages_sent(self) -> int:
        """Messages sent to the client, in the session's whole life."""
        return self._client.sent_messages if self._client is not None else self._sent_messages

    def settle(self) -> None:
        """Adds the bytes relayed since the last call to the metrics."""
        if self._client is None:
            return
        received, sent = self._ledger.bytes_ever, self._client.sent_bytes
        self._traffic.to_backend.bytes += received - self._received
        self._traffic.to_client.bytes += sent - self._sent
        self._received, self._sent = received, sent

    def move(self, traffic: Traffic | None) -> None:
        """Counts for another backend, or for none, from now on."""
        self.settle()
        self._traffic = self._unassigned if traffic is None else traffic
        self.outward = self._traffic.to_backend.counts
        self.inward = self._traffic.to_client.counts

    def outward_large(self, size: int) -> None:
        """Counts a message that is too large for `outward`."""
        self._traffic.to_backend.add_large(size)

    def inward_large(self, size: int) -> None:
        """Counts a message that is too large for `inward`."""
        self._traffic.to_client.add_large(size)
