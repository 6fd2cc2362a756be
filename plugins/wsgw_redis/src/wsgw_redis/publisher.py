"""Writes the commands of all sessions to one connection, those of one turn of the loop at once."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Protocol

import hiredis

from wsgw_core.api import Clock

from .line import Line, Reply, Together, pack
from .measures import Measures
from .refusal import Refusal, RefusalLog


class Sender(Protocol):
    """Who has commands published, and hears what became of each, in their order."""

    def stored(self, number: int, reply: Reply, /) -> None:
        """Redis has carried the command out."""
        ...

    def rejected(self, number: int, refusal: Refusal, /) -> bool:
        """Redis has not; return whether that concerns the sender alone.

        If not, the line is given up.
        """
        ...


class _Batch:
    """The commands of one write."""

    __slots__ = ("senders", "wants_replicas", "written")

    def __init__(
        self, senders: deque[tuple[Sender, int]], written: float, *, wants_replicas: bool
    ) -> None:
        self.senders = senders
        self.written = written
        self.wants_replicas = wants_replicas


class Publisher:
    """What sessions write to: up to `max_batch` commands leave in one write.

    With `wait_replicas`, a WAIT follows each write, and nothing of it counts as stored before that
    many replicas have it.

    Args:
        line: the connection.
        clock: for the turns of the loop.
        measures: counts.
        refusals: tells of faults.
        max_batch: commands in one write.
        wait_replicas: 0: Redis alone is enough.
        wait_timeout: seconds for the replicas.

    Attributes:
        line: see above.
    """

    def __init__(
        self,
        line: Line,
        clock: Clock,
        measures: Measures,
        refusals: RefusalLog,
        *,
        max_batch: int,
        wait_replicas: int,
        wait_timeout: float,
    ) -> None:
        self.line = line
        self._clock = clock
        self._measures = measures
        self._refusals = refusals
        self._max_batch = max_batch
        self._replicas = wait_replicas
        self._wait_timeout = wait_timeout
        self._wait = pack((b"WAIT", wait_replicas, int(wait_timeout * 1000)))
        self._packed: list[bytes] = []
        self._senders: deque[tuple[Sender, int]] = deque()
        self._is_due = False
        self._unanswered = 0

    def add(self, sender: Sender, number: int, packed: bytes) -> None:
        """Writes a command in the next turn of the loop; nothing is heard of it after a loss.

        Args:
            sender: hears what became of it.
            number: by which the sender knows it.
            packed: the command, as it is sent.
        """
        self._packed.append(packed)
        self._senders.append((sender, number))
        if not self._is_due:
            self._is_due = True
            self._clock.call_soon(self._write)
        elif len(self._packed) >= self._max_batch:
            self._write_batch()

    def forget(self) -> None:
        """Counts what is under way no longer: the line is lost."""
        self._measures.in_flight -= self._unanswered
        self._unanswered = 0
        self._packed.clear()
        self._senders.clear()

    # Inside

    def _write(self) -> None:
        self._is_due = False
        if self._packed:
            self._write_batch()

    def _write_batch(self) -> None:
        packed, self._packed = self._packed, []
        senders, self._senders = self._senders, deque()
        if self.line.is_lost:
            return
        count = len(senders)
        self._unanswered += count
        self._measures.in_flight += count
        self._measures.batch_sizes.observe(count)
        batch = _Batch(senders, self._clock.time(), wants_replicas=self._replicas > 0)
        if not self._replicas:
            self.line.send(b"".join(packed), count, partial(self._take, batch))
            return
        packed.append(self._wait)
        self.line.send(
            b"".join(packed),
            count + 1,
            Together(count + 1, partial(self._take_with_wait, batch)),
            patience=self._wait_timeout,
        )

    def _take_with_wait(self, batch: _Batch, replies: list[Reply]) -> None:
        """Takes the replies to a batch and its WAIT, which is the last."""
        copies = replies.pop()
        if isinstance(copies, hiredis.ReplyError):
            self._give_up(Refusal(str(copies)))
        elif copies < self._replicas:
            self._give_up(Refusal(f"NOREPLICAS {copies} of {self._replicas} replicas in time"))
        else:
            self._take(batch, replies)

    def _take(self, batch: _Batch, replies: list[Reply]) -> None:
        pop = batch.senders.popleft
        stored = 0
        for reply in replies:
            sender, number = pop()
            if type(reply) is hiredis.ReplyError:
                refusal = Refusal(str(reply))
                if sender.rejected(number, refusal):
                    self._measures.refused.labels(refusal.word).value += 1
                    continue
                self._give_up(refusal)
                return
            stored += 1
            try:
                sender.stored(number, reply)
            except Exception as error:  # noqa: BLE001 - it must not end the line of all
                self._refusals.fault("what Redis has stored cannot be reported", error)
        self._unanswered -= len(replies)
        self._measures.in_flight -= len(replies)
        self._measures.added.value += stored
        if not batch.senders:
            self._measures.durations.observe(self._clock.time() - batch.written)

    def _give_up(self, refusal: Refusal) -> None:
        self._measures.refused.labels(refusal.word).value += 1
        self.line.lose(refusal.reason)
