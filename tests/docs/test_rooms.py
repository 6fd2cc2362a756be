"""The drawing of the core's rooms."""

from __future__ import annotations

from pathlib import Path

from .conftest import load_tool

draw_rooms = load_tool("draw_rooms")


def test_drawing_is_up_to_date(root: Path) -> None:
    text = (root / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    assert "<!-- drawn: rooms -->" in text
    assert draw_rooms.up_to_date(text) == text, "run tools/draw_rooms.py"


def test_arrow_is_left_out_if_a_longer_way_exists() -> None:
    arrows = {"a": {"b", "c"}, "b": {"c"}, "c": set()}
    assert draw_rooms.without_shortcuts(arrows) == {"a": {"b"}, "b": {"c"}, "c": set()}


def test_arrows_of_a_circle_stay() -> None:
    arrows = {"a": {"b"}, "b": {"a"}}
    assert draw_rooms.without_shortcuts(arrows) == arrows
