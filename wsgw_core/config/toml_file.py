"""Reads TOML into plain data and finds the line of every key.

The parser tells no lines. But a table's head alone, and a key with its value alone, are documents
too: so the text is cut where the next piece begins that can be parsed by itself.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

from .problems import KeyPath
from .yaml_file import MAX_DEPTH, FileContent

# Characters to parse for it: a value over many lines is tried once for each. What comes behind has
# no lines.
_EFFORT = 2_000_000

# Names with dots between them. The parser takes memory with the square of their number.
_MANY_DOTS = re.compile(
    rf"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{MAX_DEPTH}}}"""
)


def read_toml(text: str, name: str) -> FileContent:
    """Read one document; a fault becomes a problem, nothing is raised.

    Args:
        text: the file's text.
        name: how the problem names the file.
    """
    too_deep = FileContent(problems=[f"{name}: not usable: nested more than {MAX_DEPTH} deep"])
    if _MANY_DOTS.search(text):
        return too_deep
    try:
        data = tomllib.loads(text)
    except RecursionError:
        return too_deep
    except ValueError as error:
        return FileContent(problems=[f"{name}: not TOML: {' '.join(str(error).split())}"])
    if _is_deeper(data, MAX_DEPTH):
        return too_deep
    return FileContent(data=data, lines=_lines(text))


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in inner)


def _lines(text: str) -> dict[KeyPath, int]:
    lines: dict[KeyPath, int] = {}
    counts: dict[KeyPath, int] = {}  # of the items of each list of tables
    table: KeyPath = ()
    for line, piece in _pieces(text):
        if not piece.startswith("["):
            for key, value in tomllib.loads(piece).items():
                _note(value, (*table, key), line, lines)
            continue
        is_item = piece.startswith("[[")
        table = _numbered(_path(tomllib.loads(piece)), counts, is_item=is_item)
        lines.setdefault(table, line)
    return lines


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Yield each head, and each key with its value, with the number of its first line."""
    begun: list[str] = []
    effort = 0
    for number, line in enumerate(text.split("\n"), 1):
        if not begun and not line.strip():
            continue
        begun.append(line)
        piece = "\n".join(begun).strip()
        effort += len(piece)
        if effort > _EFFORT:
            return
        try:
            found = tomllib.loads(piece)
        except (ValueError, RecursionError):
            continue
        if found:  # no comment
            yield number - len(begun) + 1, piece
        begun = []


def _path(data: Any) -> KeyPath:
    path: KeyPath = ()
    while data:
        if isinstance(data, list):
            [data] = data
        else:
            [(key, data)] = data.items()
            path = (*path, key)
    return path


def _numbered(path: KeyPath, counts: dict[KeyPath, int], *, is_item: bool) -> KeyPath:
    """Return a table's path with the numbers of the items that it goes through."""
    numbered: KeyPath = ()
    for place, key in enumerate(path, 1):
        numbered = (*numbered, key)
        if is_item and place == len(path):
            counts[numbered] = counts.get(numbered, 0) + 1
        if numbered in counts:
            numbered = (*numbered, counts[numbered] - 1)
    return numbered


def _note(value: Any, path: KeyPath, line: int, lines: dict[KeyPath, int]) -> None:
    """Give a key, and all that is in its value, its line."""
    lines.setdefault(path, line)
    pairs = value.items() if isinstance(value, dict) else ()
    for part, inner in enumerate(value) if isinstance(value, list) else pairs:
        _note(inner, (*path, part), line, lines)
