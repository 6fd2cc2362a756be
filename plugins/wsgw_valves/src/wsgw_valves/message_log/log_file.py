"""A file of lines with rotation, also by other programs."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT
_FLAGS |= sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NONBLOCK", "O_NOCTTY", "O_BINARY"))


class LogFile:
    """A file of lines. Every method blocks: call it in a thread.

    Args:
        file: its name.
        most: size in bytes at which to rotate it; None: never.
        keep: number of old files.
    """

    def __init__(self, file: str, most: int | None, keep: int) -> None:
        self._file = file
        self._most = most
        self._keep = keep
        self._fd: int | None = None

    def open(self) -> None:
        """Opens the file, unless it is open and still has this name.

        Raises:
            OSError, ValueError: the file cannot be opened, or is not a regular file.
        """
        if self._fd is not None:
            if self._is_current(self._fd):
                return
            self.close()
        fd = os.open(self._file, _FLAGS, 0o600)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise ValueError(f"{self._file}: not a regular file")
        self._fd = fd

    def write(self, lines: Iterable[bytes]) -> None:
        """Appends lines, each with its line end.

        Raises:
            OSError, ValueError: some lines were not written.
        """
        self.open()
        assert self._fd is not None  # noqa: S101 - the file is open
        size, batch = os.fstat(self._fd).st_size, bytearray()
        for line in lines:
            if self._most is not None and size and size + len(line) > self._most:
                self._append(batch)
                self._rotate()
                size, batch = 0, bytearray()
            size += len(line)
            batch += line
        self._append(batch)

    def close(self) -> None:
        """Closes the file."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    def _is_current(self, fd: int) -> bool:
        try:
            named = os.stat(self._file)  # noqa: PTH116 - any name that `os.open` takes
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(fd))

    def _rotate(self) -> None:
        for number in range(self._keep - 1, 0, -1):
            old = Path(f"{self._file}.{number}")
            if old.exists():
                old.replace(f"{self._file}.{number + 1}")
        Path(self._file).replace(f"{self._file}.1")
        self.open()

    def _append(self, data: bytearray) -> None:
        assert self._fd is not None  # noqa: S101 - the file is open
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]
