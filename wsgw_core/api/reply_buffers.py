"""Buffers replies for slow clients, so that other clients do not wait for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from .backend import BackendContext
from .backend_control import ReplyOutcome
from .close import Close
from .close_codes import CloseCode
from .message import Message

ReceiptT = TypeVar("ReceiptT")

_OVERHEAD = 256  # bytes that a reply counts besides its payload


class ReplyTaker(Protocol):
    """A connection whose session's replies are buffered."""

    def end(self, close: Close, /) -> None:
        """Reports the end of the connection to its session."""


class ReplyBuffers(Generic[ReceiptT]):
    """The replies that wait for slow clients, of all sessions of one backend.

    It serves kinds whose sessions share one reader, which must not stop reading for one client.
    While a WindowedConnection is paused, it puts its session's replies here. If they exceed a
    limit, only that session is closed, with 1008, and its buffered replies are given back. Replies
    to clients that keep up never wait here, so no limit concerns them.

    Each reply comes with a receipt that identifies it for the caller: a delivery tag, the id of an
    entry, or None.

    Args:
        context: the backend's context; its metrics get `buffer_closes` and `reply_buffer_bytes`.
        max_bytes: maximum bytes of one session's replies; each counts 256 bytes more than its
            payload. A single reply may be longer.
        max_messages: maximum replies of one session; 0: no limit.
        total_bytes: maximum bytes of all sessions; 0: 64 times `max_bytes`. Beyond it, the session
            that holds most is closed.
        total_messages: maximum replies of all sessions; 0: no limit. Beyond it, the session that
            holds most is closed.
        passed_on: called with the receipt of each reply that was HELD when the client's connection
            has taken it.
        not_taken: called with the receipt of each reply that was HELD and that no client gets.
    """

    def __init__(
        self,
        context: BackendContext,
        max_bytes: int = 1024 * 1024,
        *,
        max_messages: int = 0,
        total_bytes: int = 0,
        total_messages: int = 0,
        passed_on: Callable[[ReceiptT], object] | None = None,
        not_taken: Callable[[ReceiptT], object] | None = None,
    ) -> None:
        self._max_bytes = max_bytes
        self._max_messages = max_messages
        self._total_bytes = total_bytes or 64 * max_bytes
        self._total_messages = total_messages
        self._passed_on = passed_on or _ignore
        self._not_taken = not_taken or _ignore
        self._held: dict[ReplyTaker, _Held[ReceiptT]] = {}
        self._bytes = 0
        self._messages = 0
        self._closes = context.metrics.counter(
            "buffer_closes", "Clients closed since too many replies waited for them."
        )
        context.metrics.gauge(
            "reply_buffer_bytes",
            "Bytes of replies that wait for slow clients.",
            lambda: self._bytes,
        )

    def __len__(self) -> int:
        """How many replies wait."""
        return self._messages

    @property
    def bytes(self) -> int:
        """Bytes of all replies that wait, with the 256 bytes for each."""
        return self._bytes

    def __contains__(self, taker: ReplyTaker) -> bool:
        """Whether replies wait for a session."""
        return taker in self._held

    def held_bytes(self, taker: ReplyTaker) -> int:
        """Returns the bytes of the replies that wait for one session."""
        held = self._held.get(taker)
        return held.bytes if held is not None else 0

    def hold(self, taker: ReplyTaker, message: Message, receipt: ReceiptT) -> ReplyOutcome:
        """Buffers a reply behind those that wait already.

        Returns:
            HELD; or SLOW_CLIENT if there is no room, and the session is closed. In that case
            `not_taken` is called for the replies that were held before, but not for this one.
        """
        held = self._held.get(taker)
        if held is None:
            held = self._held[taker] = _Held()
        held.replies.append((message, receipt))
        self._add(held, message, 1)
        count = len(held.replies)
        if (held.bytes > self._max_bytes and count > 1) or 0 < self._max_messages < count:
            victim = taker
        elif self._bytes > self._total_bytes:
            victim = max(self._held, key=lambda each: self._held[each].bytes)
        elif 0 < self._total_messages < self._messages:
            victim = max(self._held, key=lambda each: len(self._held[each].replies))
        else:
            return ReplyOutcome.HELD
        if victim is taker:
            held.replies.pop()
            self._add(held, message, -1)
        self._closes.value += 1
        self.give_back(victim)
        victim.end(Close(CloseCode.POLICY_VIOLATION, "too many replies wait for this client"))
        return ReplyOutcome.SLOW_CLIENT if victim is taker else ReplyOutcome.HELD

    def pass_on(
        self, taker: ReplyTaker, is_ready: Callable[[], bool], take: Callable[[Message], bool]
    ) -> None:
        """Passes on a session's replies in order, while the session is ready.

        Args:
            taker: the session's connection.
            is_ready: called before each reply; returns whether the session takes it.
            take: called with each reply; returns False when the client is gone.
        """
        held = self._held.get(taker)
        if held is None:
            return
        while held.replies and is_ready():
            message, receipt = held.replies.popleft()
            self._add(held, message, -1)
            (self._passed_on if take(message) else self._not_taken)(receipt)
        if not held.replies and self._held.get(taker) is held:
            del self._held[taker]

    def give_back(self, taker: ReplyTaker) -> None:
        """Removes a session's replies and calls `not_taken` for each: it is over or moves."""
        held = self._held.pop(taker, None)
        while held is not None and held.replies:
            message, receipt = held.replies.popleft()
            self._add(held, message, -1)
            self._not_taken(receipt)

    def _add(self, held: _Held[ReceiptT], message: Message, sign: int) -> None:
        size = sign * (message.size + _OVERHEAD)
        held.bytes += size
        self._bytes += size
        self._messages += sign


@dataclass(slots=True)
class _Held(Generic[ReceiptT]):
    """The replies that wait for one session."""

    replies: deque[tuple[Message, ReceiptT]] = field(default_factory=deque)
    bytes: int = 0


def _ignore(_receipt: object) -> None:
    pass
