"""Which messages a backend has received, as its pongs tell.

Pongs come in order (RFC 6455 section 5.5.3): a pong means that the backend's websocket stack has
every message sent before its ping. Whether the application has read them too it cannot mean; for
that the replay window is waited for.
"""

from __future__ import annotations


class Acknowledgement:
    """The account of one connection: what was sent, asked about, acknowledged and released.

    Args:
        replay_window: seconds from a message's acknowledgement to its release.
        max_messages, max_bytes: what the window may hold; beyond that the oldest is released
            early, so that the window never stops the reading of a client.

    Attributes:
        asked, asked_bytes: what had been sent at the last ping.
    """

    __slots__ = (
        "_checkpoints",
        "_max_bytes",
        "_max_messages",
        "_released",
        "_released_bytes",
        "_replay_window",
        "_sequence",
        "_waiting_since",
        "asked",
        "asked_bytes",
    )

    def __init__(self, replay_window: float, max_messages: int, max_bytes: int) -> None:
        self._replay_window = replay_window
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self.asked = 0
        self.asked_bytes = 0
        self._sequence = 0
        self._waiting_since: float | None = None
        # (when, messages, bytes) acknowledged by each pong of the replay window
        self._checkpoints: list[tuple[float, int, int]] = []
        self._released = 0
        self._released_bytes = 0

    @property
    def waiting(self) -> bool:
        """Whether a ping is outstanding."""
        return self._waiting_since is not None

    def settled(self, sent: int) -> bool:
        """Whether all of `sent` messages were released and no answer is waited for."""
        return self._waiting_since is None and self._released == sent

    def ask(self, now: float, sent: int, sent_bytes: int) -> bytes:
        """Note that a ping goes out now; return its payload.

        Args:
            now: the clock's time.
            sent: messages ever given to the connection.
            sent_bytes: their payloads together.
        """
        self._sequence += 1
        self._waiting_since = now
        self.asked = sent
        self.asked_bytes = sent_bytes
        return self._sequence.to_bytes(8, "big")

    def answer(self, payload: bytes, now: float) -> bool:
        """Take a pong; False when it does not answer the outstanding ping."""
        if self._waiting_since is None or payload != self._sequence.to_bytes(8, "big"):
            return False
        self._waiting_since = None
        self._checkpoints.append((now, self.asked, self.asked_bytes))
        return True

    def overdue(self, now: float, timeout: float) -> bool:
        """Whether the ping has been unanswered for `timeout` seconds."""
        return self._waiting_since is not None and now - self._waiting_since > timeout

    def excuse(self, now: float) -> None:
        """Start the waiting time anew: the backend lives, or we ourselves do not read."""
        self._waiting_since = now

    def release(self, now: float) -> int:
        """Return how many more messages count as delivered now."""
        before = self._released
        while self._checkpoints:
            when, sent, sent_bytes = self._checkpoints[0]
            newest = self._checkpoints[-1]
            if (
                when + self._replay_window > now
                and newest[1] - self._released <= self._max_messages
                and newest[2] - self._released_bytes <= self._max_bytes
            ):
                break
            del self._checkpoints[0]
            self._released = sent
            self._released_bytes = sent_bytes
        return self._released - before
