"""Why a request is refused before anybody is asked."""

from __future__ import annotations

from .. import api


class BadRequest(Exception):
    """The request is refused.

    Args:
        status: of the answer.
        text: for the client; says what is wrong without repeating what it sent. May be empty.
        headers: that the status wants.
    """

    def __init__(self, status: int, text: str, headers: api.Headers = ()) -> None:
        self.status = status
        self.text = text
        self.headers = headers
        super().__init__(text)


class TooManyHeaders(BadRequest):
    """The request has more header lines than allowed."""

    def __init__(self, maximum: int) -> None:
        super().__init__(431, f"more than {maximum} headers")
