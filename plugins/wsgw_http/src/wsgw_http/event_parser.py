"""Event streams as HTML has them: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from __future__ import annotations

import base64
import binascii

from wsgw_core.api import BINARY, Message

from .answers import text_message, too_large
from .failures import BadAnswer
from .line_splitter import LineSplitter

_MARK = b"\xef\xbb\xbf"  # of the byte order, which may stand first


class EventParser:
    """Makes a message of each event: of its data, or of what that is base64 of, for `binary`.

    Args:
        limit: bytes of one message.

    Attributes:
        most: bytes of one line, and of what all of an event have for its data.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # base64 takes four bytes for three, and a field has a name
        self.most = limit * 4 // 3 + 64
        self._lines = LineSplitter(self.most, any_end=True)
        self._is_first = True
        self._data = bytearray()
        self._event = b""

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages of the events that end in some bytes.

        Raises:
            BadAnswer: one cannot be used.
        """
        messages = []
        for line in self._lines.feed(data):
            if self._is_first:
                self._is_first = False
                line = line.removeprefix(_MARK)  # noqa: PLW2901 - it is no part of the line
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
        if not found:  # it had no `data`, not even an empty one
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
        raise BadAnswer("a binary event is not base64") from error
