"""Counts the items in the containers of an object, to find those that grow."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Iterator
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

# Not searched: these belong to the process rather than to the object, or keep nothing alive.
_ELSEWHERE = (
    type,
    ModuleType,
    FunctionType,
    BuiltinFunctionType,
    MethodType,
    asyncio.AbstractEventLoop,
    asyncio.Future,
    asyncio.BaseTransport,
    logging.Logger,
    logging.LoggerAdapter,
    WeakSet,
    WeakKeyDictionary,
    WeakValueDictionary,
)
_SETS_AND_LISTS = (list, tuple, set, frozenset, deque)


def container_sizes(root: object, *, without: tuple[object, ...] = ()) -> Counter[str]:
    """Returns the number of items of each container in an object, by its path of attributes.

    Containers in the items of another container count together: `Backend._sessions[]._replies`.

    Args:
        root: the object.
        without: objects that are not searched, together with everything they refer to.
    """
    seen = {id(root)}
    for other in without:
        for _ in _walk(other, "", seen):
            pass
    sizes: Counter[str] = Counter()
    seen.discard(id(root))
    for path, container in _walk(root, type(root).__name__, seen):
        sizes[path] += len(container)
    return sizes


def _walk(root: object, name: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    waiting = [(name, root)]
    while waiting:
        path, each = waiting.pop()
        if id(each) in seen or isinstance(each, _ELSEWHERE):
            continue
        seen.add(id(each))
        if isinstance(each, (dict, *_SETS_AND_LISTS)):
            yield path, each
            items = (*each, *each.values()) if isinstance(each, dict) else tuple(each)
            waiting += [(f"{path}[]", item) for item in items if _may_lead_on(item)]
        waiting += [
            (f"{path}.{attribute}", value)
            for attribute, value in _attributes(each)
            if _may_lead_on(value)
        ]


def _may_lead_on(value: object) -> bool:
    return not isinstance(value, (str, bytes, int, float, type(None)))


def _attributes(thing: object) -> Iterator[tuple[str, object]]:
    yield from tuple(getattr(thing, "__dict__", {}).items())
    for kind in type(thing).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            name = f"_{kind.__name__.lstrip('_')}{slot}" if _is_private(slot) else slot
            if name != "__dict__" and hasattr(thing, name):
                yield slot, getattr(thing, name)


def _is_private(name: str) -> bool:
    return name.startswith("__") and not name.endswith("__")
