"""Which messages a backend has received, as its pongs tell.

Pongs come in order (RFC 6455 section 5.5.3): a pong means that the backend's websocket stack has
every message sent before its ping. Whether the application has read them too it cannot mean; for
that the replay window is waited for, and then for one pong more: only a backend that lived through
the window has had the time to read. One that was frozen, or got no processor, has not.

The window is cut short when the ledger is almost full, or the client could not be read on. But
never below one more round trip, which shows that the backend has been at work since it had the
message: that is enough for an application that reads whatever has come. It ends with the pong that
comes when we close the connection: no later one can be had.
"""

from __future__ import annotations

from wsgw_core.api import Counter


class Acknowledgement:
    """The account of one connection: what was sent, asked about, acknowledged and released.

    Args:
        replay_window: seconds that the backend must have lived on, as a later pong tells, from a
            message's acknowledgement to its release.
        capacity: the weight with which the ledger is full. From three quarters on the oldest is
            released early, until half of it is free.
        released_early: counts the messages of which this is true.

    Attributes:
        asked, asked_weight: what had been sent at the last ping.
        is_crowded: the ledger is almost full, and more can be released after the next answer.
    """

    __slots__ = (
        "_asked_at",
        "_checkpoints",
        "_crowded_from",
        "_lived_at",
        "_released",
        "_released_early",
        "_released_weight",
        "_replay_window",
        "_roomy_to",
        "_sequence",
        "_survivors",
        "_waiting_since",
        "asked",
        "asked_weight",
        "is_crowded",
    )

    def __init__(self, replay_window: float, capacity: int, released_early: Counter) -> None:
        self._replay_window = replay_window
        self._crowded_from = capacity * 3 // 4
        self._roomy_to = capacity // 2  # from here on a client that was not read is read again
        self._released_early = released_early
        self.asked = 0
        self.asked_weight = 0
        self._sequence = 0
        self._waiting_since: float | None = None
        self._asked_at = 0.0
        self._lived_at = 0.0  # for sure: when the last ping that was answered went out
        # (when, messages, weight) acknowledged by each pong of the replay window
        self._checkpoints: list[tuple[float, int, int]] = []
        self.is_crowded = False
        self._survivors = 0  # the oldest of these: an answer has come to a ping after them
        self._released = 0
        self._released_weight = 0

    @property
    def waiting(self) -> bool:
        """Whether a ping is outstanding."""
        return self._waiting_since is not None

    @property
    def acknowledged(self) -> int:
        """How many messages a pong has told of."""
        return self._checkpoints[-1][1] if self._checkpoints else self._released

    def settled(self, sent: int) -> bool:
        """Whether all of `sent` messages were released and no answer is waited for."""
        return self._waiting_since is None and self._released == sent

    def ask(self, now: float, sent: int, sent_weight: int) -> bytes:
        """Note that a ping goes out now; return its payload.

        Args:
            now: the clock's time.
            sent: messages ever given to the connection.
            sent_weight: what they weigh in the ledger, together.
        """
        self._sequence += 1
        self._waiting_since = self._asked_at = now
        self.asked = sent
        self.asked_weight = sent_weight
        return self._sequence.to_bytes(8, "big")

    def answer(self, payload: bytes, now: float) -> bool:
        """Take a pong; False when it does not answer the outstanding ping."""
        if self._waiting_since is None or payload != self._sequence.to_bytes(8, "big"):
            return False
        self._waiting_since = None
        self._lived_at = self._asked_at
        self._survivors = len(self._checkpoints)
        if self.asked != self.acknowledged:
            self._checkpoints.append((now, self.asked, self.asked_weight))
        return True

    def acknowledge(self, now: float, sent: int, sent_weight: int) -> None:
        """Do as if a pong had answered a ping behind everything sent so far."""
        self._waiting_since = None
        self._lived_at = now
        self.asked, self.asked_weight = sent, sent_weight
        if sent != self.acknowledged:
            self._checkpoints.append((now, sent, sent_weight))
        self._survivors = len(self._checkpoints)

    def waited(self, now: float) -> float:
        """Return for how many seconds the ping has been unanswered, since the last excuse."""
        return 0.0 if self._waiting_since is None else now - self._waiting_since

    def excuse(self, until: float) -> None:
        """Let the waiting time begin then: the backend lived, or we ourselves did not read."""
        if self._waiting_since is not None:
            self._waiting_since = max(self._waiting_since, until)

    def outlasted(self, now: float) -> bool:
        """Whether a pong is all that is missing for everything acknowledged to be released."""
        return bool(self._checkpoints) and self._checkpoints[-1][0] + self._replay_window <= now

    def release(self, sent_weight: int) -> int:
        """Return how many more messages count as delivered; to be called after an answer.

        Args:
            sent_weight: see `ask`; by now.
        """
        before = self._released
        self.is_crowded |= sent_weight - self._released_weight >= self._crowded_from
        while self._checkpoints:
            when, sent, weight = self._checkpoints[0]
            if self._replay_window and self._lived_at < when + self._replay_window:
                if not (self.is_crowded and self._survivors):
                    break
                self._released_early.value += sent - self._released
            del self._checkpoints[0]
            self._survivors = max(0, self._survivors - 1)
            self._released = sent
            self._released_weight = weight
            if sent_weight - weight <= self._roomy_to:
                self.is_crowded = False
        return self._released - before

    def release_all(self) -> int:
        """Return how many more messages count as delivered, since nothing follows the last pong."""
        before = self._released
        if self._checkpoints:
            _, self._released, self._released_weight = self._checkpoints[-1]
            self._checkpoints.clear()
            self._survivors = 0
        return self._released - before
