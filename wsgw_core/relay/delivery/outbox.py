"""What a client says, on its way to whichever backend serves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ...api import Close, Message
from ...api.metrics import Counter
from ..all_sessions.session_context import SessionContext
from .ledger import Ledger
from .poison import CautiousReplay, Deaths
from .read_pauses import PauseReason, ReadPauses
from .traffic_account import TrafficAccount

if TYPE_CHECKING:
    from .session_sink import SessionSink


class Outbox:
    """Owes the backend each message until it is delivered, and sends it as soon as it can.

    What comes while there is no backend, or while one is given nothing new, waits in the ledger.
    The client is not read while that is full.

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
        "_expiry_timer",
        "_ledger",
        "_on_progress",
        "_on_shrunk",
        "_send",
        "_sink",
        "_sink_answers",
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
        self._sink_answers = False
        self._send: Callable[[Message], None] | None = None
        self._on_progress: Callable[[], None] | None = None
        self._on_shrunk: Callable[[], None] | None = None
        self._expiry_timer: asyncio.TimerHandle | None = None
        ledger.hold_back()  # until there is a connection

    def transmit(self, message: Message) -> None:
        """Owe the backend a message, and send it; called for each one, so all is done in place."""
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
            send(message)
        if weight >= ledger.capacity:
            self.client_pauses.add(PauseReason.LEDGER_FULL)

    # With a backend

    @property
    def is_flowing(self) -> bool:
        """Whether a message is sent as soon as it comes."""
        return self._send is not None

    @property
    def delivered_is_answered(self) -> bool:
        """Whether what the ledger still holds is owed an answer, of the backend that served last.

        That is so where its kind says so, or a valve.
        """
        return self._sink_answers or self._ledger.expects_replies

    def give_to(self, sink: SessionSink, on_progress: Callable[[], None]) -> None:
        """Send a new backend what it is owed, and what comes from now on.

        Args:
            sink: its connection was started.
            on_progress: called when the backend has acknowledged something for the first time.
        """
        self._ledger.forget_answered()
        self._sink = sink
        self._sink_answers = sink.delivered_is_answered
        self._on_progress = on_progress
        self.client_pauses.switch(PauseReason.BACKEND_BLOCKED, not sink.backend.writable)
        if self._deaths.is_suspicious:
            self._cautious = CautiousReplay(
                self._ledger,
                self._deaths,
                sink.give,
                self.give_rest,
                self._context.poison_lock,
                sink.backend,
                self._context.failover.stable,
            )
        else:
            self.give_rest()

    def give_rest(self) -> None:
        """Send what the connection was not given yet, in few writes, and then whatever comes."""
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

    def hold_back(self) -> None:
        """Give the backend nothing new."""
        self._send = None
        self._ledger.hold_back()

    def trust(self) -> None:
        """Note that the connection lasts: it may be given what others have died of."""
        if self._cautious is not None:
            self._cautious.begin()

    def delivered(self, count: int) -> None:
        """Forget messages that the backend has; called by the sink."""
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
        """Pause or resume reading the client; called by the sink."""
        self.client_pauses.switch(PauseReason.OTHER_SIDE_SLOW, not writable)

    def answered(self, handle: Any) -> None:
        """Forget the message whose reply was seen."""
        self._ledger.answered(handle)
        self._shrank()

    def ended(self, close: Close, *, as_asked: bool) -> None:
        """Note how the backend has ended; to be called before `let_go`.

        Args:
            close: the end.
            as_asked: it was told that the session leaves; a normal end acknowledges everything.
        """
        self._deaths.note(close, alone=self._cautious is not None)
        if as_asked and not close.abnormal:
            self._ledger.delivered_all(self._context.clock.time())

    def let_go(self) -> None:
        """Send the backend nothing more."""
        self._sink = self._send = self._on_progress = None
        if self._cautious is not None:
            cautious, self._cautious = self._cautious, None
            cautious.stop()
        self.client_pauses.remove(PauseReason.OTHER_SIDE_SLOW | PauseReason.BACKEND_BLOCKED)

    # Between two of them

    def rewind(self) -> None:
        """Owe the next backend what the last one has not acknowledged."""
        context, ledger = self._context, self._ledger
        context.counters.replies_expired.value += ledger.expire(context.clock.time())
        if context.failover.delivery == "at-most-once":
            context.counters.undelivered.value += ledger.forget_given()
        ledger.rewind()
        self._shrank()

    @property
    def poison(self) -> Message | None:
        """The message that has ended one backend after the other, if there is one."""
        return self._ledger.entries[0] if self._deaths.is_poison else None

    # When the client has gone

    def drain(self, on_shrunk: Callable[[], None]) -> None:
        """Have `on_shrunk` called whenever less is owed than before."""
        self._on_shrunk = on_shrunk

    def close(self, *, count_late: bool) -> None:
        """Forget everything, and whatever is still added.

        Args:
            count_late: the latter was to be delivered, so it counts as undelivered.
        """
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
            self._expiry_timer = None
        self._on_shrunk = None
        self._ledger.close()
        if count_late:
            self._send = partial(_lose, self._context.counters.undelivered)

    def _shrank(self) -> None:
        if self._cautious is not None:
            self._cautious.go_on()
        if self._on_shrunk is not None:
            self._on_shrunk()
        elif not self.client_pauses:
            return
        if self._ledger.roomy:
            self.client_pauses.remove(PauseReason.LEDGER_FULL)
        if not (self.client_pauses or self._on_shrunk):
            return
        if self._expiry_timer is None and (due := self._ledger.next_expiry) is not None:
            # A client that is not read, or has left, sends nothing whose delivery would have
            # replies expire.
            delay = max(0.0, due - self._context.clock.time())
            self._expiry_timer = self._context.clock.call_later(delay, self._expire, due)

    def _expire(self, due: float) -> None:
        self._expiry_timer = None
        self._context.counters.replies_expired.value += self._ledger.expire(due)
        self._shrank()


def _lose(lost: Counter, _message: Message) -> None:
    lost.value += 1
