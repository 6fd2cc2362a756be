"""Writes the commands of all sessions to one connection, once in each turn of the loop."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import hiredis

from wsgw_core.api import Clock

from .line import Line, Reply, ReplyCollector, pack
from .metrics import RedisMetrics
from .refusal import Refusal, RefusalLog
from .settings import RedisSettings


class Sender(Protocol):
    """Sends commands, and gets the result of each, in order."""

    def stored(self, number: int, reply: Reply, /) -> None:
        """Called when Redis has executed the command."""

    def rejected(self, number: int, refusal: Refusal, /) -> bool:
        """Called when Redis has refused the command.

        Returns:
            True: the refusal concerns only this sender. False: the publisher drops the line.
        """


@dataclass(slots=True)
class _Batch:
    """The commands of one write, and when they were written."""

    senders: deque[tuple[Sender, int]]
    written: float


class Publisher:
    """Writes commands in batches of at most `max_batch`.

    With `wait_replicas`, each write ends with a WAIT, and its commands count as stored only when
    so many replicas have confirmed.

    Args:
        line: the connection.
        settings: the backend's.
        clock: schedules the writes.
        metrics: the backend's.
        refusals: logs faults.

    Attributes:
        line: see above.
    """

    def __init__(
        self,
        line: Line,
        settings: RedisSettings,
        clock: Clock,
        metrics: RedisMetrics,
        refusals: RefusalLog,
    ) -> None:
        self.line = line
        self._clock = clock
        self._metrics = metrics
        self._refusals = refusals
        self._max_batch = settings.max_batch
        self._replicas = settings.wait_replicas
        self._wait_timeout = settings.wait_timeout
        self._wait = pack((b"WAIT", self._replicas, int(self._wait_timeout * 1000)))
        self._packed: list[bytes] = []
        self._senders: deque[tuple[Sender, int]] = deque()
        self._is_due = False
        self._unanswered = 0

    def add(self, sender: Sender, number: int, packed: bytes) -> None:
        """Writes a command in the next turn of the loop; after a loss there is no result.

        Args:
            sender: gets the result.
            number: identifies the command for the sender.
            packed: the command in the format of the protocol.
        """
        self._packed.append(packed)
        self._senders.append((sender, number))
        if not self._is_due:
            self._is_due = True
            self._clock.call_soon(self._write)
        elif len(self._packed) >= self._max_batch:
            self._write_batch()

    def forget(self) -> None:
        """Drops all commands, because the line is lost."""
        self._metrics.in_flight -= self._unanswered
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
        self._metrics.in_flight += count
        self._metrics.batch_sizes.observe(count)
        batch = _Batch(senders, self._clock.time())
        if not self._replicas:
            self.line.send(b"".join(packed), count, partial(self._take, batch))
            return
        packed.append(self._wait)
        self.line.send(
            b"".join(packed),
            count + 1,
            ReplyCollector(count + 1, partial(self._take_with_wait, batch)),
            extra_timeout=self._wait_timeout,
        )

    def _take_with_wait(self, batch: _Batch, replies: list[Reply]) -> None:
        """Takes the replies to a batch and to its WAIT, which comes last."""
        copies = replies.pop()
        if isinstance(copies, hiredis.ReplyError):
            self._give_up(Refusal(str(copies)))
        elif copies < self._replicas:
            self._give_up(Refusal(f"NOREPLICAS {copies} of {self._replicas} replicas confirmed"))
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
                    self._metrics.refused.labels(refusal.word).value += 1
                    continue
                self._give_up(refusal)
                return
            stored += 1
            try:
                sender.stored(number, reply)
            except Exception as error:  # noqa: BLE001 - a fault of one sender must not end the line
                self._refusals.fault("a stored message cannot be acknowledged", error)
        self._unanswered -= len(replies)
        self._metrics.in_flight -= len(replies)
        self._metrics.added.value += stored
        if not batch.senders:
            self._metrics.durations.observe(self._clock.time() - batch.written)

    def _give_up(self, refusal: Refusal) -> None:
        self._metrics.refused.labels(refusal.word).value += 1
        self.line.lose(refusal.reason)
