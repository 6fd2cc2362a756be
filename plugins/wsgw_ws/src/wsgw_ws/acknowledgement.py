"""Finds out by pongs which messages a backend has received.

Pongs come in order (RFC 6455 section 5.5.3): a pong means that the backend's websocket stack has
every message sent before its ping. It does not mean that the application has read them. So wsgw
waits for the replay window and then for one more pong: only a backend that lived through the window
had time to read. A backend that was frozen, or got no processor time, had none.

If the ledger is almost full, so that wsgw could not read the client any more, it cuts the window
short. It always waits for one more round trip, which shows that the backend was at work after it
got the message; that is enough for an application that reads everything that comes. When wsgw
closes the connection, the window ends with the last pong, since no later one can come.
"""

from __future__ import annotations

from wsgw_core.api import Counter


class Acknowledgement:
    """The account of one connection: which messages were sent, asked, acknowledged and released.

    Args:
        replay_window: seconds from a message's acknowledgement to its release, through which the
            backend must have lived; a later pong proves it.
        capacity: the weight of a full ledger. From three quarters on, the oldest messages are
            released early, until half of the ledger is free.
        released_early: counts the messages released early.

    Attributes:
        asked, asked_weight: the number and the weight of the messages sent at the last ping.
        is_crowded: whether the ledger is almost full, and the next answer can release more.
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
        self._roomy_to = capacity // 2  # below, wsgw reads a paused client again
        self._released_early = released_early
        self.asked = 0
        self.asked_weight = 0
        self._sequence = 0
        self._waiting_since: float | None = None
        self._asked_at = 0.0
        self._lived_at = 0.0  # for certain: when the last answered ping was sent
        # (time, messages, weight) acknowledged by each pong of the replay window
        self._checkpoints: list[tuple[float, int, int]] = []
        self.is_crowded = False
        self._survivors = 0  # how many of these, the oldest, came before an answered ping
        self._released = 0
        self._released_weight = 0

    @property
    def waiting(self) -> bool:
        """Whether a ping is outstanding."""
        return self._waiting_since is not None

    @property
    def acknowledged(self) -> int:
        """How many messages a pong has acknowledged."""
        return self._checkpoints[-1][1] if self._checkpoints else self._released

    def settled(self, sent: int) -> bool:
        """Returns whether all `sent` messages were released and no ping is outstanding."""
        return self._waiting_since is None and self._released == sent

    def ask(self, now: float, sent: int, sent_weight: int) -> bytes:
        """Records that a ping is sent now; returns its payload.

        Args:
            now: the clock's time.
            sent: how many messages the connection has sent.
            sent_weight: their weight in the ledger.
        """
        self._sequence += 1
        self._waiting_since = self._asked_at = now
        self.asked = sent
        self.asked_weight = sent_weight
        return self._sequence.to_bytes(8, "big")

    def answer(self, payload: bytes, now: float) -> bool:
        """Takes a pong; returns whether it answers the outstanding ping."""
        if self._waiting_since is None or payload != self._sequence.to_bytes(8, "big"):
            return False
        self._waiting_since = None
        self._lived_at = self._asked_at
        self._survivors = len(self._checkpoints)
        if self.asked != self.acknowledged:
            self._checkpoints.append((now, self.asked, self.asked_weight))
        return True

    def acknowledge(self, now: float, sent: int, sent_weight: int) -> None:
        """Acts as if a pong had acknowledged everything sent so far."""
        self._waiting_since = None
        self._lived_at = now
        self.asked, self.asked_weight = sent, sent_weight
        if sent != self.acknowledged:
            self._checkpoints.append((now, sent, sent_weight))
        self._survivors = len(self._checkpoints)

    def waited(self, now: float) -> float:
        """Returns the seconds since the ping or the last excuse; 0 without an outstanding ping."""
        return 0.0 if self._waiting_since is None else now - self._waiting_since

    def excuse(self, until: float) -> None:
        """Restarts the waiting time at `until`: the backend lived, or wsgw did not read."""
        if self._waiting_since is not None:
            self._waiting_since = max(self._waiting_since, until)

    def outlasted(self, now: float) -> bool:
        """Returns whether one pong would release everything acknowledged."""
        return bool(self._checkpoints) and self._checkpoints[-1][0] + self._replay_window <= now

    def release(self, sent_weight: int) -> int:
        """Returns how many more messages count as delivered. Call it after an answer.

        Args:
            sent_weight: the present weight; see `ask`.
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
        """Returns how many more messages count as delivered after the connection's last pong."""
        before = self._released
        if self._checkpoints:
            _, self._released, self._released_weight = self._checkpoints[-1]
            self._checkpoints.clear()
        return self._released - before
