"""Login calls, which new backends get first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pydantic_core import to_json

from wsgw_core.api import Hydration, MessageKind

from ..session_memory import SessionMemory
from .document import is_refusal
from .own_calls import OwnCalls


class _Login(NamedTuple):
    method: str
    kind: MessageKind
    data: bytes  # the call as JSON: as a document it would take many times as much


class Logins:
    """Remembers the last granted call of each login method.

    Args:
        methods: in the order of the hydration.
        memory: the session's.
    """

    __slots__ = ("_granted", "_memory", "_methods", "_open")

    def __init__(self, methods: Sequence[str], memory: SessionMemory) -> None:
        self._methods = methods
        self._memory = memory
        self._open: dict[bytes, _Login] = {}
        self._granted: dict[str, _Login] = {}

    def called(self, id_: bytes, kind: MessageKind, call: dict[str, Any]) -> None:
        """Remembers a call of one of the methods."""
        if call["method"] not in self._methods:
            return
        self._drop(self._open.pop(id_, None))
        login = _Login(call["method"], kind, to_json(call))
        self._memory.take(len(login.data))
        self._open[id_] = login

    def answered(self, id_: bytes, answer: dict[str, Any]) -> None:
        """Handles an answer."""
        login = self._open.pop(id_, None)
        if login is None:
            return
        if is_refusal(answer):
            self._drop(login)
            return
        self._drop(self._granted.pop(login.method, None))
        self._granted[login.method] = login

    def steps(self, own: OwnCalls) -> Iterator[Hydration]:
        """Yields the steps of a hydration."""
        for method in self._methods:
            login = self._granted.get(method)
            if login is not None:
                yield own.step(login.kind, login.data, _ignore)

    def _drop(self, login: _Login | None) -> None:
        if login is not None:
            self._memory.free(len(login.data))


def _ignore(_result: Any) -> None:
    pass
