"""The drawing of the core's rooms."""

from __future__ import annotations

from pathlib import Path

from .conftest import load_tool

draw_rooms = load_tool("draw_rooms")


def test_the_drawing_is_up_to_date(root: Path) -> None:
    text = (root / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    assert "<!-- drawn: rooms -->" in text
    assert draw_rooms.up_to_date(text) == text, "run tools/draw_rooms.py"


def test_an_arrow_is_left_out_where_a_longer_way_says_it() -> None:
    arrows = {"a": {"b", "c"}, "b": {"c"}, "c": set()}
    assert draw_rooms.without_shortcuts(arrows) == {"a": {"b"}, "b": {"c"}, "c": set()}


def test_a_circle_stays_visible() -> None:
    arrows = {"a": {"b"}, "b": {"a"}}
    assert draw_rooms.without_shortcuts(arrows) == arrows
