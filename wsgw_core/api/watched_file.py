"""A small file that is read again when it has changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from .backend import Clock
from .bounded_file import read_bytes
from .daemon_thread import run_in_thread
from .rare_warning import RareWarning

T = TypeVar("T")

_MOST = 64 * 1024
_LOOK_EVERY = 10.0  # seconds


class _Context(Protocol):
    """What a BackendContext and a PluginContext have."""

    @property
    def clock(self) -> Clock: ...

    @property
    def logger(self) -> logging.Logger: ...


def read_parsed(file: str, parse: Callable[[str], T], most: int = _MOST) -> T:
    """Return what a file holds.

    Args:
        file: its name.
        parse: makes the value of the file's text; raises ValueError.
        most: bytes that it may have.

    Raises:
        ValueError: it cannot be used, in one line that names it.
    """
    try:
        found = read_bytes(file, most)
        if len(found) > most:
            raise ValueError(f"larger than {most} bytes")  # noqa: TRY301 - named below, as others
        return parse(found.decode())
    except UnicodeDecodeError:
        raise ValueError(f"{file}: not UTF-8 text") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{file}: {getattr(error, 'strerror', None) or error}") from error


class WatchedFile(Generic[T]):
    """Holds what was read from a file, and looks every ten seconds of use whether it has changed.

    A file that cannot be used any more changes nothing: the old content stays, with a warning.
    Made off the event loop, since it reads: see `run_in_thread`.

    Args:
        file: its name.
        parse: makes the value of the file's text, in a thread; raises ValueError.
        context: of the backend, valve or gate.
        most: bytes that the file may have.

    Attributes:
        is_usable: whether the file could be used when it was looked at last.

    Raises:
        ValueError: the file cannot be used.
    """

    def __init__(
        self, file: str, parse: Callable[[str], T], context: _Context, *, most: int = _MOST
    ) -> None:
        self._file = file
        self._parse = parse
        self._most = most
        self._clock = context.clock
        self._logger = context.logger
        self._warn = RareWarning(context.logger)
        self._seen = self._look()
        self._value = self._read()
        self._look_at = context.clock.time() + _LOOK_EVERY
        self._task: asyncio.Task[None] | None = None
        self.is_usable = True

    @property
    def value(self) -> T:
        """What the file held when it was looked at last; if that is long ago, a look begins."""
        self._look_if_due()
        return self._value

    async def current(self) -> T:
        """Return what the file holds, as of ten seconds ago at most; waits for a look if due."""
        self._look_if_due()
        if self._task is not None:
            await asyncio.shield(self._task)
        return self._value

    def _look_if_due(self) -> None:
        if self._task is None and self._clock.time() >= self._look_at:
            self._look_at = self._clock.time() + _LOOK_EVERY
            self._task = asyncio.get_running_loop().create_task(self._refresh())

    async def _refresh(self) -> None:
        try:
            found = await run_in_thread(self._read_if_changed)
        except ValueError as error:
            self.is_usable = False
            self._warn("what was read from a file before stays in use: %s", error)
        except RuntimeError:  # no thread left; the next look comes soon
            pass
        else:
            self.is_usable = True
            if found is not None:
                self._seen, self._value = found
                self._logger.info("%s has changed and was read", self._file)
        finally:
            self._task = None

    def _read_if_changed(self) -> tuple[object, T] | None:
        seen = self._look()
        return None if seen == self._seen else (seen, self._read())

    def _read(self) -> T:
        return read_parsed(self._file, self._parse, self._most)

    def _look(self) -> object:
        try:
            found = Path(self._file).stat()  # follows the links by which files are exchanged
        except OSError as error:
            raise ValueError(f"{self._file}: {error.strerror}") from error
        return found.st_mtime_ns, found.st_ino, found.st_size
