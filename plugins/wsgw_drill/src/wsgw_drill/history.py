"""Compares the records of clients and backends: the fate of every message.

The names in the verdict:

lost           sent by a client and never seen by the websocket stack of any backend
unread         seen by a stack but never read by an application: a backend acknowledged the message
               and died before it read it
unread_late    the same, but the application was slow: its process worked for longer than the replay
               window after its stack had the message
unread_closed  the same as unread, but the stack had the close too; answering a close acknowledges
               everything before it
reordered      read for the first time, by any backend, after the first reading of a later message
               of the same client; or answered in this order
reordered_late the same by a slow application: its stack had the message before any stack had a
               later one of this client
skipped        a connection read a later message before this one
corrupted      read or answered differently from what was sent, or at the wrong client
duplicated     repeated readings of a message
undeclared     those duplicates that were neither among the messages announced by X-Wsgw-Replayed
               nor marked themselves as possibly repeated
unanswered     messages whose answer the client never got
unanswered_late
               the same, but the application read the message later than the replay window: the
               answer can have been lost with it
dropped        clients that lost their connection
failovers      connections made to continue a session
longest_wait   the longest time, in seconds, from the sending of a message until a stack had it
overdue        those of lost, unread and unread_closed that the gateway may have dropped after
               limits.close-timeout: the last messages of a client that has closed, whose close no
               backend got within that time

A replay repeats messages that an earlier backend may have read. That causes duplicates, but no
reordered or skipped messages, because within each connection the numbers increase by one.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from wsgw_core.testing.recording_log import CUT

_EARLY = 0.01  # seconds: timers are not exact


@dataclass
class Sent:
    """One client's record.

    Attributes:
        client: its id.
        sent: how many messages it has sent, numbered from 0.
        times: when it sent each, by the clock of the readings.
        answered: the numbers of the answered messages.
        swapped: first answers that came after the answer to a later message.
        foreign: answers to messages that it had not sent.
        dropped: whether it lost its connection.
        close_code, close_reason: of the lost connection.
        closed: when it closed by itself, by the clock of the readings; None: it did not.
        pauses: seconds, for each move to another backend, from the last answer of the old one to
            the first of the new one.
    """

    client: str
    sent: int = 0
    times: array[int] = field(default_factory=lambda: array("q"))
    answered: set[int] = field(default_factory=set)
    swapped: int = 0
    foreign: int = 0
    dropped: bool = False
    close_code: int | None = None
    close_reason: str = ""
    closed: int | None = None
    pauses: list[float] = field(default_factory=list)

    @property
    def satisfied(self) -> bool:
        """Whether all messages are answered."""
        return len(self.answered) == self.sent

    @property
    def close(self) -> str:
        """The close of the lost connection, for messages."""
        return (
            f"{self.close_code} ({self.close_reason})"
            if self.close_reason
            else str(self.close_code)
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """One line of a backend's log; see recording_log."""

    time: int
    kind: str
    connection: str
    client: str
    number: int


@dataclass
class Verdict:
    """The result of the comparison; see the module."""

    sent: int = 0
    lost: int = 0
    unread: int = 0
    unread_late: int = 0
    unread_closed: int = 0
    reordered: int = 0
    reordered_late: int = 0
    skipped: int = 0
    corrupted: int = 0
    duplicated: int = 0
    undeclared: int = 0
    unanswered: int = 0
    unanswered_late: int = 0
    dropped: int = 0
    failovers: int = 0
    overdue: int = 0
    longest_wait: float = 0.0
    pauses: list[float] = field(default_factory=list)

    NEVER = ("lost", "reordered", "skipped", "corrupted", "undeclared", "dropped")
    """What must not happen with any way."""

    @property
    def faults(self) -> dict[str, int]:
        """The counts above zero of what must never happen."""
        return {name: getattr(self, name) for name in self.NEVER if getattr(self, name)}


def read_logs(paths: Iterable[Path]) -> list[Reading]:
    """Returns the readings of all backends in the order of their times, without cut lines."""
    readings = []
    for path in paths:
        *lines, _ = path.read_text().split("\n") if path.exists() else ("",)
        for line in lines:
            if not line.endswith(CUT):
                time, kind, connection, client, number = line.split(" ")
                readings.append(Reading(int(time), kind, connection, client, int(number)))
    return sorted(readings, key=lambda reading: reading.time)


def judge(
    clients: Iterable[Sent], readings: Iterable[Reading], window: float, close_timeout: float
) -> Verdict:
    """Compares what clients sent with what backends read.

    Args:
            clients: those whose messages must arrive; order is checked for all others too.
            readings: of all backends, by time.
            window: the gateway's replay window, in seconds.
            close_timeout: seconds for which the gateway delivers messages of a closed client.
    """
    verdict = Verdict()
    backends = _Backends(verdict)
    for reading in readings:
        backends.take(reading)
    for record in clients:
        every = set(range(record.sent))
        seen_at, read = backends.seen_at[record.client], backends.read[record.client]
        seen = seen_at.keys()
        unread = (every & seen) - read
        late = {
            number for number in unread if backends.time_to_read(record.client, number) > window
        }
        closed = {
            number for number in unread - late if (record.client, number) in backends.before_close
        }
        verdict.sent += record.sent
        verdict.lost += len(every - seen)
        verdict.unread += len(unread - closed - late)
        verdict.unread_late += len(late)
        verdict.unread_closed += len(closed)
        if not backends.ended_in_time(record, close_timeout):
            last = max(read, default=-1)
            verdict.overdue += sum(number > last for number in every - read - late)
        verdict.corrupted += len(read - every) + record.foreign
        verdict.reordered += record.swapped
        unanswered = every - record.answered
        unanswered_late = {
            number
            for number in unanswered & read
            if backends.time_until_read(record.client, number) > window
        }
        verdict.unanswered += len(unanswered - unanswered_late)
        verdict.unanswered_late += len(unanswered_late)
        verdict.dropped += record.dropped
        waits = (seen_at[n] - sent_at for n, sent_at in enumerate(record.times) if n in seen_at)
        verdict.longest_wait = max(verdict.longest_wait, max(waits, default=0) / 1e9)
        verdict.pauses += record.pauses
    return verdict


