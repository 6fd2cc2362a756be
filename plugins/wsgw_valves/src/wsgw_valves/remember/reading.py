"""A message with its parsed JSON."""

from __future__ import annotations

from typing import Any

from wsgw_core.api import Message

from ..bounded_json import read_json
from ..json_path import MISSING

_OPENING = (b"{", b"[")


class Reading:
    """Parses the JSON of a message when it is needed, once.

    Args:
        message: text or binary.
    """

    __slots__ = ("_document", "_is_read", "data")

    def __init__(self, message: Message) -> None:
        self.data = message.data
        self._is_read = False
        self._document: Any = MISSING

    @property
    def document(self) -> Any:
        """The document; MISSING if the message is not a JSON object or list."""
        if not self._is_read:
            self._is_read = True
            if self.data.lstrip(b" \t\r\n").startswith(_OPENING):
                try:
                    self._document = read_json(self.data)
                except ValueError:
                    self._document = MISSING
        return self._document
