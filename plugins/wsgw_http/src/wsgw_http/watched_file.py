"""A small file that is read again when it has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from wsgw_core.api import BackendContext, RareWarning, aside, read_bytes

T = TypeVar("T")

_MAX_FILE = 64 * 1024
_LOOK_EVERY = 10.0  # seconds


def read_text(file: str) -> str:
    """Return what a file holds.

    Raises:
        ValueError: it cannot be read, in one line that names it.
    """
    try:
        found = read_bytes(file, _MAX_FILE)
        text = found.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{file}: not UTF-8 text") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{file}: {getattr(error, 'strerror', None) or error}") from error
    if len(found) > _MAX_FILE:
        raise ValueError(f"{file}: larger than {_MAX_FILE} bytes")
    return text


class WatchedFile(Generic[T]):
    """Holds what was read from a file, and looks every ten seconds of use whether it has changed.

    A file that cannot be used any more changes nothing: the old content stays, with a warning.
    Made off the event loop, since it reads.

    Args:
        file: its name.
        parse: makes the value of the file's text; raises ValueError.
        context: of the backend.

    Raises:
        ValueError: the file cannot be used.
    """

    def __init__(self, file: str, parse: Callable[[str], T], context: BackendContext) -> None:
        self._file = file
        self._parse = parse
        self._clock = context.clock
        self._logger = context.logger
        self._warn = RareWarning(context.logger)
        self._seen = self._look()
        self._value = parse(read_text(file))
        self._look_at = context.clock.time() + _LOOK_EVERY
        self._task: asyncio.Task[None] | None = None

    @property
    def value(self) -> T:
        """What the file held when it was looked at last."""
        if self._clock.time() >= self._look_at:
            self._look_at = self._clock.time() + _LOOK_EVERY
            if self._task is None or self._task.done():
                self._task = asyncio.get_running_loop().create_task(self._refresh())
        return self._value

    async def _refresh(self) -> None:
        try:
            found = await aside(self._read_if_changed)
        except ValueError as error:
            self._warn("what was read from a file before stays in use: %s", error)
        except RuntimeError:  # no thread left; the next look comes soon
            pass
        else:
            if found is not None:
                self._seen, self._value = found
                self._logger.info("%s has changed and was read", self._file)

    def _read_if_changed(self) -> tuple[object, T] | None:
        seen = self._look()
        return None if seen == self._seen else (seen, self._parse(read_text(self._file)))

    def _look(self) -> object:
        try:
            found = Path(self._file).stat()  # follows the links by which files are exchanged
        except OSError as error:
            raise ValueError(f"{self._file}: {error.strerror}") from error
        return found.st_mtime_ns, found.st_ino, found.st_size
