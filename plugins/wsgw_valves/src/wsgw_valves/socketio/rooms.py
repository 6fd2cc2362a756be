"""The rooms that a client has joined."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic_core import to_json

from ..bounded_json import read_json
from ..json_path import MISSING
from ..session_memory import SessionMemory
from .settings import RoomRule

_EVENT = re.compile(rb'\["([^"\\]++)"')
_Key = tuple[int, bytes]


class _Join:
    """One join.

    Attributes:
        body: the event's name and arguments.
        id: of the requested acknowledgement; None: the client requests none.
        is_known: whether the server has the join, as far as known.
    """

    __slots__ = ("body", "id", "is_known")

    def __init__(self, body: bytes, id_: int | None) -> None:
        self.body = body
        self.id = id_
        self.is_known = id_ is None


class Rooms:
    """The rooms of a client in one namespace.

    Args:
        rules: the namespace's.
        memory: the session's.
    """

    __slots__ = ("_joined", "_memory", "_rules", "_waiting")

    def __init__(self, rules: Sequence[RoomRule], memory: SessionMemory) -> None:
        self._rules = rules
        self._memory = memory
        self._joined: dict[_Key, _Join] = {}
        self._waiting: dict[int, _Key] = {}  # by the id of their acknowledgement

    def note(self, body: bytes, id_: int | None) -> bool:
        """Handles an event of the client; returns whether it joins a room.

        Raises:
            MemoryExceeded: there is no memory for the room.
        """
        match = _EVENT.match(body) if self._rules else None
        if match is None:
            return False
        name, arguments, joins = match[1].decode(), None, False
        for number, rule in enumerate(self._rules):
            if name not in (rule.join, rule.leave):
                continue
            if arguments is None and (arguments := _arguments(body)) is None:
                return False
            value = rule.key.value_in(arguments)
            key = number, b"" if value is MISSING else to_json(value)
            self._forget(key)
            if name == rule.join:
                self._join(key, body, id_)
                joins = True
        return joins

    def acknowledged(self, id_: int) -> None:
        """Handles a server's acknowledgement of an event."""
        key = self._waiting.pop(id_, None)
        if key is not None:
            self._joined[key].is_known = True

    def forget_all(self) -> None:
        """Forgets all rooms, because the client has left the namespace."""
        for key in tuple(self._joined):
            self._forget(key)

    def joins(self) -> Iterator[tuple[bytes, bool]]:
        """Yields the events for the next server, and whether it acknowledges each."""
        return ((each.body, each.id is not None) for each in self._joined.values() if each.is_known)

    def _join(self, key: _Key, body: bytes, id_: int | None) -> None:
        self._memory.take(len(body))
        self._joined[key] = _Join(body, id_)
        if id_ is not None:
            self._waiting[id_] = key

    def _forget(self, key: _Key) -> None:
        join = self._joined.pop(key, None)
        if join is None:
            return
        self._memory.free(len(join.body))
        if join.id is not None and self._waiting.get(join.id) == key:
            del self._waiting[join.id]


def _arguments(body: bytes) -> list[Any] | None:
    try:
        event = read_json(body)
    except ValueError:
        return None
    return event[1:] if isinstance(event, list) else None
