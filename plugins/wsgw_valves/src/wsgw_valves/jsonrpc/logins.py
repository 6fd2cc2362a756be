"""Login calls, which new backends get first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from wsgw_core.api import Hydration, MessageKind

from ..session_memory import SessionMemory
from .document import is_refusal
from .own_calls import OwnCalls


class _Login:
    __slots__ = ("call", "kind", "size")

    def __init__(self, kind: MessageKind, call: dict[str, Any], size: int) -> None:
        self.kind = kind
        self.call = call
        self.size = size


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

    def called(self, id_: bytes, kind: MessageKind, call: dict[str, Any], size: int) -> None:
        """Remembers a call of one of the methods."""
        if call["method"] not in self._methods:
            return
        self._drop(self._open.pop(id_, None))
        self._memory.take(size)
        self._open[id_] = _Login(kind, call, size)

    def answered(self, id_: bytes, answer: dict[str, Any]) -> None:
        """Handles an answer."""
        login = self._open.pop(id_, None)
        if login is None:
            return
        if is_refusal(answer):
            self._drop(login)
            return
        method = login.call["method"]
        self._drop(self._granted.pop(method, None))
        self._granted[method] = login

    def steps(self, own: OwnCalls) -> Iterator[Hydration]:
        """Yields the steps of a hydration."""
        for method in self._methods:
            login = self._granted.get(method)
            if login is not None:
                yield own.step(login.kind, login.call, _ignore)

    def _drop(self, login: _Login | None) -> None:
        if login is not None:
            self._memory.free(login.size)


def _ignore(_result: Any) -> None:
    pass
