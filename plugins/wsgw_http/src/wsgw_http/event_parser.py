"""Event streams: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from __future__ import annotations

import base64
import binascii

from wsgw_core.api import BINARY, Message

from .answers import text_message, too_large
from .failures import BadAnswer
from .line_splitter import LineSplitter

_MARK = b"\xef\xbb\xbf"  # a byte order mark may come first


class EventParser:
    """Makes a message of each event.

    The message is the event's `data` as text. If the event's type is `binary`, the data is base64
    of a binary message.

    Args:
        limit: maximum bytes of one message.

    Attributes:
        most: maximum bytes of one line, and of all data of an event.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # base64 has four bytes for three; 64 leaves room for the name of the field
        self.most = limit * 4 // 3 + 64
        self._lines = LineSplitter(self.most, any_end=True)
        self._is_first = True
        self._data = bytearray()
        self._event = b""

    def feed(self, data: bytes) -> list[Message]:
        """Returns the messages of the events that end within `data`.

        Raises:
            BadAnswer: an event is too long, not UTF-8, or not base64.
        """
        messages = []
        for line in self._lines.feed(data):
            if self._is_first:
                self._is_first = False
                line = line.removeprefix(_MARK)  # noqa: PLW2901 - the mark is not part of the line
            if line:
                self._take(line)
            elif (message := self._end_of_event()) is not None:
                messages.append(message)
        return messages

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data += value + b"\n"
            if len(self._data) > self.most:
                raise too_large(self._limit)
        elif name == b"event":
            self._event = value

    def _end_of_event(self) -> Message | None:
        found, event = self._data, self._event
        self._data, self._event = bytearray(), b""
        if not found:  # the event has no `data` field
            return None
        data = bytes(found[:-1])
        message = _binary(data) if event == b"binary" else text_message(data)
        if message.size > self._limit:
            raise too_large(self._limit)
        return message


def _binary(data: bytes) -> Message:
    try:
        return Message(BINARY, base64.b64decode(data.replace(b"\n", b""), validate=True))
    except (binascii.Error, ValueError) as error:
        raise BadAnswer("the data of a binary event is not base64") from error
