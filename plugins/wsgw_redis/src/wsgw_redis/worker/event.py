"""One event of the event stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from .answers import Fields, reply_fields

_HEADER = "header."
_LONGEST_WHY = 200


class InvalidEvent(ValueError):
    """An entry is not an event; the text says why."""


class Event:
    """A message of a client, or the beginning or the end of a session.

    Raises:
        InvalidEvent: the fields are not those of an event.

    Attributes:
        id: the same each time that the gateway sends the event.
        entry_id: the id of the entry in the stream.
        type: `message`, `connect` or `disconnect`.
        session: the session's id.
        number: of the message in its session; 0 for other events.
        data: the message; empty for other events.
        is_text: whether the message is text.
        path: of the client's request.
        headers: the configured headers; names in lower case.
        fields: all fields of the entry.
        replayed: the gateway may have sent the event before.
        deliveries: how often workers of the group got this entry.
        seen: a worker of this group has acknowledged another copy of this message in the last hour.
            Only set if `replayed`.
        reply_stream: for `send`.
        unanswered: replies of the last `ack` that reach no client, because the reply stream did not
            exist: the gateway and its sessions are gone, or the stream was removed. The gateway
            creates it again within about a second; `send` can then try again.
    """

    def __init__(
        self,
        entry_id: bytes,
        fields: dict[bytes, bytes],
        deliveries: int,
        acknowledge: Callable[[Event, list[Fields], bool], Awaitable[bool]],
    ) -> None:
        try:
            self._read(fields)
        except ValueError as error:  # UnicodeDecodeError is one
            raise InvalidEvent(f"not an event: {error}"[:_LONGEST_WHY]) from None
        self.entry_id = entry_id
        self.deliveries = deliveries
        self.seen = False
        self.unanswered = 0
        self._acknowledge = acknowledge
        self._replies: list[Fields] = []

    def _read(self, fields: dict[bytes, bytes]) -> None:
        text = {name.decode(): value for name, value in fields.items()}
        self.fields = text
        self.id = text.get("id", b"").decode()
        self.type = text.get("type", b"").decode()
        self.session = text.get("session", b"").decode()
        if not self.type or not self.session:
            raise ValueError("no type, or no session")
        self.number = int(text.get("number", b"0"))
        self.data = text.get("data", b"")
        self.is_text = text.get("kind") == b"text"
        self.path = text.get("path", b"").decode()
        self.headers = {
            name.removeprefix(_HEADER): value.decode("latin-1")
            for name, value in text.items()
            if name.startswith(_HEADER)
        }
        self.replayed = b"replayed" in fields
        self.reply_stream = text.get("reply", b"").decode()

    @property
    def text(self) -> str:
        """The message as a string.

        Raises:
            UnicodeDecodeError: the message is binary and not UTF-8.
        """
        return self.data.decode()

    async def reply(
        self, data: str | bytes | None = None, *, close: tuple[int, str] | None = None
    ) -> None:
        """Answers the client together with `ack`: Redis stores both or neither.

        Args:
            data: text as str, binary as bytes.
            close: code (1000, or 3000 to 4999) and reason; ends the session after `data`.
        """
        self._replies.append(reply_fields(self.session, data, close, self.number))

    async def ack(self, *, delete: bool = False) -> bool:
        """Stores the replies, and acknowledges the event.

        A reply is not stored if its stream does not exist; the event is acknowledged anyway. See
        `unanswered`.

        Args:
            delete: also remove the entry from the stream. The gateway removes none. Leave it out if
                several groups read the stream.

        Returns:
            False: Redis was lost meanwhile. The event comes again unless Redis has acknowledged it.
        """
        replies, self._replies = self._replies, []
        return await self._acknowledge(self, replies, delete)
