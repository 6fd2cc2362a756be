"""Why a request is refused before a gate or a backend is asked."""

from __future__ import annotations

from .. import api


class BadRequest(Exception):
    """The request is refused.

    Args:
        status: the status of the answer.
        text: the text for the client. It says what is wrong and does not repeat what the client
            sent. May be empty.
        headers: the headers that the status requires.
    """

    def __init__(self, status: int, text: str, headers: api.Headers = ()) -> None:
        self.status = status
        self.text = text
        self.headers = headers
        super().__init__(text)
