"""The channel that consumes replies, delivers them, and acknowledges many at once."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import NamedTuple

from pamqp import commands

from wsgw_core.api import BackendContext, Close, Message, ReplyBuffers, ReplyOutcome

from .connection import AmqpConnection
from .frame_splitter import FRAME_HEAD, METHOD, OWN_CHANNEL
from .metrics import AmqpMetrics
from .own_channel import OwnChannel
from .reply import InvalidReplyError, read_properties, to_message

_TAG = struct.Struct("!QB")  # of a delivery; the first bit after it: redelivered
_REDELIVERED = 1
_SETTLE = struct.Struct("!IQBB")  # index, tag, a flag; then the frame's end
_SETTLE_HEAD = FRAME_HEAD.pack(METHOD, OWN_CHANNEL, 13)
_END = 0xCE
_MULTIPLE = 1
_NO_REQUEUE = 0
_UNSUBSCRIBED = "the broker cancelled the consumer of replies; was its queue deleted?"


class Receipt(NamedTuple):
    """Identifies a reply: a tag is only valid on its channel."""

    channel: ReplyChannel
    tag: int


class ReplyChannel(OwnChannel):
    """Consumes replies from the queue of this gateway.

    wsgw acknowledges a reply when its client's connection has it, and rejects one that no client
    gets. It never requeues: the queue has no other consumer.

    Args:
        context: the backend's.
        metrics: the backend's.
        find: returns the connection of a session, or None.
        prefetch: maximum replies that are neither acknowledged nor rejected.
        on_closed: see OwnChannel.
    """

    def __init__(
        self,
        context: BackendContext,
        metrics: AmqpMetrics,
        find: Callable[[str], AmqpConnection | None],
        prefetch: int,
        on_closed: Callable[[str], object],
    ) -> None:
        super().__init__(context.limits.max_message_size, on_closed)
        self.methods = {
            commands.Basic.Deliver.index: self._delivery_begins,
            commands.Basic.Cancel.index: self._cancelled,
        }
        self._context = context
        self._batch = context.read_batch
        self._metrics = metrics
        self._find = find
        self._prefetch = prefetch
        self._clock = asyncio.get_running_loop()
        self._tag = 0
        self._is_redelivered = False
        self._waiting: dict[
            int, None
        ] = {}  # tags in order of arrival; their replies wait for clients
        self._taken: list[int] = []  # tags to acknowledge
        self._rejects: list[bytes] = []
        self._flush_is_due = False
        self._is_reading = False

    async def consume(self, queue: str) -> None:
        """Starts to consume a queue.

        Raises:
            ChannelClosedError: the broker refuses, or the connection is lost.
        """
        await self.call(commands.Basic.Qos(prefetch_count=self._prefetch))
        await self.call(commands.Basic.Consume(queue=queue, consumer_tag="wsgw"))

    def __len__(self) -> int:
        """The number of replies that are neither acknowledged nor rejected."""
        return len(self._waiting) + len(self._taken)

    def frame_received(self, kind: int, data: bytes, start: int, end: int) -> None:
        """See FrameReceiver. Each client gets the replies of one read in one write."""
        if not self._is_reading:
            self._is_reading = self._batch.is_open = True
        super().frame_received(kind, data, start, end)

    def read_done(self) -> None:
        """See FrameReceiver."""
        if self._is_reading:
            self._is_reading = False
            self._batch.close()
            self._flush()

    def passed_on(self, tag: int) -> None:
        """See ReplyBuffers: a client has taken a buffered reply."""
        if self._waiting.pop(tag, self) is None:
            self._taken.append(tag)
            self._flush_soon()

    def not_taken(self, tag: int) -> None:
        """See ReplyBuffers: no client takes a buffered reply."""
        if self._waiting.pop(tag, self) is None:
            # During a read, buffers drop replies only for lack of room.
            self._reject(tag, "slow_client" if self._is_reading else "client_gone")
            self._flush_soon()

    def ended(self, reason: str, code: int = 0) -> None:
        """See OwnChannel."""
        super().ended(reason, code)
        self._waiting.clear()
        self._taken.clear()
        self._rejects.clear()

    # Called for methods of the broker

    def _delivery_begins(self, data: bytes, start: int) -> None:
        self._tag, flags = _TAG.unpack_from(data, start + 1 + data[start])  # after the consumer tag
        self._is_redelivered = bool(flags & _REDELIVERED)
        self.expect_content(self._delivered)

    def _cancelled(self, _data: bytes, _start: int) -> None:
        self.ended(_UNSUBSCRIBED)
        self._on_closed(_UNSUBSCRIBED)

    def _delivered(self, packed: bytes, body: bytes | None) -> None:
        tag, redelivered = self._tag, self._is_redelivered
        self._metrics.replies[redelivered].value += 1
        if body is None:
            self._reject(tag, "too_large")
            return
        try:
            properties = read_properties(packed)
            message = to_message(body, properties, redelivered=redelivered)
        except InvalidReplyError as error:
            self._context.logger.debug("a reply is rejected: %s", error)
            self._reject(tag, "invalid")
            return
        client, close = self._find(properties.session_id), properties.close
        if close is not None:
            self._deliver_last(tag, client, message, close)
            return
        self._waiting[tag] = None  # `receive` may call `not_taken` before it returns
        outcome = ReplyOutcome.UNKNOWN_SESSION
        if client is not None:
            outcome = client.receive(message, Receipt(self, tag))
        if outcome is ReplyOutcome.UNKNOWN_SESSION:
            outcome = self._context.deliver(properties.session_id, message)
        self._settle(tag, outcome)

    def _deliver_last(
        self, tag: int, client: AmqpConnection | None, message: Message, close: Close
    ) -> None:
        """Delivers a reply, if it has a body, and ends its session."""
        if client is None:  # the backend that serves a session closes it
            self._reject(tag, "unknown_session")
            return
        self._waiting[tag] = None
        outcome = ReplyOutcome.TAKEN
        if message.size:
            outcome = client.receive(message, Receipt(self, tag))
        if outcome in (ReplyOutcome.TAKEN, ReplyOutcome.HELD):
            client.end(close)
        self._settle(tag, outcome)

    def _settle(self, tag: int, outcome: ReplyOutcome) -> None:
        if outcome is ReplyOutcome.HELD or tag not in self._waiting:
            return
        del self._waiting[tag]
        if outcome is ReplyOutcome.TAKEN:
            self._taken.append(tag)
        else:
            self._reject(tag, outcome.value.replace(" ", "_"))

    def _reject(self, tag: int, why: str) -> None:
        self._metrics.replies_dead.labels(why).value += 1
        self._rejects.append(settling_frame(commands.Basic.Reject.index, tag, _NO_REQUEUE))

    # Sent to the broker

    def _flush_soon(self) -> None:
        if not self._flush_is_due:
            self._flush_is_due = True
            self._clock.call_soon(self._flush)

    def _flush(self) -> None:
        """Rejects, then acknowledges, because one acknowledgement covers all smaller tags."""
        self._flush_is_due = False
        frames, self._rejects = self._rejects, []
        taken, self._taken = self._taken, []
        if taken:
            first_waiting = next(iter(self._waiting), None)
            below = [tag for tag in taken if first_waiting is None or tag < first_waiting]
            if below:
                frames.append(settling_frame(commands.Basic.Ack.index, max(below), _MULTIPLE))
            if len(below) < len(taken):
                frames += [
                    settling_frame(commands.Basic.Ack.index, tag, 0)
                    for tag in taken
                    if first_waiting is not None and tag > first_waiting
                ]
        if frames:
            self.write(b"".join(frames))


def settling_frame(index: int, tag: int, flag: int) -> bytes:
    """Returns the frame of a basic.ack or basic.reject."""
    return _SETTLE_HEAD + _SETTLE.pack(index, tag, flag, _END)


def settle_buffers(
    context: BackendContext, max_bytes: int, max_messages: int, prefetch: int
) -> ReplyBuffers[Receipt]:
    """Returns the buffers of one backend, which report the outcome of each reply to its channel.

    Together they hold at most half of the prefetch, so that replies to other clients go on.
    """
    return ReplyBuffers[Receipt](
        context,
        max_bytes,
        max_messages=max_messages,
        total_messages=max(1, prefetch // 2),
        passed_on=lambda receipt: receipt.channel.passed_on(receipt.tag),
        not_taken=lambda receipt: receipt.channel.not_taken(receipt.tag),
    )
