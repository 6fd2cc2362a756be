"""Sends the client's messages to the backend that serves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from ...api import Close, Message
from ...api.metrics import Counter
from ..all_sessions.session_context import SessionContext
from .ledger import Ledger
from .poison import CautiousReplay, Deaths
from .read_pauses import PauseReason, ReadPauses
from .session_sink import SessionSink
from .traffic_account import TrafficAccount


class Outbox:
    """Puts each message into the ledger and sends it to the backend that serves.

    Without a backend, or after `stop_sending`, messages wait in the ledger. While the ledger is
    full, reading the client is paused.

    Args:
        ledger: empty.
        account: counts the messages.
        context: what all sessions share.

    Attributes:
        client_pauses: why the client is not read.
    """

    __slots__ = (
        "_account",
        "_cautious",
        "_context",
        "_deaths",
        "_delivered_is_answered",
        "_expiry_timer",
        "_ledger",
        "_on_progress",
        "_on_shrunk",
        "_send",
        "_sink",
        "client_pauses",
    )

    def __init__(self, ledger: Ledger, account: TrafficAccount, context: SessionContext) -> None:
        self._ledger = ledger
        self._account = account
        self._context = context
        self.client_pauses = ReadPauses(context.counters.read_pauses)
        self._deaths = Deaths(ledger, context.failover.max_replays)
        self._cautious: CautiousReplay | None = None
        self._sink: SessionSink | None = None
        self._delivered_is_answered = False
        self._send: Callable[[Message], None] | None = None
        self._on_progress: Callable[[], None] | None = None
        self._on_shrunk: Callable[[], None] | None = None
        self._expiry_timer: asyncio.TimerHandle | None = None
        ledger.stop_giving()  # until there is a connection

    def transmit(self, message: Message) -> None:
        """Puts a message into the ledger and sends it; on the hot path, so all is done in place."""
        ledger = self._ledger
        ledger.entries.append(message)
        size = message.size
        weight = ledger.weight = ledger.weight + size + ledger.share
        try:
            self._account.outward[size + 127 >> 7] += 1
        except IndexError:
            self._account.outward_large(size)
        send = self._send
        if send is not None:
            try:
                send(message)
            except Exception as error:  # noqa: BLE001 - the code of a plugin
                self._send_failed(error)
        if weight >= ledger.capacity:
            self.client_pauses.add(PauseReason.LEDGER_FULL)

    # With a backend

    @property
    def is_flowing(self) -> bool:
        """Whether each message is sent as soon as it comes."""
        return self._send is not None

    @property
    def delivered_is_answered(self) -> bool:
        """Whether the messages in the ledger still have to be answered.

        The kind of the backend that served last says so, or a valve; otherwise it is unknown.
        """
        return self._delivered_is_answered or self._ledger.expects_replies

    def send_to(self, sink: SessionSink, on_progress: Callable[[], None]) -> None:
        """Sends a new backend what is in the ledger, and what comes from now on.

        Args:
            sink: the sink of its connection, which was started.
            on_progress: called when the backend acknowledges something for the first time.
        """
        self._ledger.forget_answered()
        self._sink = sink
        self._delivered_is_answered = sink.delivered_is_answered
        self._on_progress = on_progress
        self.client_pauses.switch(PauseReason.BACKEND_BLOCKED, not sink.backend.writable)
        if self._deaths.is_suspicious:
            self._cautious = CautiousReplay(
                self._ledger,
                self._deaths,
                sink,
                self.send_rest,
                self._context.poison_lock,
                self._context.failover.stable,
            )
        else:
            self.send_rest()

    def send_rest(self) -> None:
        """Sends what the connection was not given yet, in few writes, and then each new message."""
        assert self._sink is not None  # noqa: S101 - for the type checker
        self._cautious = None
        give, ledger = self._sink.give, self._ledger
        batch = self._context.read_batch
        batch.is_open = True
        for message, number in zip(ledger.ungiven(), ledger.ungiven_numbers(), strict=True):
            give(message, number)
        batch.close()
        ledger.gave_all()
        self._send = self._sink.sender(ledger)

    def stop_sending(self) -> None:
        """Sends nothing new, until `send_rest`; new messages wait in the ledger."""
        self._send = None
        self._ledger.stop_giving()

    def _send_failed(self, error: Exception) -> None:
        if self._sink is None:  # the end, reported inside `send`, has moved or ended the session
            text = "a plugin has ended a connection inside send, and then raised an error: %r"
            self._context.logger.error(text, error, exc_info=error)
            return
        self._sink.send_failed(error)
        self.stop_sending()

    def connection_lasts(self) -> None:
        """Notes that the connection lasts, so that a cautious replay may begin."""
        if self._cautious is not None:
            self._cautious.begin()

    def delivered(self, count: int) -> None:
        """Forgets messages that the backend has acknowledged; called by the sink."""
        if not count:
            return
        ledger, now = self._ledger, self._context.clock.time()
        ledger.delivered(count, now)
        self._context.counters.replies_expired.value += ledger.expire(now)
        if self._on_progress is not None:
            on_progress, self._on_progress = self._on_progress, None
            on_progress()
        self._shrank()

    def backend_writable(self, writable: bool) -> None:
        """Pauses or resumes reading the client; called by the sink."""
        self.client_pauses.switch(PauseReason.OTHER_SIDE_SLOW, not writable)

    def answered(self, handle: Any) -> None:
        """Forgets the message of this handle: a valve has seen its reply."""
        self._ledger.answered(handle)
        self._shrank()

    def ended(self, close: Close, *, as_asked: bool) -> None:
        """Notes how the connection has ended; call it before `let_go`.

        Args:
            close: the end.
            as_asked: the session had closed the connection to move, so a normal end acknowledges
                everything.
        """
        self._deaths.note(close, alone=self._cautious is not None)
        if as_asked and not close.abnormal:
            self._ledger.delivered_all(self._context.clock.time())

    def let_go(self) -> None:
        """Forgets the connection: it has ended, or the session leaves it."""
        self._sink = self._send = self._on_progress = None
        if self._cautious is not None:
            cautious, self._cautious = self._cautious, None
            cautious.stop()
        self.client_pauses.remove(PauseReason.OTHER_SIDE_SLOW | PauseReason.BACKEND_BLOCKED)

    # Between two backends

    def rewind(self) -> None:
        """Prepares to send the next backend what the last one has not acknowledged.

        With `failover.delivery: at-most-once`, forget instead what the last one was given.
        """
        context, ledger = self._context, self._ledger
        context.counters.replies_expired.value += ledger.expire(context.clock.time())
        if context.failover.delivery == "at-most-once":
            context.counters.undelivered.value += ledger.forget_given()
        ledger.rewind()
        self._shrank()

    @property
    def poison(self) -> Message | None:
        """The message that several backends have died of, if there is one."""
        return self._ledger.entries[0] if self._deaths.is_poison else None

    # When the client has left

    def watch(self, on_shrunk: Callable[[], None]) -> None:
        """Calls `on_shrunk` whenever messages have left the ledger."""
        self._on_shrunk = on_shrunk

    def close(self, *, count_late: bool) -> None:
        """Forgets everything, and every message that still comes.

        Args:
            count_late: count messages that still come as undelivered.
        """
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
            self._expiry_timer = None
        self._on_shrunk = None
        self._ledger.close()
        if count_late:
            self._send = partial(_count_undelivered, self._context.counters.undelivered)

    def _shrank(self) -> None:
        if self._cautious is not None:
            self._cautious.go_on()
        if self._on_shrunk is not None:
            self._on_shrunk()
        elif not self.client_pauses:
            return
        if self._ledger.has_room:
            self.client_pauses.remove(PauseReason.LEDGER_FULL)
        if not (self.client_pauses or self._on_shrunk):
            return
        if self._expiry_timer is None and (due := self._ledger.next_expiry) is not None:
            # Replies expire when messages are delivered; a client that is not read, or has left,
            # sends none.
            delay = max(0.0, due - self._context.clock.time())
            self._expiry_timer = self._context.clock.call_later(delay, self._expire, due)

    def _expire(self, due: float) -> None:
        self._expiry_timer = None
        self._context.counters.replies_expired.value += self._ledger.expire(due)
        self._shrank()


def _count_undelivered(undelivered: Counter, _message: Message) -> None:
    undelivered.value += 1
