"""What became of every message: the clients' and the backends' records laid side by side.

The words of the verdict:

lost              sent by a client and never seen by the websocket stack of any backend
unread            seen by a stack, but never read by the application behind any: acknowledged by a
                  backend that died before it had read
unread_closed     the same, but the stack had the close too, and whoever has answered the close has
                  acknowledged all before it
reordered         read for the first time, by whichever backend, after a later message of the same
                  client was read for the first time
skipped           one connection read a later message before it had read this one
duplicated        readings beyond the first of a message
unanswered        messages whose answer the client never saw
dropped           clients that lost their connection

A replay goes back to messages that an earlier backend may have read: it makes duplicates, and
nothing that is reordered or skipped, since within each connection the numbers go up by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path


@dataclass
class Sent:
    """One client's record.

    Attributes:
        client: its id.
        sent: it has sent the numbers from 0 to below this.
        answered: the numbers whose answers it got.
        dropped: whether it lost its connection.
        longest_pause: seconds, the longest between two answers while some were due.
    """

    client: str
    sent: int = 0
    answered: set[int] = field(default_factory=set)
    dropped: bool = False
    longest_pause: float = 0.0

    @property
    def satisfied(self) -> bool:
        return len(self.answered) == self.sent


@dataclass(frozen=True)
class Reading:
    """One line of a backend's log."""

    time: int
    kind: str
    connection: str
    client: str
    number: int


@dataclass
class Verdict:
    """What was found; see the module."""

    sent: int = 0
    lost: int = 0
    unread: int = 0
    unread_closed: int = 0
    reordered: int = 0
    skipped: int = 0
    duplicated: int = 0
    unanswered: int = 0
    dropped: int = 0
    failovers: int = 0
    pause_ms: int = 0

    @classmethod
    def columns(cls) -> list[str]:
        return [each.name for each in fields(cls)]

    def row(self) -> list[str]:
        return [str(getattr(self, name)) for name in self.columns()]

    @property
    def faults(self) -> dict[str, int]:
        """What must never happen, where it did."""
        never = ("lost", "reordered", "skipped", "dropped")
        return {name: getattr(self, name) for name in never if getattr(self, name)}


def read_logs(paths: Iterable[Path]) -> list[Reading]:
    """Return the readings of all backends in the order in which they happened."""
    readings = []
    for path in paths:
        for line in path.read_text().splitlines() if path.exists() else ():
            time, kind, connection, client, number = line.split(" ")
            readings.append(Reading(int(time), kind, connection, client, int(number)))
    return sorted(readings, key=lambda reading: reading.time)


def judge(clients: Iterable[Sent], readings: Iterable[Reading]) -> Verdict:
    """Compare what was sent with what was read.

    Args:
        clients: their records.
        readings: of all backends, by time.
    """
    verdict = Verdict()
    seen: defaultdict[str, set[int]] = defaultdict(set)
    of_connection: defaultdict[str, set[tuple[str, int]]] = defaultdict(set)
    before_close: set[tuple[str, int]] = set()
    read: defaultdict[str, set[int]] = defaultdict(set)
    highest: defaultdict[str, int] = defaultdict(lambda: -1)
    last_of_connection: dict[str, int] = {}
    for reading in readings:
        client, number = reading.client, reading.number
        if reading.kind == "open":
            verdict.failovers += number >= 0
        elif reading.kind == "stack":
            seen[client].add(number)
            of_connection[reading.connection].add((client, number))
        elif reading.kind == "close":
            before_close |= of_connection[reading.connection]
        elif reading.kind == "read":
            last = last_of_connection.get(reading.connection)
            verdict.skipped += last is not None and number != last + 1
            last_of_connection[reading.connection] = number
            if number in read[client]:
                verdict.duplicated += 1
            else:
                verdict.reordered += number < highest[client]
                highest[client] = max(highest[client], number)
                read[client].add(number)
    for record in clients:
        every = set(range(record.sent))
        verdict.sent += record.sent
        verdict.lost += len(every - seen[record.client])
        unread = (every & seen[record.client]) - read[record.client]
        closed = {number for number in unread if (record.client, number) in before_close}
        verdict.unread += len(unread - closed)
        verdict.unread_closed += len(closed)
        verdict.unanswered += record.sent - len(record.answered)
        verdict.dropped += record.dropped
        verdict.pause_ms = max(verdict.pause_ms, round(record.longest_pause * 1000))
    return verdict
