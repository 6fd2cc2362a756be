"""What clients have subscribed to, and by which ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeGuard

from pydantic_core import to_json

from wsgw_core.api import Hydration, MessageKind

from ..json_path import MISSING
from ..session_memory import SessionMemory
from .document import is_refusal
from .own_calls import OwnCalls
from .settings import JsonRpcSubscription


class _Subscription:
    """One subscription.

    Attributes:
        key: by which the client ends it.
        first: the id that the client knows, as JSON; None where answers are no ids.
        result: the same as a value.
        current: the id of the backend that serves.
    """

    __slots__ = ("call", "current", "first", "key", "kind", "result", "rule", "size")

    def __init__(
        self, rule: JsonRpcSubscription, kind: MessageKind, call: dict[str, Any], size: int
    ) -> None:
        self.rule = rule
        self.kind = kind
        self.call = call
        self.size = size
        self.key = _json(rule.key.value_in(call))
        self.first: bytes | None = None
        self.result: Any = None
        self.current: Any = None


class Subscriptions:
    """Remembers the subscriptions of a session that were granted, until they end.

    Args:
        rules: how clients subscribe.
        memory: bounds what is remembered.
    """

    __slots__ = ("_begin", "_end", "_granted", "_memory", "_notify", "_open", "_places")

    def __init__(self, rules: Sequence[JsonRpcSubscription], memory: SessionMemory) -> None:
        self._memory = memory
        self._begin = {rule.subscribe: rule for rule in rules}
        self._end = {rule.unsubscribe: rule for rule in rules if rule.unsubscribe is not None}
        self._notify = {rule.notification: rule for rule in rules if rule.notification is not None}
        self._open: dict[bytes, _Subscription] = {}
        # By the rule's method and the key by which the client ends it, in their order.
        self._granted: dict[tuple[str, bytes], _Subscription] = {}
        # Those with ids, by the rule's method and the id of the backend that serves.
        self._places: dict[tuple[str, bytes], _Subscription] = {}

    def called(self, id_: bytes, kind: MessageKind, call: dict[str, Any], size: int) -> None:
        """Note a call, if it subscribes."""
        rule = self._begin.get(call["method"])
        if rule is None:
            return
        older = self._open.pop(id_, None)
        if older is not None:
            self._memory.free(older.size)
        self._memory.take(size)
        self._open[id_] = _Subscription(rule, kind, call, size)

    def ended(self, call: dict[str, Any]) -> bool:
        """Forget what a call or notification ends; return whether its id was translated in it."""
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
        """Note an answer; return whether it was changed: the client has another one of that id."""
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
        """Return an id, or one like it, by which the client knows no other subscription."""
        unused, number = id_, 0
        while (method, _json(unused)) in self._granted:
            number += 1
            unused = f"{id_}-{number}" if isinstance(id_, str) else id_ + number
        return unused

    def translated(self, notification: dict[str, Any]) -> bool:
        """Put the id that the client knows into a notification; return whether that changed it."""
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
        """Yield what a new backend must hear."""
        self._places.clear()
        for found in self._granted.values():
            yield own.step(found.kind, found.call, self._granted_again(found))

    def _granted_again(self, found: _Subscription) -> Callable[[Any], None]:
        def granted(result: Any) -> None:
            if found.first is not None:
                self._place(found, result)

        return granted

    def _place(self, found: _Subscription, result: Any) -> None:
        found.current = result
        self._places[found.rule.subscribe, _json(result)] = found


def _is_id(result: Any) -> TypeGuard[str | int]:
    return isinstance(result, (str, int)) and not isinstance(result, bool)


def _json(value: Any) -> bytes:
    return b"" if value is MISSING else to_json(value)
