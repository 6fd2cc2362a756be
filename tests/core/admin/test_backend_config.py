"""The configuration of a backend as wsbalancer shows it, with durations in Go's notation."""

from __future__ import annotations

import pytest

from wsgw_core.admin.backend_config import backend_config, go_duration
from wsgw_core.control.status import BackendSettings


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (1e-9, "1ns"),
        (999e-9, "999ns"),
        (1e-6, "1µs"),
        (1.5e-6, "1.5µs"),
        (999.9e-6, "999.9µs"),
        (1e-3, "1ms"),
        (0.25, "250ms"),
        (0.0625, "62.5ms"),
        (0.9999, "999.9ms"),
        (1, "1s"),
        (1.5, "1.5s"),
        (1.000000001, "1.000000001s"),
        (0.001005, "1.005ms"),
        (59.999, "59.999s"),
        (60, "1m0s"),
        (600, "10m0s"),
        (3600, "1h0m0s"),
        (90061.5, "25h1m1.5s"),
    ],
)
def test_go_duration(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


def test_durations_at_any_depth_are_in_gos_notation_unless_they_are_masked() -> None:
    settings = BackendSettings(
        id="blue",
        kind="broker",
        url="ws://blue",
        group="",
        priority=1,
        weight=2,
        breaker_threshold=10,
        options={"pause": 1.5, "queue": {"pause": 600.0, "size": 7.0}, "secret": "***"},
        durations=(("pause",), ("queue", "pause"), ("secret",)),
    )
    assert backend_config(settings) == {
        "pause": "1.5s",
        "queue": {"pause": "10m0s", "size": 7.0},
        "secret": "***",
        "url": "ws://blue",
        "id": "blue",
        "kind": "broker",
        "breaker-threshold": 10,
        "priority": 1,
        "weight": 2,
        "route": "",
    }
    assert settings.options["queue"]["pause"] == 600, "the original stays"
