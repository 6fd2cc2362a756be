"""Subscriptions of clients, and their ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeGuard

from pydantic_core import to_json

from wsgw_core.api import Hydration, HydrationRefused, MessageKind

from ..json_path import MISSING
from ..session_memory import SessionMemory
from .document import is_refusal
from .own_calls import OwnCalls
from .settings import JsonRpcSubscription

_LONGEST_ID = 255  # characters; backends choose what is kept


class _Subscription:
    """One subscription.

    Attributes:
        data: the call as JSON, because the parsed call needs many times the memory.
        key: identifies the subscription when the client ends it.
        first: the id that the client knows, as JSON; None: the backend sends no ids.
        result: the same id as a value.
        current: the id of the current backend.
    """

    __slots__ = ("current", "data", "first", "key", "kind", "result", "rule", "size")

    def __init__(self, rule: JsonRpcSubscription, kind: MessageKind, call: dict[str, Any]) -> None:
        self.rule = rule
        self.kind = kind
        self.data = to_json(call)
        self.key = _json(rule.key.value_in(call))
        self.first: bytes | None = None
        self.result: Any = None
        self.current: Any = None
        self.size = len(self.data) + len(self.key)  # of what the client has chosen


class Subscriptions:
    """Remembers the granted subscriptions of a session until they end.

    Args:
        rules: the configured subscriptions.
        memory: the session's.
    """

    __slots__ = ("_begin", "_end", "_granted", "_memory", "_notify", "_open", "_places")

    def __init__(self, rules: Sequence[JsonRpcSubscription], memory: SessionMemory) -> None:
        self._memory = memory
        self._begin = {rule.subscribe: rule for rule in rules}
        self._end = {rule.unsubscribe: rule for rule in rules if rule.unsubscribe is not None}
        self._notify = {rule.notification: rule for rule in rules if rule.notification is not None}
        self._open: dict[bytes, _Subscription] = {}
        # By method and key, in order.
        self._granted: dict[tuple[str, bytes], _Subscription] = {}
        # Subscriptions with ids, by method and the current backend's id.
        self._places: dict[tuple[str, bytes], _Subscription] = {}

    def called(self, id_: bytes, kind: MessageKind, call: dict[str, Any]) -> None:
        """Remembers a call that subscribes."""
        rule = self._begin.get(call["method"])
        if rule is None:
            return
        older = self._open.pop(id_, None)
        if older is not None:
            self._memory.free(older.size)
        subscription = _Subscription(rule, kind, call)
        self._memory.take(subscription.size)
        self._open[id_] = subscription

    def ended(self, call: dict[str, Any]) -> bool:
        """Forgets the subscription that a call ends; returns whether the call was changed."""
        rule = self._end.get(call["method"])
        if rule is None:
            return False
        found = self._granted.pop((rule.subscribe, _json(rule.key.value_in(call))), None)
        if found is None:
            return False
        self._memory.free(found.size)
        if found.first is None:
            return False
        self._places.pop((rule.subscribe, _json(found.current)), None)
        if found.current == found.result:
            return False
        rule.key.replace(call, found.current)
        return True

    def answered(self, id_: bytes, answer: dict[str, Any]) -> bool:
        """Handles an answer; returns whether it was changed, because the client knows its id."""
        found = self._open.pop(id_, None)
        if found is None:
            return False
        if is_refusal(answer):
            self._memory.free(found.size)
            return False
        method, result = found.rule.subscribe, answer.get("result")
        if found.rule.notification is not None and _is_id(result):
            self._place(found, result)
            found.result = answer["result"] = self._unused(method, result)
            found.key = found.first = _json(found.result)
        older = self._granted.pop((method, found.key), None)
        if older is not None:
            self._memory.free(older.size)
        self._granted[method, found.key] = found
        return bool(found.current != found.result)

    def _unused(self, method: str, id_: str | int) -> str | int:
        """Returns the id, or a similar one if the client already uses it."""
        unused, number = id_, 0
        while (method, _json(unused)) in self._granted:
            number += 1
            unused = f"{id_}-{number}" if isinstance(id_, str) else id_ + number
        return unused

    def translated(self, notification: dict[str, Any]) -> bool:
        """Translates the id in a notification; returns whether the notification was changed."""
        rule = self._notify.get(notification["method"])
        if rule is None:
            return False
        value = rule.notification_id.value_in(notification)
        found = self._places.get((rule.subscribe, _json(value)))
        if found is None or found.result == value:
            return False
        rule.notification_id.replace(notification, found.result)
        return True

    def steps(self, own: OwnCalls) -> Iterator[Hydration]:
        """Yields the steps of a hydration."""
        self._places.clear()
        for found in self._granted.values():
            yield own.step(found.kind, found.data, self._granted_again(found))

    def _granted_again(self, found: _Subscription) -> Callable[[Any], None]:
        def granted(result: Any) -> None:
            if found.first is None:
                return
            if not _is_id(result):
                raise HydrationRefused(f"{found.rule.subscribe} has no id in its answer")
            self._place(found, result)

        return granted

    def _place(self, found: _Subscription, result: Any) -> None:
        found.current = result
        self._places[found.rule.subscribe, _json(result)] = found


def _is_id(result: Any) -> TypeGuard[str | int]:
    if isinstance(result, str):
        return len(result) <= _LONGEST_ID
    return isinstance(result, int) and not isinstance(result, bool)


def _json(value: Any) -> bytes:
    return b"" if value is MISSING else to_json(value)
