"""The valve's own calls, which repeat those of a client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic_core import from_json, to_json

from wsgw_core.api import Hydration, HydrationRefused, Message, MessageKind

from .document import document_of, id_of, is_refusal

_PREFIX = "wsgw-"
_OWN = b'"' + _PREFIX.encode()


class OwnCalls:
    """Makes calls with their own ids, and recognises the answers."""

    __slots__ = ("_latest", "_open")

    def __init__(self) -> None:
        self._latest = 0
        self._open: set[bytes] = set()

    def forget(self) -> None:
        """Forgets all open calls, because the backend is gone."""
        self._open.clear()

    def step(self, kind: MessageKind, data: bytes, granted: Callable[[Any], None]) -> Hydration:
        """Returns the hydration step that repeats a call.

        Args:
            kind: of the message.
            data: the client's call as JSON.
            granted: called with the result.
        """
        self._latest += 1
        name = f"{_PREFIX}{self._latest}"
        own = to_json(name)
        self._open.add(own)
        call = from_json(data)
        method = call["method"]

        def is_answer(message: Message) -> bool:
            answer = document_of(message.data)
            if not isinstance(answer, dict) or id_of(answer) != own:
                return False
            self._open.discard(own)
            if is_refusal(answer):
                raise HydrationRefused(f"the backend refused {method}")
            granted(answer.get("result"))
            return True

        return Hydration(Message(kind, to_json({**call, "id": name})), is_answer)

    def is_stale(self, id_: bytes | None) -> bool:
        """Returns whether this is the id of an own call that is no longer open."""
        return id_ is not None and id_.startswith(_OWN) and id_ not in self._open

    def waits_for(self, id_: bytes) -> bool:
        """Returns whether this is the id of an open own call."""
        return id_ in self._open
