"""`wsgw drill --backend KIND` gets the kind's backends from its plugin."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from wsgw_drill.drill_command import drill

from wsgw_core.api import BackendRegistry, Options, hookimpl
from wsgw_core.plugins.loader import Plugins


@hookimpl
def wsgw_register_backends(registry: BackendRegistry) -> None:
    registry.add("pigeon", Options, lambda *_: None)  # type: ignore[arg-type]  # unused


def test_kind_without_backends_for_drill_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_plugins(kinds: Iterable[str]) -> Plugins:
        plugins = Plugins()
        hooks = SimpleNamespace(WSGW_API="1.0", wsgw_register_backends=wsgw_register_backends)
        plugins.register(hooks, "a test", promised=list(kinds))
        return plugins

    monkeypatch.setattr("wsgw_core.plugins.loader.load_plugins", load_plugins)

    result = CliRunner().invoke(drill, ["--backend", "pigeon"])

    assert result.exit_code == 2
    assert "the plugin of kind 'pigeon' has no backends for the drill" in result.output
