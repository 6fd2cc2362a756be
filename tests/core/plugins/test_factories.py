"""Errors of factories name the plugin."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from wsgw_core.api import BackendContext, Options, PluginContext, PluginError
from wsgw_core.api.registry import Registration
from wsgw_core.config.upstream_options import BackendEntry
from wsgw_core.plugins.factories import make_plugin
from wsgw_core.plugins.plugin_specs import BackendSpec, PluginSpec

CONTEXT = cast("Any", None)


def make_of(role: str, made: Any) -> object:
    """Have an object of a role made by a factory that returns, or raises, what is given."""

    def factory(_options: Options, _context: BackendContext | PluginContext) -> Any:
        if isinstance(made, Exception):
            raise made
        return made

    registration: Registration[Any] = Registration(role, "odd", Options, factory, ())
    if role == "backend":
        entry = BackendEntry(kind="odd", id="a")
        return make_plugin(BackendSpec(entry, registration, Options()), CONTEXT)
    return make_plugin(PluginSpec(registration, Options()), CONTEXT)


@pytest.mark.parametrize(
    ("role", "told"),
    [
        ("backend", "backend a, kind 'odd': its factory returned NoneType, which lacks open, con"),
        ("listener", "listener, kind 'odd': its factory returned NoneType, which lacks session_"),
        ("gate", "gate, kind 'odd': its factory returned NoneType, which lacks admit"),
    ],
)
def test_factory_that_returns_another_type_is_reported(role: str, told: str) -> None:
    with pytest.raises(PluginError) as caught:
        make_of(role, None)

    [problem] = caught.value.problems
    assert problem.startswith(told)


@pytest.mark.parametrize("role", ["backend", "listener", "gate"])
def test_failing_factory_is_named(role: str) -> None:
    with pytest.raises(LookupError) as caught:
        make_of(role, LookupError("out of pigeons"))

    [note] = caught.value.__notes__
    assert note.startswith(role)
    assert "kind 'odd'" in note


def test_object_of_the_factory_is_used() -> None:
    gate = SimpleNamespace(admit=lambda _handshake: None)

    assert make_of("gate", gate) is gate
