"""Reads a password from a file, which may change."""

from __future__ import annotations

from wsgw_core.api import read_parsed


def read_password(file: str) -> str:
    """Returns the first line of a file. Blocks: call it in a thread.

    Raises:
        ValueError: the file cannot be read, or is empty; the text names the file.
    """
    return read_parsed(file, _first_line)


def _first_line(text: str) -> str:
    line = text.partition("\n")[0].rstrip("\r")
    if not line:
        raise ValueError("is empty")
    return line
