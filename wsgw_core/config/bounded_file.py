"""Reads a file that an operator names: no more of it than makes sense, and not for ever."""

from __future__ import annotations

import os
import select
import stat
from pathlib import Path

_PATIENCE = 30.0  # seconds without a byte in a pipe


def read_bytes(file: str | Path, most: int, patience: float = _PATIENCE) -> bytes:
    """Return what a file holds; of a larger one `most` bytes and one more.

    Args:
        file: its name; a pipe will do, as shells make it of `<(command)`.
        most: bytes.
        patience: seconds to wait for each piece of what comes through a pipe.

    Raises:
        OSError: it cannot be read; TimeoutError: nothing came through the pipe.
        ValueError: no file can have this name.
    """
    found = bytearray()
    with open(file, "rb", buffering=0, opener=_without_waiting) as stream:
        is_pipe = stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
        while len(found) <= most:
            if is_pipe:
                _wait_for(stream.fileno(), patience)
            piece = stream.read(most + 1 - len(found))
            if not piece:
                break
            found += piece
    return bytes(found)


def _without_waiting(file: str, flags: int) -> int:
    """Open a pipe also when nobody writes into it yet."""
    return os.open(file, flags | getattr(os, "O_NONBLOCK", 0))


def _wait_for(pipe: int, patience: float) -> None:
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    if not poll.poll(patience * 1000):
        raise TimeoutError(f"a pipe into which nothing was written for {patience:g} s")
