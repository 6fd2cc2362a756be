"""The channel that publishes: one write for many messages, with confirms and returns."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from functools import partial
from typing import Literal, Protocol

from pamqp import commands
from pamqp.header import ContentHeader

from wsgw_core.api import Close, CloseCode

from .envelope import TAG
from .frame_splitter import UNREADABLE
from .metrics import AmqpMetrics
from .own_channel import OwnChannel
from .unroutable_keys import UnroutableKeys

Unroutable = Literal["unavailable", "discard", "close"]

_CONFIRM = struct.Struct("!QB")  # delivery tag, flags
_MULTIPLE = 1
_NO_BODY = 0  # only the properties of returned messages matter
_CONTENT_HEAD = b"\0" * 12  # stands before the properties for ContentHeader


class ConfirmReceiver(Protocol):
    """Publishes messages, and gets the result of each."""

    def confirmed(self, number: int, /) -> None:
        """Called when the broker has stored the message."""

    def refused(self, number: int, close: Close | None = None, /) -> None:
        """Called when the broker refuses the message; see WindowedConnection."""


class Publisher(OwnChannel):
    """Publishes the messages of all sessions, in one write for each turn of the loop.

    The delivery tag of a confirm identifies its message. A returned message has its tag in a
    header, so that two attempts to send the same message do not get mixed up.

    Args:
        metrics: the backend's.
        unroutable: what to do after a return.
        keys: learns which routing keys reach a queue.
        on_closed: see OwnChannel.
    """

    def __init__(
        self,
        metrics: AmqpMetrics,
        unroutable: Unroutable,
        keys: UnroutableKeys,
        on_closed: Callable[[str], object],
    ) -> None:
        super().__init__(_NO_BODY, on_closed)
        self.methods = {
            commands.Basic.Ack.index: partial(self._settled, is_stored=True),
            commands.Basic.Nack.index: partial(self._settled, is_stored=False),
            commands.Basic.Return.index: self._return_begins,
        }
        self._metrics = metrics
        self._unroutable = unroutable
        self._keys = keys
        self._clock = asyncio.get_running_loop()
        self._frames: list[bytes] = []
        self._flush_is_due = False
        self._is_blocked = False
        self._last_tag = 0
        self._oldest = 1  # no smaller tag is unconfirmed
        # By tag: the receiver, its number, the routing key, and the time of the publish.
        self._unconfirmed: dict[int, tuple[ConfirmReceiver, int, str, float]] = {}
        self._returned: set[int] = set()
        self._none_left = asyncio.Event()
        self._unblocked_at = 0.0

    async def open(self, write: Callable[[bytes], object], frame_max: int) -> None:
        """See OwnChannel."""
        await super().open(write, frame_max)
        await self.call(commands.Confirm.Select())

    @property
    def next_tag(self) -> int:
        """The tag of the next message, for its frames."""
        return self._last_tag + 1

    def publish(self, frames: bytes, key: str, receiver: ConfirmReceiver, number: int) -> None:
        """Publishes one message at the end of this turn of the loop.

        Args:
            frames: made with `next_tag`.
            key: the routing key in them.
            receiver: gets the result, unless the channel closes before.
            number: identifies the message for the receiver.
        """
        self._last_tag += 1
        self._unconfirmed[self._last_tag] = (receiver, number, key, self._clock.time())
        self._frames.append(frames)
        self._metrics.published.value += 1
        if not self._flush_is_due:
            self._flush_is_due = True
            self._clock.call_soon(self._flush)

    def block(self, blocked: bool, /) -> None:
        """Stops or resumes writing."""
        self._is_blocked = blocked
        if not blocked:
            self._unblocked_at = self._clock.time()
            self._flush()

    def __len__(self) -> int:
        """The number of unconfirmed messages."""
        return len(self._unconfirmed)

    def waiting_since(self) -> float | None:
        """Returns since when the oldest message waits for its confirm, without blocked time."""
        if not self._unconfirmed or self._is_blocked:
            return None
        while self._oldest not in self._unconfirmed:
            self._oldest += 1
        return max(self._unconfirmed[self._oldest][3], self._unblocked_at)

    async def all_confirmed(self) -> None:
        """Waits until all messages are confirmed or the channel is closed."""
        while self._unconfirmed and self.is_open:
            self._none_left.clear()
            await self._none_left.wait()

    def ended(self, reason: str, code: int = 0) -> None:
        """See OwnChannel."""
        super().ended(reason, code)
        self._frames.clear()
        self._unconfirmed.clear()
        self._none_left.set()

    def _flush(self) -> None:
        self._flush_is_due = False
        if self._frames and not self._is_blocked:
            frames, self._frames = self._frames, []
            self.write(b"".join(frames))

    # Called for methods of the broker

    def _settled(self, data: bytes, start: int, *, is_stored: bool) -> None:
        tag, flags = _CONFIRM.unpack_from(data, start)
        if not flags & _MULTIPLE:
            self._settle(tag, is_stored=is_stored)
            return
        for each in range(self._oldest, min(tag, self._last_tag) + 1):
            self._settle(each, is_stored=is_stored)
        self._oldest = max(self._oldest, tag + 1)

    def _settle(self, tag: int, *, is_stored: bool) -> None:
        entry = self._unconfirmed.pop(tag, None)
        if entry is None:
            return
        receiver, number, key, published_at = entry
        if not self._unconfirmed:
            self._none_left.set()
        self._metrics.confirm_duration.observe(self._clock.time() - published_at)
        if not is_stored:
            self._metrics.nacked.value += 1
            self._keys.refused(key)
            reason = f"the broker refused to store a message with the key {key!r}"
            receiver.refused(number, Close(CloseCode.TRY_AGAIN_LATER, reason, abnormal=True))
        elif tag in self._returned:
            self._returned.discard(tag)
            receiver.refused(number, self._verdict(key))
        else:
            if self._keys:
                self._keys.routed(key)
            receiver.confirmed(number)

    def _return_begins(self, _data: bytes, _start: int) -> None:
        self.expect_content(self._message_returned)

    def _message_returned(self, properties: bytes, _body: bytes | None) -> None:
        header = ContentHeader()
        try:
            header.unmarshal(_CONTENT_HEAD + properties)
        except UNREADABLE:
            return
        tag = (header.properties.headers or {}).get(TAG)
        if not isinstance(tag, int) or tag not in self._unconfirmed:
            return
        self._returned.add(tag)
        self._metrics.returned.value += 1
        self._keys.refused(self._unconfirmed[tag][2])

    def _verdict(self, key: str) -> Close | None:
        """Returns the close of a session whose message reached no queue; None: it goes on."""
        reason = f"no queue is bound for the key {key!r}"
        if self._unroutable == "unavailable":
            return Close(CloseCode.TRY_AGAIN_LATER, reason, abnormal=True)
        if self._unroutable == "close":
            return Close(CloseCode.INTERNAL_ERROR, reason)
        return None
