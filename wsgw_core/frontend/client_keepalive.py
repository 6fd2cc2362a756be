"""Finds clients that are gone without a close."""

from __future__ import annotations

from ..websocket import Backlog
from .client_socket import ClientSocket


class ClientKeepalive:
    """Pings one client when it has been silent, and waits for any sign of life.

    Args:
        client: the client.
        ping_time: seconds of silence before the ping.
        ping_timeout: seconds of silence after the ping; then the client is gone.
        now: the clock's time.
    """

    __slots__ = ("_backlog", "_client", "_heard_at", "_ping_time", "_ping_timeout", "_pinged_at")

    def __init__(
        self, client: ClientSocket, ping_time: float, ping_timeout: float, now: float
    ) -> None:
        self._client = client
        self._ping_time = ping_time
        self._ping_timeout = ping_timeout
        self._heard_at = now
        self._pinged_at: float | None = None
        self._backlog: Backlog | None = None

    def is_gone(self, now: float, *, heard: bool) -> bool:
        """Returns whether the client is gone; pings it if necessary. ClientTimeouts calls this.

        Args:
            now: the clock's time.
            heard: whether bytes came from the client since the last call, or none could come.
        """
        if heard:
            self._heard_at = now
            self._pinged_at = self._backlog = None
        elif self._pinged_at is None:
            if now - self._heard_at >= self._ping_time:
                self._pinged_at = now
                self._backlog = self._client.ping()
                self._backlog.has_moved()  # records the bytes that wait before the ping
        elif now - self._pinged_at >= self._ping_timeout and self._backlog is not None:
            if self._client.silent_for(self._ping_timeout) and not self._backlog.has_moved():
                return True
            self._pinged_at = now
        return False
