"""A client that records the calls of its session."""

from __future__ import annotations

from wsgw_core.api import Close, Message

from .watch import FAKE_TIMEOUT, Watch


class FakeClient:
    """The client's side of a session.

    Attributes:
        received: the messages sent to the client before it was closed.
        received_late: the messages sent after that; a real client would not get them.
        pongs: the payloads of the pings that were answered.
        closes: every close, in order; a correct session closes once.
        reading: False while the session pauses reading the client.
        pauses: how often reading was paused.
        held_bytes, lasting_bytes, is_flushed, is_in_a_message: values for the session, which a test
            sets.
    """

    def __init__(self, *, timeout: float = FAKE_TIMEOUT) -> None:
        self.received: list[Message] = []
        self.received_late: list[Message] = []
        self.pongs: list[bytes] = []
        self.closes: list[Close] = []
        self.reading = True
        self.pauses = 0
        self.held_bytes = 0
        self.lasting_bytes = 0
        self.is_flushed = True
        self.is_in_a_message = False
        self._watch = Watch(timeout)

    # What the session calls

    @property
    def sent_messages(self) -> int:
        """The number of messages sent, including late ones."""
        return len(self.received) + len(self.received_late)

    @property
    def sent_bytes(self) -> int:
        """The bytes of these messages."""
        return sum(message.size for message in (*self.received, *self.received_late))

    def send(self, message: Message) -> None:
        """Records one message."""
        (self.received_late if self.closes else self.received).append(message)
        self._watch.changed()

    def pong(self, payload: bytes) -> None:
        """Records the answer to a ping."""
        self.pongs.append(payload)
        self._watch.changed()

    def close(self, code: int, reason: str = "") -> None:
        """Records a close."""
        self.closes.append(Close(code, reason))
        self._watch.changed()

    def pause_reading(self) -> None:
        """Records that the session pauses reading."""
        self.pauses += self.reading
        self.reading = False
        self._watch.changed()

    def stop_reading(self) -> None:
        """Records that the session pauses reading; a FakeClient keeps no messages."""
        self.pause_reading()

    def resume_reading(self) -> None:
        """Records that the session resumes reading."""
        self.reading = True
        self._watch.changed()

    # What the test calls

    @property
    def texts(self) -> list[str]:
        """The received messages as strings."""
        return [message.text for message in self.received]

    @property
    def closed(self) -> Close | None:
        """The close of the client, or None.

        Raises:
            AssertionError: the client was closed more than once.
        """
        assert len(self.closes) <= 1, f"the client was closed more than once: {self.closes}"
        return self.closes[0] if self.closes else None

    async def until_received(self, count: int) -> list[Message]:
        """Waits for `count` messages in total; returns all messages."""
        await self._watch.until(
            lambda: len(self.received) >= count,
            lambda: f"{count} messages at the client, which has {len(self.received)}",
        )
        return self.received

    async def until_closed(self) -> Close:
        """Waits for the close."""
        await self._watch.until(lambda: bool(self.closes), lambda: "the client's close")
        return self.closes[0]

    async def until_reading(self, reading: bool) -> None:
        """Waits until reading is resumed (True) or paused (False)."""
        await self._watch.until(
            lambda: self.reading == reading, lambda: f"the client's reading={reading}"
        )
