"""Reads TOML into plain data. The parser reports no lines, so problems have only key paths."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from .yaml_file import MAX_DEPTH, FileContent

# Dotted keys. The memory that the parser needs grows with the square of their number.
_MANY_DOTS = re.compile(
    rf"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{MAX_DEPTH}}}"""
)


def read_toml(text: str, name: str) -> FileContent:
    """Reads one document; reports an error as a problem instead of raising it.

    Args:
        text: the text of the file.
        name: the name of the file in problems.
    """
    too_deep = FileContent(problems=[f"{name}: nested more than {MAX_DEPTH} levels deep"])
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
    return FileContent(data=data)


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, (dict, list)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in inner)
