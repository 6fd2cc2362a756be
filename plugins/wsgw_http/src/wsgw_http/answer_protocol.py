"""aiohttp's end of a connection, with a limit on what it queues."""

from __future__ import annotations

from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

MAX_HEADS = 32  # of answers: the answer itself and the 1xx answers before it

_MAX_HEAD = 256 * 1024  # bytes, including empty lines before the head
_SLICE = 16 * 1024  # bytes to parse between two looks at the limits


class AnswerProtocol(ResponseHandler):
    """Ends a connection on which the server sends heads without end.

    aiohttp takes any number of heads, even on an idle connection, and skips any number of empty
    lines before a head. A server that sends `103 Early Hints` without end, or answers without a
    request, would fill the memory.
    """

    _headless = 0  # bytes since the last head or the end of its body

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if len(data) <= _SLICE:
            self._take(data)
            return
        for start in range(0, len(data), _SLICE):
            if self.transport is None or self.transport.is_closing():
                return
            self._take(data[start : start + _SLICE])

    def _take(self, data: bytes) -> None:
        heads = len(self._buffer)
        super().data_received(data)
        is_in_a_body = self._payload is not None and not self._payload.is_eof()
        if is_in_a_body or len(self._buffer) > heads:
            self._headless = 0
        else:
            self._headless += len(data)
        if len(self._buffer) > MAX_HEADS:
            self._end(f"more than {MAX_HEADS} heads for one request")
        elif self._headless > _MAX_HEAD:
            self._end(f"a head of more than {_MAX_HEAD} bytes")

    def _end(self, reason: str) -> None:
        self.set_exception(HttpProcessingError(message=reason))
        if self.transport is not None:
            self.transport.abort()
