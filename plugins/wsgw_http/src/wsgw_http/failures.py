"""How a request can fail, and what that says about the application."""

from __future__ import annotations


class Failure(Exception):
    """A request has no usable answer.

    Args:
        reason: one line for the log; quotes nothing from the client or the application.
        lost: the connection was lost; a retry on a fresh one may succeed.
    """

    def __init__(self, reason: str, *, lost: bool = False) -> None:
        self.reason = reason
        self.lost = lost
        super().__init__(reason)


class Unreachable(Failure):
    """The application has not seen the request, because nothing was sent."""


class NoAnswer(Failure):
    """The application may have the request but did not answer: lost connection or timeout."""


class Unavailable(Failure):
    """The application, or a proxy before it, answered that it is unavailable.

    Args:
        reason: see Failure.
        retry_after: seconds; 0: no `Retry-After`.
    """

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        self.retry_after = retry_after
        super().__init__(reason)


class BadAnswer(Failure):
    """The answer is unusable: incomplete, too large, not UTF-8, or with a status such as 500."""


class Busy(Unreachable):
    """The limit of requests or connections to the application is reached."""