class _Backends:
    """Evaluates the readings of all backends."""

    def __init__(self, verdict: Verdict) -> None:
        self.seen_at: defaultdict[str, dict[int, int]] = defaultdict(dict)
        self.read: defaultdict[str, set[int]] = defaultdict(set)
        self.before_close: set[tuple[str, int]] = set()
        self._closes: defaultdict[str, list[int]] = defaultdict(list)
        self._verdict = verdict
        self._seen_last: dict[tuple[str, int], tuple[str, int]] = {}
        self._last_sign_of: dict[str, int] = {}
        self._lag: dict[tuple[str, int], int] = {}
        self._seen_by: defaultdict[str, set[tuple[str, int]]] = defaultdict(set)
        self._highest: defaultdict[str, int] = defaultdict(lambda: -1)
        self._highest_seen: defaultdict[str, int] = defaultdict(lambda: -1)
        self._overtaken: set[tuple[str, int]] = set()
        self._last_read_by: dict[str, int] = {}
        self._count_read_by: Counter[str] = Counter()
        self._announced: dict[str, int] = {}
        self._opened: dict[str, int] = {}
        self._first_read_by: dict[tuple[str, int], str] = {}

    def take(self, reading: Reading) -> None:
        client, number, connection = reading.client, reading.number, reading.connection
        self._last_sign_of[_process_of(connection)] = reading.time
        match reading.kind:
            case "stack":
                self._see(client, number, reading.time)
                self._seen_by[connection].add((client, number))
                self._seen_last[client, number] = (connection, reading.time)
            case "read" | "again":
                _, since = self._seen_last.get((client, number), (connection, reading.time))
                self._lag.setdefault((client, number), reading.time - since)
                self._read(client, number, connection, told=reading.kind == "again")
            case "open":
                self._verdict.failovers += number >= 0
                self._announced[connection] = number
                self._opened[connection] = reading.time
            case "close":
                self.before_close |= self._seen_by[connection]
                for name in {name for name, _ in self._seen_by[connection]}:
                    self._closes[name].append(reading.time)
            case "corrupt":
                self._verdict.corrupted += 1

    def ended_in_time(self, record: Sent, timeout: float) -> bool:
        """Returns whether a client's session ended before the gateway may drop its messages.

        The gateway passes on the close when all is delivered, or at the timeout.
        """
        if record.closed is None:
            return True
        given_up = record.closed + (timeout - _EARLY) * 1e9
        return any(record.closed < time < given_up for time in self._closes[record.client])

    def time_to_read(self, client: str, number: int) -> float:
        """Returns the seconds for which a process had a message that it did not read."""
        connection, since = self._seen_last[client, number]
        return (self._last_sign_of[_process_of(connection)] - since) / 1e9

    def time_until_read(self, client: str, number: int) -> float:
        """Returns the seconds between a stack's receipt of a message and its first reading."""
        return self._lag[client, number] / 1e9

    def _see(self, client: str, number: int, time: int) -> None:
        if number in self.seen_at[client]:
            return
        self.seen_at[client][number] = time
        if number < self._highest_seen[client]:
            self._overtaken.add((client, number))
        else:
            self._highest_seen[client] = number

    def _read(self, client: str, number: int, connection: str, *, told: bool) -> None:
        last = self._last_read_by.get(connection)
        back = told and last is not None and number <= last
        self._verdict.skipped += last is not None and number != last + 1 and not back
        if not back:  # otherwise the next number still follows `last`
            self._last_read_by[connection] = number
        self._count_read_by[connection] += 1
        if number in self.read[client]:
            self._verdict.duplicated += 1
            self._verdict.undeclared += not (told or self._declared(client, number, connection))
        else:
            if number < self._highest[client]:
                if (client, number) in self._overtaken:
                    self._verdict.reordered += 1
                else:
                    self._verdict.reordered_late += 1
            self._highest[client] = max(self._highest[client], number)
            self.read[client].add(number)
            self._first_read_by[client, number] = connection

    def _declared(self, client: str, number: int, connection: str) -> bool:
        """Returns whether a backend could know that an earlier one may have read a message.

        A frozen backend can be the second reader although its connection is older.
        """
        first = self._first_read_by[client, number]
        if self._opened.get(connection, 0) < self._opened.get(first, 0):
            return True
        return self._count_read_by[connection] <= self._announced.get(connection, -1)


def _process_of(connection: str) -> str:
    return connection.partition("-")[0]
