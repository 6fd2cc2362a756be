"""Durations in Go's notation."""

from __future__ import annotations

import pytest

from wsgw_core.admin.backend_config import go_duration


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
        (59.999, "59.999s"),
        (60, "1m0s"),
        (600, "10m0s"),
        (3600, "1h0m0s"),
        (90061.5, "25h1m1.5s"),
    ],
)
def test_go_duration(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text
