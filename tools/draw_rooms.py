"""Draws the rooms of the core and their imports into docs/explanation/architecture.md.

usage: draw_rooms.py [--check]

The drawing is between `<!-- drawn: rooms -->` and `<!-- end of rooms -->`. An arrow says that a
file in one folder imports one in another; it is left out if a longer way says it already. With
--check, the script writes nothing and exits with 1 when the drawing is not up to date.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import grimp

PAGE = Path(__file__).resolve().parent.parent / "docs" / "explanation" / "architecture.md"
CORE = "wsgw_core"
_DRAWING = re.compile(r"(<!-- drawn: rooms -->\n).*?(<!-- end of rooms -->)", re.DOTALL)

Arrows = dict[str, set[str]]


def imports_between_rooms() -> Arrows:
    """Returns for each folder of the core, and for `gateway`, what it imports."""
    graph = grimp.build_graph(CORE, cache_dir=None)
    children = graph.find_children(CORE)
    rooms = {name for name in children if graph.find_children(name)} | {f"{CORE}.gateway"}
    arrows: Arrows = {room.removeprefix(f"{CORE}."): set() for room in rooms}
    for module in graph.modules:
        importer = _room(module)
        for imported in map(_room, graph.find_modules_directly_imported_by(module)):
            if importer in arrows and imported in arrows and imported != importer:
                arrows[importer].add(imported)
    return arrows


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def without_shortcuts(arrows: Arrows) -> Arrows:
    """Returns the arrows without those that a longer way says already."""
    kept = {room: set(imported) for room, imported in arrows.items()}
    for room in sorted(arrows):
        for imported in sorted(arrows[room]):
            kept[room].discard(imported)
            if not _leads(kept, room, imported):
                kept[room].add(imported)
    return kept


def _leads(arrows: Arrows, start: str, end: str) -> bool:
    seen, waiting = {start}, [start]
    while waiting:
        for room in arrows[waiting.pop()] - seen:
            if room == end:
                return True
            seen.add(room)
            waiting.append(room)
    return False


def drawing() -> str:
    """Returns the drawing as a block of Mermaid."""
    arrows = without_shortcuts(imports_between_rooms())
    lines = [f"  {room} --> {other}" for room in sorted(arrows) for other in sorted(arrows[room])]
    return "\n".join(["```mermaid", "flowchart TD", *lines, "```", ""])


def up_to_date(text: str) -> str:
    """Returns a page's text with the current drawing."""
    return _DRAWING.sub(lambda found: found[1] + drawing() + found[2], text)


def main() -> int:
    """Writes or checks; returns the exit status."""
    before = PAGE.read_text("utf-8")
    after = up_to_date(before)
    if after == before:
        return 0
    if "--check" in sys.argv[1:]:
        print("The drawing of the rooms is out of date: run tools/draw_rooms.py")
        return 1
    PAGE.write_text(after, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
