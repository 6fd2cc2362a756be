"""Reads a password from a file, which may change."""

from __future__ import annotations

from pathlib import Path

_MAX_SECRET = 64 * 1024


def read_password(file: str) -> str:
    """Returns the first line of a file. Blocks: call it in a thread.

    Raises:
        ValueError: the file cannot be read, or is empty; the text names the file.
    """
    try:
        if not Path(file).is_file():
            raise ValueError(f"{file}: no such file, or not a regular one")
        with Path(file).open("rb") as opened:
            text = opened.read(_MAX_SECRET).decode().partition("\n")[0].rstrip("\r")
    except UnicodeDecodeError:
        raise ValueError(f"{file}: not UTF-8 text") from None
    except OSError as error:
        raise ValueError(f"{file}: cannot be read: {error.strerror}") from error
    if not text:
        raise ValueError(f"{file}: is empty")
    return text
