from __future__ import annotations

from typing import Any

import pytest

from wsgw_core.api import Options, PluginError
from wsgw_core.api.registry import Registry


def factory(options: Options, context: object) -> Any:
    """Is never called here."""


def new() -> Registry[Any]:
    return Registry("backend")


def test_a_kind_is_found_by_its_name_and_by_its_schemes() -> None:
    registry = new()
    registry.add("websocket", Options, factory, schemes=("ws", "wss"))
    found = registry.find("websocket")
    assert found is not None
    assert (found.kind, found.options, found.factory) == ("websocket", Options, factory)
    assert found.schemes == ("ws", "wss")
    assert registry.find("ws") is registry.find("wss") is found
    assert registry.find("http") is None
    assert registry.kinds() == ("websocket",)


def test_a_kind_cannot_be_named_like_a_scheme() -> None:
    registry = new()
    registry.add("parrot", Options, factory, schemes=("echo",))
    with pytest.raises(PluginError, match=r"'echo' is registered twice: .* 'parrot' and 'echo'"):
        registry.add("echo", Options, factory)


def test_schemes_are_a_sequence() -> None:
    with pytest.raises(PluginError, match="schemes is a string"):
        new().add("ws", Options, factory, schemes="ws")


def test_a_kind_is_registered_once() -> None:
    registry = new()
    registry.add("echo", Options, factory)
    with pytest.raises(PluginError, match="backend 'echo' is registered twice"):
        registry.add("echo", Options, factory)


def test_a_scheme_belongs_to_one_kind_and_a_failed_registration_leaves_nothing() -> None:
    registry = new()
    registry.add("one", Options, factory, schemes=("a", "b"))
    with pytest.raises(PluginError, match=r"'b' is registered twice: .* 'one' and 'two'"):
        registry.add("two", Options, factory, schemes=("c", "b"))
    assert registry.find("two") is None
    assert registry.find("c") is None


def test_a_removed_kind_can_be_registered_again() -> None:
    registry = new()
    registry.add("one", Options, factory, schemes=("a",))
    registry.add("two", Options, factory, schemes=("b",))
    registry.remove("one")
    assert registry.kinds() == ("two",)
    assert registry.find("one") is registry.find("a") is None
    registry.add("one", Options, factory, schemes=("a",))
    assert registry.kinds() == ("two", "one")


def test_a_scheme_that_is_named_twice_can_be_removed() -> None:
    registry = new()
    registry.add("one", Options, factory, schemes=("a", "a"))
    registry.remove("one")
    assert registry.find("a") is None
