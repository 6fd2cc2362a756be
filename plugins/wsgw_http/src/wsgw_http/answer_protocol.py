"""The client library's end of a connection, with a bound on what it queues before it is read."""

from __future__ import annotations

from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

MAX_HEADS = 32  # of answers: one is the answer, those before it are 1xx

_MAX_HEAD = 256 * 1024  # bytes, empty lines before it included
_SLICE = 16 * 1024  # bytes that are parsed before the bound is looked at


class AnswerProtocol(ResponseHandler):
    """Ends a connection on which heads come faster than they are asked for.

    The library takes any number of heads, also on a connection that nobody uses: a server that
    sends `103 Early Hints` without end, or answers to requests that there were not, would fill the
    memory. It also passes over any number of empty lines before a head.
    """

    _headless = 0  # bytes that came since the last head, or the body behind it

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
            self._end("more heads than requests")
        elif self._headless > _MAX_HEAD:
            self._end("a head without end")

    def _end(self, reason: str) -> None:
        self.set_exception(HttpProcessingError(message=reason))
        if self.transport is not None:
            self.transport.abort()
