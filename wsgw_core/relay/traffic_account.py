"""Counts a session's messages for the backend that serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..metrics.traffic import Traffic

if TYPE_CHECKING:
    from .ledger import Ledger


class TrafficAccount:
    """Where the messages of one session are counted; another place after each failover.

    The numbers of messages are counted one by one, in `outward` and `inward`. Their bytes follow
    from what session and client have counted anyway, and are added by `settle`.

    Args:
        nobodys: counts what comes while there is no backend.

    Attributes:
        outward, inward: see `Sizes.counts`.
    """

    __slots__ = ("_nobodys", "_received", "_sent", "_traffic", "inward", "outward")

    def __init__(self, nobodys: Traffic) -> None:
        self._nobodys = nobodys
        self._received = 0  # bytes that were added
        self._sent = 0
        self._traffic = nobodys
        self.outward = nobodys.to_backend.counts
        self.inward = nobodys.to_client.counts

    def settle(self, ledger: Ledger, sent_bytes: int) -> None:
        """Add the bytes since the last time.

        Args:
            ledger: of the session.
            sent_bytes: that the client was sent, ever.
        """
        received = ledger.bytes_ever
        self._traffic.to_backend.bytes += received - self._received
        self._traffic.to_client.bytes += sent_bytes - self._sent
        self._received, self._sent = received, sent_bytes

    def move(self, traffic: Traffic | None) -> None:
        """Count for another backend, or for none, from now on; `settle` comes first."""
        self._traffic = self._nobodys if traffic is None else traffic
        self.outward = self._traffic.to_backend.counts
        self.inward = self._traffic.to_client.counts

    def outward_large(self, size: int) -> None:
        """Count a message that `outward` has no room for."""
        self._traffic.to_backend.add_large(size)

    def inward_large(self, size: int) -> None:
        """Count a message that `inward` has no room for."""
        self._traffic.to_client.add_large(size)
