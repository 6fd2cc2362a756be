"""Reads a regular file that an operator names, up to a maximum size."""

from __future__ import annotations

import errno
import os
import select
import stat
from pathlib import Path

_TIMEOUT = 30.0  # seconds without a byte in a pipe
_FLAGS = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"))


def read_bytes(
    file: str | Path, most: int, *, pipes: bool = False, timeout: float = _TIMEOUT
) -> bytes:
    """Returns the content of a file; of a larger file the first `most` + 1 bytes.

    It refuses devices, sockets and folders: some never end, some act when they are opened.

    Args:
        file: the file's name.
        most: maximum bytes.
        pipes: whether the file may be a pipe, such as a shell makes for `<(command)`.
        timeout: timeout in seconds for each piece that comes through a pipe.

    Raises:
        OSError: the file cannot be read; TimeoutError: nothing came through the pipe.
        ValueError: it is not a regular file, or no file can have this name.
    """
    _check(os.stat(file), pipes)  # noqa: PTH116 - any name, as `open` takes it
    found = bytearray()
    with os.fdopen(os.open(file, os.O_RDONLY | _FLAGS), "rb", buffering=0) as stream:
        opened = os.fstat(stream.fileno())
        _check(opened, pipes)  # it may have been replaced meanwhile
        is_pipe = stat.S_ISFIFO(opened.st_mode)
        while len(found) <= most:
            if is_pipe:
                _wait_for(stream.fileno(), timeout)
            piece = stream.read(most + 1 - len(found))
            if not piece:
                break
            found += piece
    return bytes(found)


def _check(status: os.stat_result, pipes: bool) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISFIFO(status.st_mode):
        raise ValueError("not a regular file")
    if not pipes:
        raise ValueError("a pipe, and it is read more than once")


def _wait_for(pipe: int, timeout: float) -> None:
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    if not poll.poll(timeout * 1000):
        raise TimeoutError(f"a pipe into which nothing was written for {timeout:g} s")
