"""How a request can fail, by what it tells of the application."""

from __future__ import annotations


class Failure(Exception):
    """A request has no answer that could be used.

    Args:
        reason: one line, with nothing that the client or the application has sent.
        lost: the connection was lost; a fresh one may do.
    """

    def __init__(self, reason: str, *, lost: bool = False) -> None:
        self.reason = reason
        self.lost = lost
        super().__init__(reason)


class Unreachable(Failure):
    """Nothing was sent: the application has not seen the request."""


class NoAnswer(Failure):
    """The application may have the request, but has not answered: connection lost, or time-out."""


class Unavailable(Failure):
    """The application, or what is before it, asks to come again later.

    Args:
        reason: see Failure.
        retry_after: seconds; 0: it has not said when.
    """

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        self.retry_after = retry_after
        super().__init__(reason)


class BadAnswer(Failure):
    """There is an answer, and it cannot be used: half of one, too large, not UTF-8, a 500."""


class Busy(Unreachable):
    """All connections that may be made to the application are in use."""
